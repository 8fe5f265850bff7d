// SPDX-License-Identifier: Apache-2.0
//
// The story of the demo: a web pod whose two containers share one address, a database behind a service address.
import { setTimeout as sleep } from 'node:timers/promises';
import { psqlPath } from '../harness/images.js';
import type { Lab } from '../harness/lab.js';
import { addService } from '../harness/network.js';
import type { ExecResult, Pod } from '../harness/pods.js';
import { until } from '../harness/run.js';

export const SERVICE = { address: '10.96.0.10', port: 5432 };
export const SERVICE_TEXT = `${SERVICE.address}:${SERVICE.port}`;

export class Story {
  readonly #lab: Lab;
  readonly web: Pod;
  readonly db: Pod;

  private constructor(lab: Lab, web: Pod, db: Pod) {
    this.#lab = lab;
    this.web = web;
    this.db = db;
  }

  /** Needs containerd; pods may start before or after the agent. */
  static async begin(lab: Lab): Promise<Story> {
    const db = await lab.startPod({
      namespace: 'shop',
      name: 'db',
      labels: { app: 'db' },
      containers: [{ name: 'postgres', image: 'localhost/db:1', command: ['/bin/sh', '/start-database'] }],
    });
    addService(lab.namespace, SERVICE.address, SERVICE.port, db.v4, 5432);
    const web = await lab.startPod({
      namespace: 'shop',
      name: 'web',
      labels: { app: 'web' },
      containers: [
        { name: 'nginx', image: 'localhost/web:1', command: ['/usr/sbin/nginx', '-c', '/etc/nginx/nginx.conf'] },
        { name: 'malware', image: 'localhost/web:1', command: ['/bin/sleep', '1000000'] },
      ],
    });
    const story = new Story(lab, web, db);
    // Inside the database's own pod, so that no flow of `web` is spent on waiting.
    await until(
      'the database answers',
      async () =>
        (await db.exec('postgres', [psqlPath(), '-h', '127.0.0.1', '-U', 'postgres', '-Atc', 'select 1'])).code === 0,
      60_000,
      300,
    );
    await until(
      'nginx answers',
      async () => (await web.exec('nginx', ['/bin/wget', '-qO-', 'http://127.0.0.1/'])).stdout === 'shop\n',
      20_000,
      200,
    );
    return story;
  }

  /** One query over one connection, from one of the two containers of `web`. */
  query(container: 'nginx' | 'malware'): Promise<ExecResult> {
    const target = `host=${SERVICE.address} port=${SERVICE.port} user=postgres sslmode=disable gssencmode=disable connect_timeout=5`;
    return this.web.exec(container, [
      psqlPath(),
      '-d',
      target,
      '-Atc',
      "select 'order 42, asked for by ' || host(inet_client_addr())",
    ]);
  }

  /** A request to the web server, from the node. */
  visit(): string {
    return this.#lab.namespace.run('curl', ['-s', '--max-time', '5', `http://${this.web.v4}/`]);
  }

  async queries(container: 'nginx' | 'malware', count: number): Promise<ExecResult[]> {
    const results: ExecResult[] = [];
    for (let i = 0; i < count; i++) {
      results.push(await this.query(container));
      await sleep(0);
    }
    return results;
  }
}

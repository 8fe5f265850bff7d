// SPDX-License-Identifier: Apache-2.0
//
// An application of three tiers: nginx asks an API, which asks PostgreSQL; a gateway in another namespace asks nginx, a container beside
// nginx has nothing to ask. A new release of the API asks a cache, too.
import { setTimeout as sleep } from 'node:timers/promises';
import { psqlPath } from '../harness/images.js';
import type { Lab } from '../harness/lab.js';
import { nameServer } from '../harness/name_server.js';
import type { ContainerSpec, ExecResult, Pod, PodSpec } from '../harness/pods.js';
import { until } from '../harness/run.js';

const TOOLS = '/usr/local/bin';
const [API_PORT, CACHE_PORT] = [8080, 6379];
const WEB_IMAGE = 'localhost/web:1';
const HOSTS = '/tmp/hosts';
const DATABASE = 'host=db.shop.test user=postgres sslmode=disable gssencmode=disable connect_timeout=5';

const query = `${psqlPath()} "${DATABASE}" -Atc "select 'order 42 for you'"`;

/** Looks its API up again and again, as what runs for longer than a release does. */
const nginxConf = (resolver: string) => `daemon off; user www-data; error_log stderr; pid /run/nginx.pid; events {}
http {
  access_log off; resolver ${resolver} valid=1s ipv6=off;
  client_body_temp_path /tmp/body; proxy_temp_path /tmp/proxy; fastcgi_temp_path /tmp/fastcgi; uwsgi_temp_path /tmp/uwsgi;
  scgi_temp_path /tmp/scgi;
  server { listen 80; set $api http://api.shop.test:${API_PORT}; location / { proxy_pass $api/cgi-bin/orders; } }
}`;

const shell = (name: string, image: string, script: string): ContainerSpec => ({
  name,
  image,
  command: ['/bin/sh', '-c', script],
});

/** A web server that answers with what `work` prints. */
const apiServer = (image: string, work: string): ContainerSpec =>
  shell(
    'server',
    image,
    `mkdir -p /www/cgi-bin && cat > /www/cgi-bin/orders <<'END'
#!/bin/sh
echo 'Content-type: text/plain'
echo
${work}
END
chmod +x /www/cgi-bin/orders && exec /bin/busybox httpd -f -p ${API_PORT} -h /www`,
  );

const webServer = (resolver: string): ContainerSpec =>
  shell(
    'nginx',
    WEB_IMAGE,
    `cat > /tmp/nginx.conf <<'END'
${nginxConf(resolver)}
END
exec /usr/sbin/nginx -c /tmp/nginx.conf`,
  );

interface Pods {
  readonly names: Pod;
  readonly cache: Pod;
  readonly gateway: Pod;
  readonly web: Pod;
}

/** As a ReplicaSet names and labels its pods. */
const podOf = (app: string, hash: string, containers: readonly ContainerSpec[]): PodSpec => ({
  namespace: 'shop',
  name: `${app}-${hash}-x2f4z`,
  labels: { app, 'pod-template-hash': hash },
  containers,
});

export class Tiers {
  readonly #lab: Lab;
  readonly #pods: Pods;
  #api: Pod;

  private constructor(lab: Lab, pods: Pods, api: Pod) {
    this.#lab = lab;
    this.#pods = pods;
    this.#api = api;
  }

  static async begin(lab: Lab): Promise<Tiers> {
    for (const version of ['1.4', '1.5']) lab.tagImage(WEB_IMAGE, `localhost/api:${version}`);
    const start = { command: ['/bin/sh', '/start-database'] };
    const db = await lab.startPod(podOf('db', '5b8f7', [{ name: 'postgres', image: 'localhost/db:1', ...start }]));
    const echo = { name: 'cache', image: WEB_IMAGE, command: [`${TOOLS}/echo`, String(CACHE_PORT)] };
    const cache = await lab.startPod(podOf('cache', '77d9c', [echo]));
    const server = nameServer({ records: [['db.shop.test', db.v4]], zone: 'shop.test' });
    const names = await lab.startPod({
      ...podOf('dns', '9c4d6', [{ ...server, command: [...server.command, `--addn-hosts=${HOSTS}`] }]),
      namespace: 'kube-system',
    });
    const nameServers = [names.v4];
    const local = [psqlPath(), '-h', '127.0.0.1', '-U', 'postgres', '-Atc', 'select 1'];
    await until('the database answers', async () => (await db.exec('postgres', local)).code === 0, 60_000, 300);
    const web = await lab.startPod({
      ...podOf('web', '8d4b2', [webServer(names.v4), shell('logs', WEB_IMAGE, 'sleep 1000000')]),
      nameServers,
    });
    const gateway = await lab.startPod({
      ...podOf('gateway', '7b6c5', [shell('proxy', WEB_IMAGE, 'sleep 1000000')]),
      namespace: 'edge',
    });
    const api = await lab.startPod({
      ...podOf('api', '6f7c9', [apiServer('localhost/api:1.4', query)]),
      nameServers,
    });
    const tiers = new Tiers(lab, { names, cache, gateway, web }, api);
    await tiers.#publish();
    return tiers;
  }

  /** The name of the API leads to the pod that runs now. */
  async #publish(): Promise<void> {
    const command = `echo ${this.#api.v4} api.shop.test > ${HOSTS} && killall -HUP dnsmasq`;
    await this.#pods.names.exec('names', ['/bin/sh', '-c', command]);
    await until('the shop answers', async () => (await this.visit()).includes('order 42'), 60_000, 300);
  }

  async visit(): Promise<string> {
    const { gateway, web } = this.#pods;
    const { stdout } = await gateway.exec('proxy', ['/usr/bin/curl', '-s', '--max-time', '10', `http://${web.v4}/`]);
    return stdout;
  }

  async visits(count: number): Promise<void> {
    for (let i = 0; i < count; i++) await this.visit();
  }

  /** The container beside nginx wants to know what the database has. */
  steal(): Promise<ExecResult> {
    return this.#pods.web.exec('logs', ['/bin/sh', '-c', query]);
  }

  /** Version 1.5 of the API, which asks the cache first, in place of 1.4. */
  async release(): Promise<void> {
    const { names, cache } = this.#pods;
    const work = `${TOOLS}/connector tcp ${cache.v4} ${CACHE_PORT} 1 >/dev/null\n${query}`;
    const before = this.#api;
    this.#api = await this.#lab.startPod({
      ...podOf('api', 'd5e8a', [apiServer('localhost/api:1.5', work)]),
      nameServers: [names.v4],
    });
    await this.#publish();
    // Until what nginx has looked up is old.
    await sleep(2000);
    await before.remove();
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// Real Docker and real Podman, both at once on one node: names, labels and addresses from their sockets.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Engine, missing } from '../harness/engines.js';
import { Lab } from '../harness/lab.js';
import { until } from '../harness/run.js';

const JOBS = 20;
const IMAGE = 'localhost/tools:1';
const CONNECTOR = '/usr/local/bin/connector';

interface Container {
  readonly name: string;
  readonly container: string;
  readonly runtime: string;
  readonly image: string;
  readonly labels: Record<string, string>;
  readonly addresses: string[];
}

const lacking = [missing('dockerd'), missing('docker'), missing('podman')].filter(Boolean).join(', ');
if (lacking) process.stderr.write(`engines: skipped, ${lacking}; 'apt-get install docker.io podman' does it\n`);

describe.skipIf(lacking !== '')('Docker and Podman', () => {
  let lab: Lab;
  let docker: Engine;
  let podman: Engine;

  beforeAll(async () => {
    lab = await Lab.create();
    docker = await lab.startEngine('docker');
    podman = await lab.startEngine('podman');
    await lab.startServer();
    await lab.startAgent();
  });

  afterAll(() => lab.cleanup.run());

  const containers = async () => (await lab.server.get<{ containers: Container[] }>('/v1/containers')).containers;
  const named = (name: string) =>
    until(`${name} is named`, async () => (await containers()).find((it) => it.container === name));

  test('a container of Docker has its name, labels, image and address', async () => {
    const labels = ['--label', 'app=web', '--label', 'com.docker.compose.project=shop'];
    docker.run('--detach', '--name', 'web', ...labels, IMAGE);
    const web = await named('web');
    expect(web).toMatchObject({ runtime: 'docker', image: IMAGE });
    expect(web.labels).toMatchObject({ app: 'web', 'com.docker.compose.project': 'shop' });
    await until('it has its address', async () => (await named('web')).addresses.includes('10.87.0.2'));
  });

  test('a container of Podman has its name, labels and image, and one in a pod the name of the pod', async () => {
    podman.run('--detach', '--name', 'api', '--label', 'app=api', IMAGE);
    const api = await named('api');
    expect(api).toMatchObject({ runtime: 'podman', image: IMAGE });
    expect(api.labels).toMatchObject({ app: 'api' });
    podman.call('pod', 'create', '--name', 'crew', '--infra=false', '--label', 'tier=back');
    podman.run('--detach', '--name', 'member', '--pod', 'crew', IMAGE);
    const member = await named('member');
    expect(member.name).toContain('crew/member');
    expect(member.labels).toMatchObject({ tier: 'back' });
  });

  test('a container with a name that the user changes is known by the new one', async () => {
    docker.run('--detach', '--name', 'before', IMAGE);
    await named('before');
    docker.call('rename', 'before', 'after');
    // The next birth asks; without one it takes half a minute.
    docker.run('--rm', '--name', 'birth', IMAGE, '/bin/true');
    await named('after');
  });

  test.each([
    ['docker', () => docker],
    ['podman', () => podman],
  ] as const)(
    `each of ${JOBS} containers of %s with a life of 50 ms has its one connection, by name`,
    async (kind, engine) => {
      const names = Array.from({ length: JOBS }, (_, i) => `${kind}-job-${i}`);
      // Podman's are all in the network of the host.
      const network = kind === 'docker' ? ['--network=host'] : [];
      const sink = engine().run('--detach', '--name', `${kind}-sink`, ...network, IMAGE, '/usr/local/bin/sink', '7000');
      const target = kind === 'docker' ? '10.87.0.1' : '127.0.0.1';
      for (const name of names) {
        const life = [CONNECTOR, 'paced', target, '7000', '0.05', '20'];
        const job = engine().start(join(lab.folder, `${name}.log`), '--rm', '--name', name, IMAGE, ...life);
        expect(await job.exited, name).toBe(0);
      }
      await lab.settled();
      engine().call('rm', '--force', sink);
      const flows = await lab.server.allFlows('direction=egress&peer=:7000');
      const own = flows.filter((flow) => flow.destination.address === target);
      expect(own.map((flow) => flow.container.container).sort()).toEqual([...names].sort());
    },
  );

  test('the node says which runtimes name its containers', async () => {
    const log = readFileSync(lab.agent.logFile, 'utf8');
    expect(log).toContain('containers are named by Docker');
    expect(log).toContain('containers are named by Podman');
  });
});

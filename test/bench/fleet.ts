// SPDX-License-Identifier: Apache-2.0
//
// The server under simulated agents (test/chaos/fleet.js): real gRPC streams over TLS, batches as agents send them, no kernel. They share
// the machine with the server.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ServerProcess } from '../harness/cellwall.js';
import type { Cleanup } from '../harness/cleanup.js';
import { Fleet } from '../harness/fleet.js';
import { measurePushes, type PushFigures } from '../harness/pushes.js';
import { usageOf } from '../harness/usage.js';

async function start(folder: string, name: string, cleanup: Cleanup, agents: number, containers: number) {
  const server = await ServerProcess.start(join(folder, name), join(folder, `${name}.log`), {
    extra: ['--tls', 'own'],
  });
  cleanup.add('the server', () => server.process.stop());
  const fleet = await Fleet.start(server, agents, containers);
  cleanup.add('the simulated agents', () => fleet.stop());
  const began = performance.now();
  await fleet.connect();
  const connectedSeconds = (performance.now() - began) / 1000;
  return { server, fleet, connectedSeconds, resident: () => usageOf(server.process.pid).mostMiB };
}

export interface IngestFigures {
  readonly rowsPerSecond: number;
  /** Of the first tenth and the last. */
  readonly first: number;
  readonly last: number;
  readonly residentMiB: number;
}

/** Until so many rows are acknowledged; from few agents, so that what they cost counts little. */
export async function measureIngest(folder: string, cleanup: Cleanup, rows: number): Promise<IngestFigures> {
  const { server, fleet, resident } = await start(folder, 'ingest', cleanup, 8, 10);
  const began = performance.now();
  const seen: { at: number; rows: number }[] = [{ at: 0, rows: 0 }];
  await fleet.send({ rows: 1024, window: 8 });
  for (let done = 0; done < rows; ) {
    await sleep(50);
    done = (await fleet.report()).acknowledged;
    seen.push({ at: (performance.now() - began) / 1000, rows: done });
  }
  await fleet.send(null);
  const timeOf = (wanted: number) => seen.find((it) => it.rows >= wanted)?.at ?? Number.NaN;
  const rate = (from: number, to: number) => Math.round((to - from) / (timeOf(to) - timeOf(from)));
  const figures = {
    rowsPerSecond: rate(0, rows),
    first: rate(0, rows / 10),
    last: rate((rows * 9) / 10, rows),
    residentMiB: resident(),
  };
  fleet.stop();
  await server.process.stop();
  return figures;
}

export interface FleetFigures extends PushFigures {
  readonly connectedSeconds: number;
  readonly eventsPerSecond: number;
  readonly closed: number;
  readonly residentMiB: number;
}

export async function measureFleet(
  folder: string,
  cleanup: Cleanup,
  agents: number,
  containers: number,
  changes: number,
  sendSeconds: number,
): Promise<FleetFigures> {
  const { server, fleet, connectedSeconds, resident } = await start(
    folder,
    `fleet-${agents}`,
    cleanup,
    agents,
    containers,
  );
  const pushes = await measurePushes(server, fleet, changes);
  await fleet.send({ rows: 100, window: 2 });
  await sleep(1000);
  const from = { at: performance.now(), ...(await fleet.report()) };
  await sleep(sendSeconds * 1000);
  const to = { at: performance.now(), ...(await fleet.report()) };
  await fleet.send(null);
  const eventsPerSecond = Math.round(((to.acknowledged - from.acknowledged) / (to.at - from.at)) * 1000);
  const figures = { ...pushes, connectedSeconds, eventsPerSecond, closed: to.closed, residentMiB: resident() };
  fleet.stop();
  await server.process.stop();
  return figures;
}

// SPDX-License-Identifier: Apache-2.0
//
// How many flows per second become durable, and how long questions take then. After `npm run build`:
//   node test/bench/ingest.js [millions of flows [build/bench/raw_sqlite]]
// Prints one JSON object.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { parseEndpoint, parseFilter } from '../../dist/control-plane/src/flows/filter.js';
import { decodeBatch } from '../../dist/control-plane/src/ingest/decode.js';
import { v1 } from '../../dist/control-plane/src/ingest/wire.js';
import { createLogger } from '../../dist/control-plane/src/logger.js';
import { DAY_MIGRATIONS, migrate } from '../../dist/control-plane/src/store/migrations.js';
import { Store } from '../../dist/control-plane/src/store/store.js';

const ROWS = 1024;
const WINDOW = 32;
const CONTAINERS = 50;
/** Between the ends of two flows: 10 million are some hours of a busy node. */
const APART_US = 1000;
const batches = Math.ceil((Number(process.argv[2] ?? 1) * 1e6) / ROWS);
const beganUs = Date.now() * 1000;

const column = (value) => Array.from({ length: ROWS }, (_, i) => value(i));

/** Who begins has a port of no meaning, who is called a known one. */
const callerPort = (sequence, i) => 32768 + ((sequence * 7919 + i * 31) % 28_000);
const serverPort = (i) => [80, 443, 5432, 6379][(i >> 1) % 4];

function batch(sequence) {
  const firstEventIndex = (sequence - 1) * ROWS + 1;
  const ended = {
    rows: ROWS,
    addresses: Array.from({ length: 64 }, (_, i) => Uint8Array.of(10, 0, i, 1)),
    cgroups: Array.from({ length: CONTAINERS }, (_, i) => 1000 + i),
    strings: ['nginx', 'curl'],
    cgroup: column((i) => (i * 7) % CONTAINERS),
    endTimeDelta: column((i) => (i === 0 ? beganUs - (batches - sequence) * ROWS * APART_US : APART_US)),
    durationPlusOne: column((i) => 1000 + i),
    protocol: column(() => 6),
    direction: column((i) => 1 + (i % 2)),
    verdict: column((i) => (i % 97 === 0 ? 2 : 1)),
    end: column((i) => (i % 97 === 0 ? 2 : 1)),
    localAddress: column((i) => i % 8),
    localPort: column((i) => (i % 2 === 0 ? callerPort(sequence, i) : serverPort(i))),
    remoteAddress: column((i) => i % 64),
    remotePort: column((i) => (i % 2 === 0 ? serverPort(i) : callerPort(sequence, i))),
    sentBytesPlusOne: column((i) => 200 + i),
    receivedBytesPlusOne: column((i) => 4000 + i * 3),
    sentPackets: column(() => 5),
    receivedPackets: column(() => 6),
    rttUs: column((i) => 60 + (i % 40)),
    retransmits: column(() => 0),
    rule: column((i) => (i % 97 === 0 ? 17 : 1)),
    generation: column(() => 3),
    cookieDelta: column(() => 1),
    processId: column((i) => 1000 + (i % 20)),
    processName: column((i) => i % 2),
    flags: column(() => 0),
    // One row in four went through a service address.
    translations: {
      row: column((i) => i).filter((i) => i % 4 === 0),
      sourceAddress: Array(ROWS / 4).fill(3),
      sourcePort: Array.from({ length: ROWS / 4 }, (_, i) => 1024 + ((sequence * 257 + i * 101) % 60_000)),
      destinationAddress: Array.from({ length: ROWS / 4 }, (_, i) => i % 64),
      destinationPort: Array(ROWS / 4).fill(15432),
    },
  };
  return v1.FlowBatch.encode(v1.FlowBatch.create({ sequence, firstEventIndex, ended })).finish();
}

const folder = mkdtempSync(join(process.env.CELLWALL_BENCH_FOLDER ?? tmpdir(), 'cellwall-bench-'));
const query = { seconds: 600, rows: 1e12 };
const store = new Store({ folder, retentionDays: 30, rollUpDays: 400, maxBytes: 1e12, query }, createLogger('error'));

let mostBytes = 0;

/** Flows per second of this core. */
function decodeRate() {
  const all = Array.from({ length: 256 }, (_, i) => batch(i + 1));
  const decode = () => {
    const began = process.cpuUsage();
    for (const data of all) decodeBatch(data);
    const { user, system } = process.cpuUsage(began);
    return (all.length * ROWS) / ((user + system) / 1e6);
  };
  decode();
  return Math.round(Math.max(decode(), decode(), decode()));
}

/** The same rows by C alone: rows per second, and per second of the processor. */
function rawRates(program) {
  const file = join(folder, 'raw.sqlite');
  const database = new Sqlite(file);
  database.pragma('journal_mode = WAL');
  migrate(database, DAY_MIGRATIONS);
  database.close();
  const out = execFileSync(program, [file, String(Math.min(batches * ROWS, 2e6) / 1e6), String(WINDOW * ROWS)], {
    encoding: 'utf8',
  });
  for (const suffix of ['', '-wal', '-shm']) rmSync(file + suffix, { force: true });
  const [rows, rowsOfCpu] = out.trim().split(' ').map(Number);
  return { rows, rowsOfCpu };
}

/** Bytes of a flow in the roll-ups by hour, and in the index of callers' ports. */
function bytesIn(table) {
  let bytes = 0;
  for (const name of readdirSync(folder).filter((it) => /^flows-.*\.db$/.test(it))) {
    const day = new Sqlite(join(folder, name), { readonly: true });
    bytes += day.prepare('SELECT coalesce(sum(pgsize), 0) FROM dbstat WHERE name = ?').pluck().get(table);
    day.close();
  }
  return Number((bytes / (batches * ROWS)).toFixed(2));
}

/** MiB per second of a backup whose speed is not bounded. */
async function backupSpeed() {
  const to = mkdtempSync(join(tmpdir(), 'cellwall-bench-backup-'));
  try {
    store.upkeep.startBackup({ to, mibPerSecond: 100_000, keep: 1 });
    while (store.upkeep.backup.running) await new Promise((resolve) => setTimeout(resolve, 20));
    const { result, error } = store.upkeep.backup;
    if (!result) throw new Error(error);
    return Math.round(result.bytes / 2 ** 20 / result.seconds);
  } finally {
    rmSync(to, { recursive: true, force: true });
  }
}

/** Encoding is the agent's work: it is done before the clock starts, for a window at a time. */
async function ingest() {
  const seconds = [];
  let cpuMs = 0;
  for (let from = 1; from <= batches; from += WINDOW) {
    const window = Array.from({ length: Math.min(WINDOW, batches - from + 1) }, (_, i) => batch(from + i));
    const last = from + window.length - 1;
    const done = new Promise((resolve) => {
      store.on('acknowledged', function seen({ sequence }) {
        if (sequence !== last) return;
        store.off('acknowledged', seen);
        resolve();
      });
    });
    const began = performance.now();
    const cpu = process.cpuUsage();
    for (const data of window) store.add({ stream: 1, node: 'bench', epoch: 'boot.1', data });
    await done;
    seconds.push((performance.now() - began) / 1000);
    const used = process.cpuUsage(cpu);
    cpuMs += (used.user + used.system) / 1000;
    mostBytes = Math.max(mostBytes, process.memoryUsage.rss());
  }
  return { seconds, cpuMs };
}

async function median(ask) {
  const times = [];
  for (let i = 0; i < 9; i++) {
    const began = performance.now();
    await ask(i);
    times.push(performance.now() - began);
  }
  return Number(times.sort((a, b) => a - b)[4].toFixed(2));
}

const milliseconds = (words) =>
  median(() => store.reader.call('flows', parseFilter(words, Date.now() * 1000), 100, null));
const nowUs = () => Date.now() * 1000;
const who = (i) =>
  store.reader.call('who', {
    ...parseEndpoint(`10.0.3.1:${20_000 + i * 1009}`),
    protocol: 6,
    atUs: beganUs - Math.floor(batches / 2) * ROWS * APART_US,
    slackUs: 2e6,
  });
const day = () => store.reader.call('edges', { sinceUs: nowUs() - 86_400e6, untilUs: nowUs() + 86_400e6 }, {});
async function peers() {
  const { flows } = await store.reader.call('flows', parseFilter({}, nowUs()), 100, null);
  return median(() => store.reader.call('peers', flows));
}

const rate = (seconds) => Math.round((seconds.length * WINDOW * ROWS) / seconds.reduce((sum, it) => sum + it, 0));

try {
  const raw = process.argv[3] ? rawRates(process.argv[3]) : undefined;
  const { seconds, cpuMs } = await ingest();
  const tenth = Math.max(1, Math.floor(seconds.length / 10));
  const { bytes, flows } = await store.reader.call('summary');
  console.log(
    JSON.stringify({
      flows,
      rowsPerSecond: rate(seconds),
      rowsPerSecondFirstTenth: rate(seconds.slice(0, tenth)),
      rowsPerSecondLastTenth: rate(seconds.slice(-tenth)),
      rowsPerSecondOfCpu: Math.round(flows / (cpuMs / 1000)),
      ...(raw && { rawRowsPerSecond: raw.rows, rawRowsPerSecondOfCpu: raw.rowsOfCpu }),
      decodedPerSecond: decodeRate(),
      bytesPerFlow: Math.round(bytes / flows),
      rollUpBytesPerFlow: bytesIn('edges'),
      portBytesPerFlow: bytesIn('caller_ports'),
      residentMiB: Math.round(mostBytes / 2 ** 20),
      backupMiBPerSecond: await backupSpeed(),
      pageMs: await milliseconds({}),
      pageOfContainerMs: await milliseconds({ container: 'cgroup:1007' }),
      deniedPageMs: await milliseconds({ verdict: 'denied' }),
      peerNotFoundMs: await milliseconds({ peer: '192.0.2.1' }),
      peersMs: await peers(),
      whoMs: await median(who),
      mapMs: await median(day),
      edges: (await day()).edges.length,
    }),
  );
} finally {
  await store.close();
  rmSync(folder, { recursive: true, force: true });
}

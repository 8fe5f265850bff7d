// SPDX-License-Identifier: Apache-2.0
//
// What it costs to learn policies from many flows, to try them on these flows, and to look for drift; then the same when the flows are
// gone and their sums by hour are left. Part of `make bench`; alone, after `npm run build`:
//   node test/bench/learn.js [millions of flows]
// Prints one JSON object: for each question the time, the processor's time and the most memory of a process that asks nothing else.
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { v1 } from '../../dist/control-plane/src/ingest/wire.js';
import { createLogger } from '../../dist/control-plane/src/logger.js';
import { NO_OPTIONS, parseDocuments, policyKey } from '../../dist/control-plane/src/policy/index.js';
import { simulate } from '../../dist/control-plane/src/rollout/simulation.js';
import { listDays, removeDay } from '../../dist/control-plane/src/store/days.js';
import { keepRollUp } from '../../dist/control-plane/src/store/roll_ups.js';
import { Store } from '../../dist/control-plane/src/store/store.js';

const MOST_MILLIONS = 100;
const ROWS = 1024;
const WINDOW = 32;
const [WORKLOADS, REPLICAS, PEERS] = [100, 3, 8];
const CONTAINERS = WORKLOADS * REPLICAS;
const DAY_US = 86_400e6;
const NODE = 'bench';
const [, script, phase = '1', folder = '', count = ''] = process.argv;

const open = (data) =>
  new Store(
    { folder: data, retentionDays: 30, rollUpDays: 400, maxBytes: 1e12, query: { seconds: 3600, rows: 1e12 } },
    createLogger('error'),
  );

const address = (i) => [10, 1 + (i >> 8), i & 255, 1];
/** One replica of every tenth workload is of the second release: what drift compares. */
const isNew = (i) => i % 10 === 9 && i >= CONTAINERS - WORKLOADS;

function container(i, nowUs) {
  const workload = i % WORKLOADS;
  const hash = isNew(i) ? 'bbbbb' : 'aaaaa';
  return {
    cgroupId: 1000 + i,
    path: '',
    runtime: 'containerd',
    runtimeId: String(i),
    name: 'main',
    image: `app-${workload}:${isNew(i) ? 2 : 1}`,
    namespace: `team-${workload % 10}`,
    pod: `app-${workload}-${hash}-${String(i).padStart(5, 'x')}`,
    labels: { app: `app-${workload}`, 'pod-template-hash': hash },
    addresses: [address(i).join('.')],
    ports: [],
    createdUs: nowUs - (isNew(i) ? DAY_US / 2 : 2 * DAY_US),
  };
}

const column = (value) => Array.from({ length: ROWS }, (_, i) => value(i));

/** Each container calls some others, and a few names outside; the second release one port more. A row in 997 is refused. */
function batch(sequence, apartUs, beganUs) {
  const row = (i) => (sequence - 1) * ROWS + i;
  const caller = (i) => row(i) % CONTAINERS;
  const turn = (i) => Math.floor(row(i) / CONTAINERS) % PEERS;
  // Of the same namespace: what crosses one needs a rule at both ends, and here is one end on record.
  const peer = (i) => (caller(i) + 10 + 30 * turn(i)) % CONTAINERS;
  const isOutside = (i) => row(i) % 50 === 0;
  const isDenied = (i) => row(i) % 997 === 0;
  const outside = 8;
  const ended = {
    rows: ROWS,
    addresses: [
      ...Array.from({ length: CONTAINERS }, (_, i) => Uint8Array.from(address(i))),
      ...Array.from({ length: outside }, (_, i) => Uint8Array.of(203, 0, 113, i)),
    ],
    cgroups: Array.from({ length: CONTAINERS }, (_, i) => 1000 + i),
    strings: ['main', ...Array.from({ length: outside }, (_, i) => `h${i}.example.com`)],
    cgroup: column(caller),
    endTimeDelta: column((i) => (i === 0 ? Math.round(beganUs + row(0) * apartUs) : Math.round(apartUs))),
    durationPlusOne: column(() => 1001),
    protocol: column(() => 6),
    direction: column(() => 1),
    verdict: column((i) => (isDenied(i) ? 2 : 1)),
    end: column((i) => (isDenied(i) ? 2 : 1)),
    localAddress: column(caller),
    localPort: column((i) => 32_768 + (row(i) % 28_000)),
    remoteAddress: column((i) => (isOutside(i) ? CONTAINERS + (row(i) % outside) : peer(i))),
    remotePort: column((i) => (isOutside(i) ? 443 : isNew(caller(i)) && turn(i) === 0 ? 9000 : 8000 + (peer(i) % 3))),
    sentBytesPlusOne: column(() => 200),
    receivedBytesPlusOne: column(() => 4000),
    sentPackets: column(() => 5),
    receivedPackets: column(() => 6),
    rttUs: column(() => 60),
    retransmits: column(() => 0),
    rule: column(() => 0),
    generation: column(() => 1),
    cookieDelta: column(() => 1),
    processId: column(() => 1000),
    processName: column(() => 0),
    flags: column(() => 0),
    names: {
      row: column((i) => i).filter(isOutside),
      name: column((i) => i)
        .filter(isOutside)
        .map((i) => 1 + (row(i) % outside)),
    },
  };
  return v1.FlowBatch.encode(
    v1.FlowBatch.create({ sequence, firstEventIndex: (sequence - 1) * ROWS + 1, ended }),
  ).finish();
}

/** A day of flows. */
async function fill(store, flows) {
  const nowUs = Date.now() * 1000;
  const batches = Math.ceil(flows / ROWS);
  const apartUs = (DAY_US - 60e6) / (batches * ROWS);
  const facts = Array.from({ length: CONTAINERS }, (_, i) => container(i, nowUs));
  await store.writer.call('updateContainers', NODE, 'boot.1', facts, [], true);
  for (let from = 1; from <= batches; from += WINDOW) {
    const last = Math.min(batches, from + WINDOW - 1);
    const done = new Promise((resolve) => {
      store.on('acknowledged', function seen({ sequence }) {
        if (sequence !== last) return;
        store.off('acknowledged', seen);
        resolve();
      });
    });
    for (let i = from; i <= last; i++)
      store.add({ stream: 1, node: NODE, epoch: 'boot.1', data: batch(i, apartUs, nowUs - DAY_US) });
    await done;
  }
}

async function worldOf(store, policies) {
  const containers = (await store.reader.call('containers', false)).map(
    ({ container: name, labels, addresses, ...it }) => ({
      ...it,
      name,
      labels: JSON.parse(labels),
      addresses: JSON.parse(addresses),
      ports: [],
    }),
  );
  return { policies, containers, services: [], nodes: [], options: NO_OPTIONS };
}

const OPTIONS = { namespaces: null, mode: 'Enforce', networks: 16, ports: 16, names: null };
const yamlFile = (data) => join(data, '..', 'learned.yaml');

const QUESTIONS = {
  async learn(store, times, nowUs) {
    const { policies, yaml } = await store.exporter.call('learned', times, OPTIONS, await worldOf(store, []), nowUs);
    writeFileSync(yamlFile(folder), yaml);
    return { policies: policies.length, rules: policies.reduce((sum, it) => sum + it.rules, 0) };
  },
  async simulate(store, times) {
    const { policies } = parseDocuments(readFileSync(yamlFile(folder), 'utf8'), 'learned');
    const [before, after] = [await worldOf(store, []), await worldOf(store, policies)];
    const selections = new Map(policies.map((it) => [policyKey(it), it]));
    const { refused, unchanged, unknown } = await simulate(
      store,
      { before, after, selections },
      times.sinceUs,
      times.untilUs,
    );
    return { refused, unchanged, unknown };
  },
  async drift(store, times, nowUs) {
    const learned = parseDocuments(readFileSync(yamlFile(folder), 'utf8'), 'learned');
    // Of what the second release does, nothing is covered.
    const policies = learned.policies.filter(({ name }) => !/9-main$/.test(name));
    const standing = policies.map((policy) => {
      const [key, createdUs] = [policyKey(policy), nowUs - 2 * DAY_US];
      return { key, text: '', document: '{}', createdUs, updatedUs: createdUs };
    });
    const world = await worldOf(store, policies);
    const found = await store.exporter.call(
      'drift',
      { ...times, unusedSinceUs: times.sinceUs },
      null,
      standing,
      world,
      nowUs,
    );
    return {
      releases: found.releases.length,
      unused: found.unused.length + found.more.unused,
      peers: found.peers.length,
    };
  },
};

async function ask(name) {
  const store = open(folder);
  try {
    const nowUs = Date.now() * 1000;
    const times = { sinceUs: nowUs - 1.5 * DAY_US, untilUs: nowUs };
    // Threads and files are there before the clock starts.
    await store.reader.call('nodes');
    await store.exporter.call('nodes');
    const [began, cpu] = [performance.now(), process.cpuUsage()];
    const answer = await QUESTIONS[name](store, times, nowUs);
    const seconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    const peakMiB = Math.round(process.resourceUsage().maxRSS / 1024);
    return {
      seconds: Number(seconds.toFixed(2)),
      cpuSeconds: Number(((user + system) / 1e6).toFixed(2)),
      peakMiB,
      ...answer,
    };
  } finally {
    await store.close();
  }
}

const child = (command, ...args) =>
  execFileSync(command, args, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });

const HERE = [process.execPath, fileURLToPath(import.meta.url)];
/** On one processor. */
const asked = (name, data) => JSON.parse(child('taskset', '--cpu-list', '0', ...HERE, name, data));

if (phase === 'fill') {
  const store = open(folder);
  await fill(store, Number(count));
  await store.close();
} else if (phase === 'retire') {
  for (const day of listDays(folder)) {
    keepRollUp(folder, day);
    removeDay(folder, day);
  }
} else if (phase in QUESTIONS) {
  console.log(JSON.stringify(await ask(phase)));
} else {
  const millions = Number(phase);
  if (!(millions > 0 && millions <= MOST_MILLIONS))
    throw new Error(`${script}: give millions of flows, more than 0 and at most ${MOST_MILLIONS}`);
  const place = mkdtempSync(join(process.env.CELLWALL_BENCH_FOLDER ?? tmpdir(), 'cellwall-bench-learn-'));
  try {
    const data = join(place, 'data');
    child(...HERE, 'fill', data, String(millions * 1e6));
    const all = () => Object.fromEntries(Object.keys(QUESTIONS).map((name) => [name, asked(name, data)]));
    const stored = all();
    child(...HERE, 'retire', data);
    console.log(JSON.stringify({ flows: millions * 1e6, containers: CONTAINERS, stored, rollUps: all() }));
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// `make bench`: measures, and writes docs/BENCHMARKS.md. Reports, never gates. ROUNDS: of the interleaved measurements. PARTS: measures
// these again, and keeps what was measured of the others.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeLeftovers } from '../harness/cgroups.js';
import { Cleanup } from '../harness/cleanup.js';
import { PREFIX } from '../harness/place.js';
import { Background, run, until } from '../harness/run.js';
import { usageOf } from '../harness/usage.js';
import { busyShare, type Line, type Measured, writeDocument } from './document.js';
import { measureFleet, measureIngest } from './fleet.js';
import { BenchNode } from './node.js';

const ROUNDS = process.env.ROUNDS ?? '15';
const MILLIONS = 10;
/** Agents, and containers of each. */
const FLEETS = [
  [500, 20],
  [2000, 5],
] as const;
/** Less than this is noise. */
const TELLS_APART_NS = 100;
let lines: Line[] = [];
const say = (text: string) => process.stdout.write(`${text}\n`);

function line(what: string, measured: string, budget = '–', met: boolean | null = null): void {
  lines.push({ what, measured, budget, met });
  say(`  ${what}: ${measured}${met === false ? `  (budget ${budget})` : ''}`);
}

function connections(): void {
  say(`one connection, ${ROUNDS} interleaved rounds …`);
  const out = JSON.parse(run('build/agent/cellwall-bench', [ROUNDS])) as Record<string, number>;
  const ns = (name: string) => out[`${name}_ns`] ?? Number.NaN;
  const us = (value: number) => `${(value / 1000).toFixed(2)} µs`;
  const percent = (value: number) => `${(100 * value).toFixed(1)} %`;
  const ours = ns('cellwall') - ns('bare');
  const events = ns('conntrack_events') - ns('conntrack');
  line('connect, accept and close of both ends, bare', us(ns('bare')));
  line(
    'the same, both ends tracked',
    `+${us(ours)}, ${percent(ours / ns('bare'))}`,
    '≤ 3 %',
    ours / ns('bare') <= 0.03,
  );
  const policy = ns('cellwall_with_policy') - ns('bare');
  line('the same, and each connect matched against 1,000 networks', `+${us(policy)}, ${percent(policy / ns('bare'))}`);
  line('connection tracking instead, nobody listening', `+${us(ns('conntrack') - ns('bare'))}`);
  line('what `conntrack -E` adds to that', `+${us(events)}`);
  line(
    'tracking by Cellwall is cheaper than `conntrack -E`',
    `${(events / ours).toFixed(0)} ×`,
    '≥ 50 ×',
    events / ours >= 50,
  );
}

async function agent(folder: string, cleanup: Cleanup): Promise<void> {
  say('agent …');
  const node = await BenchNode.start(folder, cleanup);
  const container = node.makeContainer();
  const sink = new Background('build/workloads/sink', ['7999'], join(folder, 'sink.log'));
  cleanup.add('the sink', () => sink.stop());
  await sleep(1000);
  const mib = (value: number) => `${value.toFixed(1)} MiB`;

  const seconds = 20;
  const before = usageOf(node.agent.pid);
  await node.connect(container, 'paced', '127.0.0.1', '7999', String(seconds), '1000');
  const after = usageOf(node.agent.pid);
  line(
    'agent at 1,000 connections/s: CPU',
    `${((100 * (after.cpuSeconds - before.cpuSeconds)) / seconds).toFixed(2)} % of a core`,
  );
  line('agent at 1,000 connections/s: resident', mib(after.residentMiB), '≤ 24 MiB', after.residentMiB <= 24);
  line('agent at 1,000 connections/s: anonymous', mib(after.anonymousMiB), '≤ 8 MiB', after.anonymousMiB <= 8);

  const start = usageOf(node.agent.pid);
  const stored = (await node.status()).flows.stored;
  await node.connect(container, 'flood', '127.0.0.1', '7999', '10');
  await sleep(3000);
  const status = await node.status();
  const flows = status.flows.stored - stored;
  const cpu = usageOf(node.agent.pid).cpuSeconds - start.cpuSeconds;
  const lost = Object.values(status.lost).reduce((sum, count) => sum + count, 0);
  line('flood of 10 s on loopback, stored', `${Math.round(flows / 10).toLocaleString('en')} flows/s, ${lost} lost`);
  line(
    'agent CPU per million flows, ring to wire',
    `${((cpu / flows) * 1e6).toFixed(2)} s`,
    '≤ 0.5 s',
    (cpu / flows) * 1e6 <= 0.5,
  );

  for (let i = 1; i < 1000; i++) node.makeContainer();
  await until('1,000 containers are known', async () => {
    const { containers } = await node.server.get<{ containers: unknown[] }>('/v1/containers');
    return containers.length >= 1000;
  });
  await sleep(1000);
  const many = usageOf(node.agent.pid);
  line('agent with 1,000 containers: resident', mib(many.residentMiB), '≤ 32 MiB', many.residentMiB <= 32);
}

function beside(out: Record<string, number>, setup: string, what: string) {
  const base = out[`${setup}_${what}_ns`] ?? Number.NaN;
  const part = (name: string) => (out[`${setup}_${name}_ns`] ?? Number.NaN) / base - 1;
  return { base, part, percent: (name: string) => `${part(name) < 0 ? '' : '+'}${(100 * part(name)).toFixed(1)} %` };
}

/** Names and first payloads are read of containers that ask for it; the others pay nothing, having no program. */
function packets(): void {
  say('packets of a container whose names and payloads are read …');
  const out = JSON.parse(run('build/agent/cellwall-bench-packets', [ROUNDS])) as Record<string, number>;
  for (const [setup, what] of [
    ['server', 'with a server in a process of its own'],
    ['turns', 'with both ends in one thread (worst case)'],
  ] as const) {
    const { part, percent, base } = beside(out, setup, 'bare');
    const outside = beside(out, setup, 'outside');
    line(`64-byte request and response ${what}, connections recorded`, `${(base / 1000).toFixed(2)} µs`);
    // Of two processes, where the scheduler puts them counts for more than what is measured.
    if (setup === 'turns')
      line('beside a client that is not recorded', outside.percent('bare'), '≤ 0.3 %', outside.part('bare') <= 0.003);
    line('the same, a program per packet that does nothing', percent('empty'));
    line('the same, names and payloads read', percent('both'), '≤ 5 %', part('both') <= 0.05);
  }
  const bulk = beside(out, 'bulk', 'bare');
  line('64 KiB of a stream', `${(bulk.base / 1000).toFixed(2)} µs`);
  line('the same, a program per packet that does nothing', bulk.percent('empty'));
  line('the same, names and payloads read', bulk.percent('both'));
}

/** What being under a policy costs, and how fast a policy acts. Containers that are under none have no program. */
function enforcement(): void {
  say('containers under policy …');
  const out = JSON.parse(run('build/agent/cellwall-bench-guard', [ROUNDS])) as Record<string, number>;
  for (const [setup, what] of [
    ['server', 'with a server in a process of its own'],
    ['turns', 'with both ends in one thread (worst case)'],
  ] as const) {
    const { part, percent } = beside(out, setup, 'bare');
    line(
      `64-byte request and response ${what}, client under policy`,
      percent('guarded'),
      '≤ 5 %',
      part('guarded') <= 0.05,
    );
  }
  const figure = (name: string) => out[name] ?? Number.NaN;
  const inside = (name: string) => figure(`${name}_inside_ns`);
  const verdict = (name: string) => inside(name) - inside(name.startsWith('hot') ? 'hot_0' : 'cold_0');
  const ns = (value: number) => `${value.toFixed(0)} ns`;
  line("hook of connect, by the kernel's count, no policy about the container", ns(inside('hot_0')));
  line('the same, 10 networks, the same peer again', ns(inside('hot_10')));
  line('the same, 1,000 networks', ns(inside('hot_1000')));
  line('the same, 100,000 networks', ns(inside('hot_100000')));
  const ratio = inside('hot_100000') / inside('hot_10');
  line('the same, beside 10 networks', `${ratio.toFixed(2)} ×`, '≤ 1.3 ×', ratio <= 1.3);
  line(
    'verdict in it: what the 100,000 networks add',
    ns(verdict('hot_100000')),
    '≤ 500 ns',
    verdict('hot_100000') <= 500,
  );
  line('the same, always another peer', ns(verdict('cold_100000')));
  line('a packet that leaves a container under policy', ns(figure('cw_guard_egress_ns')));
  line('a packet that comes to it', ns(figure('cw_guard_ingress_ns')));
  const near = figure('near_runs_of_cw_guard_egress') + figure('near_runs_of_cw_guard_ingress');
  line('programs that packets of its neighbour run through', String(near), '0', near === 0);
  line(
    'open connections that a rule cuts',
    `${figure('cut_connections')} in ${figure('cut_ms').toFixed(0)} ms`,
    '10,000 in 1 s',
    figure('cut_ms') <= 1000,
  );
  line(
    'from a rule in the kernel to the last byte, p99',
    `${figure('last_byte_p99_ms').toFixed(2)} ms`,
    '≤ 100 ms',
    figure('last_byte_p99_ms') <= 100,
  );
  const names = JSON.parse(run('build/agent/cellwall-bench-names', [ROUNDS])) as Record<string, number>;
  line('answer of a name server, bound to who asked', ns(names.matched_ns ?? Number.NaN));
  const wall = JSON.parse(run('build/agent/cellwall-bench-wall', [ROUNDS])) as Record<string, number>;
  line('second wall, of a packet that is nothing new', ns(wall.tcp_inside_ns ?? Number.NaN));
}

/** What a datagram costs more than without rules, when the container has that many, none of which is about the datagram. */
function besideNft(): void {
  say('rules of Cellwall and of nftables about one container …');
  const out = JSON.parse(run('build/agent/cellwall-bench-beside-nft', [ROUNDS])) as Record<string, number>;
  if (out.nft_10_ns === undefined) {
    line('rules of nftables about a cgroup', 'not measured: this kernel has none');
    return;
  }
  const more = (name: string) => (out[`${name}_ns`] ?? Number.NaN) - (out.bare_ns ?? Number.NaN);
  for (const count of [10, 100, 1000]) {
    const [ours, theirs] = [more(`cellwall_${count}`), more(`nft_${count}`)];
    const ratio = theirs / Math.max(ours, TELLS_APART_NS);
    const rules = `${count.toLocaleString('en')} rules about a container`;
    line(`a datagram, ${rules}: Cellwall`, `+${ours.toFixed(0)} ns`);
    const beside = `+${theirs.toFixed(0)} ns, at least ${ratio.toFixed(1)} × of Cellwall`;
    if (count === 1000) line('the same, nftables `socket cgroupv2`', beside, '≥ 100 ×', ratio >= 100);
    else line('the same, nftables `socket cgroupv2`', beside);
  }
}

/** Agents here are simulated, and share the machine with the server. */
async function fleets(folder: string, cleanup: Cleanup): Promise<void> {
  say('durable rows through gRPC …');
  const ingest = await measureIngest(folder, cleanup, MILLIONS * 1e6);
  const rows = (value: number) => `${value.toLocaleString('en')} rows/s`;
  line('durable rows end to end, through gRPC and TLS', rows(ingest.rowsPerSecond));
  const ratio = ingest.last / ingest.first;
  line(`the last tenth of ${MILLIONS} million, beside the first`, `${ratio.toFixed(2)} ×`, '≥ 0.8 ×', ratio >= 0.8);
  const mib = (value: number) => `${value.toFixed(0)} MiB`;
  line('memory of the server then', mib(ingest.residentMiB), '≤ 512 MiB', ingest.residentMiB <= 512);
  for (const [agents, containers] of FLEETS) {
    say(`${agents} simulated agents …`);
    const fleet = await measureFleet(folder, cleanup, agents, containers, 20, 20);
    const all = `${agents.toLocaleString('en')} simulated agents`;
    line(
      `${all}, ${(agents * containers).toLocaleString('en')} containers: all connected in`,
      `${fleet.connectedSeconds.toFixed(1)} s`,
    );
    line('policy change on all of them, median', `${fleet.medianMs.toFixed(0)} ms`);
    line('the same, p99', `${fleet.p99Ms.toFixed(0)} ms`, '≤ 1 s', fleet.p99Ms <= 1000);
    line('until the last was acknowledged, at most', `${fleet.acknowledgedMs.toFixed(0)} ms`);
    line('rule sets of a node there', `${(fleet.payloadBytes / 1000).toFixed(0)} kB`);
    line('what a change of one rule sends it of them', `${(fleet.differenceBytes / 1000).toFixed(1)} kB`);
    line('events that all of them send together', `${fleet.eventsPerSecond.toLocaleString('en')} events/s`);
    line('memory of the server at most', mib(fleet.residentMiB));
    line('streams that ended', String(fleet.closed), '0', fleet.closed === 0);
  }
}

function compiler(): void {
  say('compiler, 10,000 containers and 1,000 policies …');
  const out = JSON.parse(run('node', ['test/bench/compile.js'])) as Record<string, number>;
  const ms = (name: string) => out[name] ?? Number.NaN;
  line('compile for 100 nodes, 10,000 containers, 1,000 policies', `${(ms('allMs') / 1000).toFixed(1)} s`);
  line('the same, for one node', `${ms('nodeMs').toFixed(0)} ms`);
  line('one pod comes, and its node is told', `${ms('podMs').toFixed(2)} ms`, '≤ 5 ms', ms('podMs') <= 5);
}

/** Pods, policies and nodes through the informers; the API server is a stand-in, and agents are simulated, beside the server. */
function kubernetes(): void {
  say('a cluster of 10,000 pods, 1,000 policies and 500 nodes …');
  const out = JSON.parse(run('node', ['node_modules/tsx/dist/cli.mjs', 'test/bench/kubernetes.ts'])) as Record<
    string,
    number
  >;
  const figure = (name: string) => out[name] ?? Number.NaN;
  const count = (name: string) => figure(name).toLocaleString('en');
  const ms = (name: string) => `${figure(name).toFixed(0)} ms`;
  const cluster = `${count('pods')} pods, ${count('policies')} policies, ${count('nodes')} nodes`;
  line(`${cluster}: from start to complete rule sets on all nodes`, `${figure('firstCompleteSeconds').toFixed(0)} s`);
  line('the same, until the status of every policy was written', `${figure('statusesSeconds').toFixed(0)} s`);
  line("one pod's address changes: until a node is told, median", ms('podP50Ms'));
  line('the same, p99', ms('podP99Ms'), '≤ 100 ms', figure('podP99Ms') <= 100);
  line('the same, until the last of the nodes is told, p99', ms('slowestNodeP99Ms'));
  const most = figure('mostMiB');
  line('memory of the server at most', `${most} MiB`, '≤ 512 MiB', most <= 512);
  line('the same, once all is told', `${count('residentAfterChangesMiB')} MiB`);
  line('requests to the API server while nothing changes', `${count('requestsPerMinute')} a minute`);
  line('CPU of the server then', `${figure('steadyCpuPercent').toFixed(1)} % of a core`);
}

function translations(): void {
  say('translated addresses at 2,000 connections/s …');
  const out = JSON.parse(run('build/agent/cellwall-bench-translations', [])) as Record<string, number>;
  const cpu = out.cpu_percent ?? Number.NaN;
  line('looking up translated addresses at 2,000 connections/s', `${cpu.toFixed(2)} % of a core`, '≤ 2 %', cpu <= 2);
  line('one look-up', `${((out.ns_per_look_up ?? 0) / 1000).toFixed(1)} µs`);
}

function store(): void {
  say('store, 10 million flows …');
  const out = JSON.parse(run('node', ['test/bench/ingest.js', '10', 'build/bench/raw_sqlite'])) as Record<
    string,
    number
  >;
  const count = (name: string) => (out[name] ?? 0).toLocaleString('en');
  const rate = out.rowsPerSecond ?? 0;
  line('durable rows into the store', `${count('rowsPerSecond')} rows/s`, '≥ 200,000 rows/s', rate >= 200_000);
  const last = (out.rowsPerSecondLastTenth ?? 0) / (out.rowsPerSecondFirstTenth ?? 1);
  line('the last tenth of 10 million, beside the first', `${last.toFixed(2)} ×`, '≥ 0.8 ×', last >= 0.8);
  const beside = rate / (out.rawRowsPerSecond ?? Number.NaN);
  line('the same rows inserted by C alone, into the same table', `${count('rawRowsPerSecond')} rows/s`);
  line('durable rows into the store, beside that', `${beside.toFixed(2)} ×`, '≥ 0.55 ×', beside >= 0.55);
  const decoded = out.decodedPerSecond ?? 0;
  line('decoding alone', `${count('decodedPerSecond')} flows/s of a core`, '≥ 1,500,000', decoded >= 1_500_000);
  const resident = out.residentMiB ?? Number.NaN;
  line('memory of store and senders in one process, at full load', `${resident} MiB`, '≤ 512 MiB', resident <= 512);
  line('backup', `${count('backupMiBPerSecond')} MiB/s`);
  const rollUp = out.rollUpBytesPerFlow ?? Number.NaN;
  line('disk for a flow in sums by hour', `${rollUp} bytes`, '≤ 6 bytes', rollUp <= 6);
  line('disk for a flow', `${count('bytesPerFlow')} bytes`, '≤ 100 bytes', (out.bytesPerFlow ?? 0) <= 100);
  line('newest 100 flows', `${out.pageMs} ms`);
  line('newest 100 flows of one container', `${out.pageOfContainerMs} ms`, '≤ 2 ms', (out.pageOfContainerMs ?? 0) <= 2);
  line('newest 100 refusals', `${out.deniedPageMs} ms`);
  line('a peer that nobody talked to, 10 million flows read', `${out.peerNotFoundMs} ms`);
  line('who is at the other end of 100 flows', `${out.peersMs} ms`);
  line('who was behind an address and port', `${out.whoMs} ms`, '≤ 20 ms', (out.whoMs ?? 99) <= 20);
  line(`map of a day, ${count('edges')} edges`, `${out.mapMs} ms`, '≤ 300 ms', (out.mapMs ?? 999) <= 300);
}

interface Asked {
  readonly seconds: number;
  readonly peakMiB: number;
}

/** What is asked over long times, each by a process of its own that has one processor. */
function learning(): void {
  say('policies learned from 10 million flows …');
  const out = JSON.parse(run('node', ['test/bench/learn.js', String(MILLIONS)])) as Record<
    string,
    Record<string, Asked>
  >;
  const names = { learn: 'policies learned', simulate: 'a change tried', drift: 'drift looked for' } as const;
  for (const [from, what, seconds] of [
    ['stored', `${MILLIONS} million flows of a day, 300 containers`, 30],
    ['rollUps', 'the sums of that day, its flows gone', 2],
  ] as const)
    for (const [name, does] of Object.entries(names)) {
      const asked = out[from]?.[name];
      if (!asked) throw new Error(`test/bench/learn.js says nothing of ${name} from ${from}`);
      const isLimited = name !== 'drift';
      line(
        `${does} from ${what}, on one processor`,
        `${asked.seconds.toFixed(2)} s`,
        isLimited ? `≤ ${seconds} s` : '–',
        isLimited ? asked.seconds <= seconds : null,
      );
      line('memory of the process then, at most', `${asked.peakMiB} MiB`, '≤ 512 MiB', asked.peakMiB <= 512);
    }
}

const RESULTS = 'build/bench/results.json';
const cleanup = new Cleanup();
/** In the order of the document. Each leaves nothing running. */
const PARTS: Readonly<Record<string, (folder: string, cleanup: Cleanup) => void | Promise<void>>> = {
  connections,
  packets,
  enforcement,
  besideNft,
  translations,
  agent,
  fleets,
  compiler,
  kubernetes,
  store,
  learning,
};

async function measure(wanted: readonly string[]): Promise<void> {
  const unknown = wanted.filter((part) => !PARTS[part]);
  if (unknown.length > 0)
    throw new Error(`PARTS has no ${unknown.join(' ')}: there are ${Object.keys(PARTS).join(' ')}`);
  const kept: Record<string, Measured> = existsSync(RESULTS) ? JSON.parse(readFileSync(RESULTS, 'utf8')) : {};
  for (const part of wanted) {
    lines = [];
    const busy = await busyShare();
    const folder = mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    cleanup.add('the folder', () => rmSync(folder, { recursive: true, force: true }));
    try {
      await PARTS[part]?.(folder, cleanup);
      kept[part] = { date: new Date().toISOString().slice(0, 10), busy, lines };
      writeFileSync(RESULTS, JSON.stringify(kept));
    } catch (error) {
      // The others are measured all the same.
      say(`${part} could not be measured: ${(error as Error).message}`);
      process.exitCode = 1;
    }
    await cleanup.run();
  }
  writeDocument(
    Object.keys(PARTS).flatMap((part) => (kept[part] ? [{ part, ...kept[part] }] : [])),
    ROUNDS,
  );
  say('wrote docs/BENCHMARKS.md');
}

try {
  await removeLeftovers(PREFIX);
  await measure(process.env.PARTS ? process.env.PARTS.split(' ') : Object.keys(PARTS));
} finally {
  await cleanup.run();
}

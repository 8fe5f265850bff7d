// SPDX-License-Identifier: Apache-2.0
//
// `cellwall policy describe`.
import { facts, localTime, table, useColor } from '../format.js';
import { type ConnectionOptions, connect, print } from '../shared.js';
import { policyAt } from './policy_keys.js';

interface Description {
  policy: { key: string; kind: string; mode: string | null; generation: number; updatedAt: string };
  since: string;
  selects: { node: string; name: string }[];
  nodes: {
    name: string;
    connected: boolean;
    wanted: number;
    applied: number;
    error: string | null;
    containers: number;
    compiled: { ruleSets: number; entries: number } | null;
  }[];
  rules: {
    direction: string | null;
    name: string;
    action: string | null;
    allowed: number;
    denied: number;
    audit: number;
    lastUsed: string | null;
  }[];
}

export interface DescribeOptions extends ConnectionOptions {
  since: string;
  output: 'table' | 'json';
}

function stateOf({ connected, wanted, applied, error }: Description['nodes'][number]): string {
  if (error) return `refused: ${error}`;
  const state = applied === wanted ? 'in force' : `generation ${applied} in force, ${wanted} wanted`;
  return connected ? state : `${state} (agent away)`;
}

function show({ policy, since, selects, nodes, rules }: Description): void {
  const now = new Date();
  const color = useColor(process.stdout);
  print(`${policy.key}\n`);
  print(
    facts([
      ['kind', policy.kind],
      ['mode', policy.mode],
      ['changed', `${localTime(policy.updatedAt, now)}, generation ${policy.generation}`],
      ['selects', selects.length === 0 ? 'no container that runs now' : `${selects.length} containers`],
    ]),
  );
  for (const { node, name } of selects) print(`            ${name} on ${node}\n`);
  print('\n');
  const nodeRows = nodes.map((it) => [
    { text: it.name, color: 'bold' as const },
    { text: String(it.containers), right: true },
    { text: it.compiled ? String(it.compiled.ruleSets) : '-', right: true },
    { text: it.compiled ? String(it.compiled.entries) : '-', right: true },
    { text: stateOf(it), color: it.error || it.applied !== it.wanted ? ('red' as const) : ('green' as const) },
  ]);
  print(table(['NODE', 'CONTAINERS', 'RULE SETS', 'ENTRIES', 'STATE'], nodeRows, color));
  print(`\ndecisions since ${localTime(since, now)}:\n`);
  const count = (value: number) => ({ text: value === 0 ? '-' : String(value), right: true });
  const ruleRows = rules.map((it) => [
    { text: it.direction ?? '-' },
    { text: it.name, color: 'bold' as const },
    { text: it.action ?? '-' },
    count(it.allowed),
    count(it.audit),
    count(it.denied),
    { text: it.lastUsed ? localTime(it.lastUsed, now) : 'never' },
  ]);
  print(table(['DIRECTION', 'RULE', 'ACTION', 'ALLOWED', 'AUDIT', 'DENIED', 'LAST USED'], ruleRows, color));
}

export async function describe(key: string, options: DescribeOptions): Promise<void> {
  const { path, query } = policyAt(key);
  const found = await connect(options).json<Description>('GET', `${path}/description`, {
    ...query,
    since: options.since,
  });
  if (options.output === 'json') print(`${JSON.stringify(found, null, 2)}\n`);
  else show(found);
}

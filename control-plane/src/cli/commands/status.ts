// SPDX-License-Identifier: Apache-2.0
import { Command } from 'commander';
import { bytes } from '../format.js';
import { lostText } from '../losses.js';
import { addConnection, addOutput, type ConnectionOptions, connect, type Output, print } from '../shared.js';

interface Status {
  version: string;
  startedAt: string;
  generation: number;
  store: {
    folder: string;
    days: number;
    bytes: number;
    oldestDay: string | null;
    writable: boolean;
    error: string | null;
    setAside: string[];
    maxBytes: number;
    lastStop: 'none' | 'clean' | 'crash';
    integrity: { waiting: number; checked: { file: string; result: 'ok' | 'newest' | 'damaged' }[] };
    outages: { from: string; to: string | null; cause: string }[];
    backup: { running: boolean; startedAt: string; result: { folder: string } | null; error: string | null } | null;
  };
  nodes: { connected: number; known: number };
  flows: { stored: number };
  audit: { count: number; hash: string };
  access: {
    denials: number;
    requestsLimited: number;
    questionsRefused: number;
    streams: number;
    streamsRefused: number;
    slowReadersDropped: number;
    connectionsEvicted: number;
  };
  lost: Record<string, number>;
}

/** Without what did not happen. */
function accessText({ access }: Status): string {
  const parts = [
    [access.denials, 'denied'],
    [access.requestsLimited, 'over the rate'],
    [access.questionsRefused, 'questions too many'],
    [access.streamsRefused, 'streams too many'],
    [access.slowReadersDropped, 'slow readers dropped'],
    [access.connectionsEvicted, 'connections evicted'],
  ] as const;
  const said = parts.filter(([count]) => count > 0).map(([count, what]) => `${count} ${what}`);
  const { streams } = access;
  return [`${streams} stream${streams === 1 ? '' : 's'} open`, ...said].join(', ');
}

function integrityText({ lastStop, integrity }: Status['store']): string {
  if (lastStop !== 'crash') return 'stopped in order before';
  const damaged = integrity.checked.filter((it) => it.result === 'damaged').map((it) => it.file);
  const found = damaged.length > 0 ? `DAMAGED: ${damaged.join(', ')}` : 'all whole';
  const left = integrity.waiting > 0 ? `, ${integrity.waiting} large files are still being read` : '';
  return `was not stopped in order before; ${integrity.checked.length} files checked, ${found}${left}`;
}

function backupText(backup: NonNullable<Status['store']['backup']>): string {
  if (backup.running) return `under way since ${backup.startedAt}`;
  return backup.result ? `${backup.startedAt} to ${backup.result.folder}` : `FAILED: ${backup.error}`;
}

function storeLines(store: Status['store']): [string, string][] {
  const lines: [string, string][] = [['', integrityText(store)]];
  if (store.bytes > store.maxBytes) lines.push(['', `over --max-bytes ${bytes(store.maxBytes)}: today alone is kept`]);
  for (const name of store.setAside) lines.push(['', `set aside, damaged: ${name}`]);
  const last = store.outages[0];
  if (last?.to) lines.push(['', `flows could not be stored from ${last.from} to ${last.to}`]);
  if (store.backup) lines.push(['backup', backupText(store.backup)]);
  return lines;
}

async function run(options: ConnectionOptions & { output: Output }): Promise<void> {
  const status = await connect(options).json<Status>('GET', '/v1/status');
  if (options.output === 'json') return print(`${JSON.stringify(status, null, 2)}\n`);
  const { store, nodes } = status;
  const lines: [string, string][] = [
    ['server', `${options.server}, version ${status.version}, since ${status.startedAt}`],
    ['nodes', `${nodes.connected} connected of ${nodes.known} known`],
    ['policy', `generation ${status.generation}`],
    ['flows', `${status.flows.stored} stored, ${lostText(status.lost)} lost`],
    [
      'store',
      `${store.folder}, ${bytes(store.bytes)}, ${store.days} day${store.days === 1 ? '' : 's'}${store.oldestDay ? ` from ${store.oldestDay}` : ''}`,
    ],
    ['audit', `${status.audit.count}:${status.audit.hash}`],
    ['access', accessText(status)],
    ...storeLines(store),
    ...(store.error ? [['TROUBLE', store.error] as [string, string]] : []),
  ];
  print(lines.map(([name, text]) => `${name.padEnd(8)} ${text}\n`).join(''));
}

export function statusCommand(): Command {
  return addOutput(addConnection(new Command('status').description('how the server is, and what was lost')), [
    'table',
    'json',
  ]).action(run);
}

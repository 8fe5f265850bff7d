// SPDX-License-Identifier: Apache-2.0
import { join } from 'node:path';
import Sqlite from 'better-sqlite3';
import { expect, it, onTestFinished } from 'vitest';
import { ChainCheck } from '../audit/chain.js';
import { temporaryFolder } from '../testing/folder.js';
import { AuditReading } from './audit_reading.js';
import { Connections } from './connections.js';
import { State } from './state.js';

function openState() {
  const folder = temporaryFolder();
  const state = new State(folder);
  const connections = new Connections(folder, () => {});
  onTestFinished(() => {
    connections.close();
    state.close();
  });
  return { folder, state, reading: new AuditReading(connections) };
}

const entry = (subject: string, details = {}) => ({ actor: 'a', action: 'b', subject, details });

it('appends a chain that holds after what it was read back from, whatever is in it', () => {
  const { state, reading } = openState();
  const odd = ['', 'ü', '\ud800', '\0', '\u2028"\\', 'x'.repeat(100_000)];
  for (const [index, text] of odd.entries())
    state.audit.append({ actor: text, action: text, subject: text, details: { [text]: text, n: 0.1 } }, index + 1);
  const check = new ChainCheck(state.audit.head());
  for (const it of reading.after(0, 100)) expect([it.number, check.next(it)]).toEqual([it.number, true]);
  expect(check.end()).toBeNull();
  expect(check.head.count).toBe(odd.length);
});

it('goes with its transaction', () => {
  const { state } = openState();
  expect(() =>
    state.transaction(() => {
      state.audit.append(entry('lost'), 1);
      throw new Error('no');
    }),
  ).toThrow('no');
  expect(state.audit.head().count).toBe(0);
});

it.each([
  'UPDATE audit SET actor = 1',
  'DELETE FROM audit WHERE number = 2',
  "INSERT OR REPLACE INTO audit VALUES (1, 1, 'x', 'x', 'x', '{}', 'x')",
  "INSERT INTO audit VALUES (9, 1, 'x', 'x', 'x', '{}', 'x')",
])('the database refuses "%s"', (sql) => {
  const { folder, state } = openState();
  for (const subject of ['one', 'two']) state.audit.append(entry(subject), 1);
  const other = new Sqlite(join(folder, 'state.db'));
  expect(() => other.exec(sql)).toThrow('append only');
  other.close();
});

it('finds entries by time, who and what, newest first, page by page', () => {
  const { state, reading } = openState();
  for (let i = 1; i <= 5; i++)
    state.audit.append({ actor: i % 2 ? 'token:bob:1' : 'server', action: `policy.${i}`, subject: '', details: {} }, i);
  const all = { sinceUs: null, untilUs: null, actor: null, action: null };
  const found = (filter: object, limit = 10, below: number | null = null) =>
    reading.list({ ...all, ...filter }, limit, below).map(({ number }) => number);
  expect(found({})).toEqual([5, 4, 3, 2, 1]);
  expect(found({ actor: 'token:bob:*' })).toEqual([5, 3, 1]);
  expect(found({ action: 'policy.[12]' })).toEqual([2, 1]);
  expect(found({ sinceUs: 2, untilUs: 4 })).toEqual([4, 3, 2]);
  expect(found({}, 2, 4)).toEqual([3, 2]);
});

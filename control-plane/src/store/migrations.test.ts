// SPDX-License-Identifier: Apache-2.0
//
// Files of every older version, filled, opened by this one and asked.
import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import Sqlite from 'better-sqlite3';
import { describe, expect, it } from 'vitest';
import { parseFilter } from '../flows/filter.js';
import { plainFlows } from '../testing/batches.js';
import { temporaryFolder } from '../testing/folder.js';
import { plainStorage } from '../testing/store.js';
import { Connections } from './connections.js';
import { dayOf } from './days.js';
import { Directory } from './directory.js';
import { DAY_MIGRATIONS, migrate, STATE_MIGRATIONS } from './migrations.js';
import { Reading } from './reading.js';
import { Storage } from './storage.js';

const NOW = Date.parse('2026-03-02T12:00:00Z') * 1000;
const DAY = dayOf(NOW);

/** The files as a version that knew so many steps left them, with a policy, a container and a flow. */
function oldFolder(stateSteps: number, daySteps: number): string {
  const folder = temporaryFolder();
  const state = new Sqlite(join(folder, 'state.db'));
  migrate(state, STATE_MIGRATIONS.slice(0, stateSteps));
  state.exec(`
    INSERT INTO settings VALUES ('generation', '7');
    INSERT INTO policies (key, namespace, name, document, generation, created_us, updated_us) VALUES ('a', '', 'a', '{}', 7, 1, 1);
    INSERT INTO nodes (id, name, epoch, hello, last_seen_us) VALUES (1, 'n', 'boot.1', '{}', 1);
    INSERT INTO containers (id, node, boot, cgroup, name, first_us, last_us) VALUES (1, 1, 'boot', 7, 'web', 1, 1);
    INSERT INTO strings (id, text) VALUES (1, 'curl');
  `);
  state.close();
  const day = new Sqlite(join(folder, `flows-${DAY}.db`));
  migrate(day, DAY_MIGRATIONS.slice(0, daySteps));
  day.exec(`
    INSERT INTO flows VALUES (1, 1, ${NOW}, 11, ${(1 << 10) | (1 << 8) | 6}, 0, 281473913978881, 40000, 0, 281473913978882, 443,
      100, 200, 3, 4, 80, 0, 0, 0, 4242, 1, 0, 0);
    INSERT INTO spans VALUES (1, 1, ${NOW}, ${NOW});
    INSERT INTO progress VALUES ('n', 'boot.1', 1, 1);
  `);
  day.close();
  return folder;
}

function ask(folder: string) {
  const { storage, commit } = plainStorage(NOW, folder);
  commit(plainFlows(2, 7, NOW));
  const policies = storage.state.policies.all().map(({ key, generation }) => ({ key, generation }));
  storage.close();
  const connections = new Connections(folder, () => {});
  const directory = new Directory(() => connections.state());
  const { flows } = new Reading(connections, directory).flows(parseFilter({}, NOW), 10, null);
  connections.close();
  return { policies, flows: flows.map(({ id, container, processName }) => ({ id, container, processName })) };
}

const versions = STATE_MIGRATIONS.flatMap((_, state) => DAY_MIGRATIONS.map((__, day) => [state + 1, day + 1] as const));

describe('data of older versions', () => {
  it.each(versions)('with %i steps of the state and %i of a day answers, and takes new flows', (state, day) => {
    const flow = { container: 'web', processName: 'curl' };
    expect(ask(oldFolder(state, day))).toEqual({
      policies: [{ key: 'a', generation: 7 }],
      flows: [3, 2, 1].map((id) => ({ id, ...flow })),
    });
  });

  it('is not changed by a second time', () => {
    const folder = oldFolder(1, 1);
    ask(folder);
    const schema = (): unknown[] => {
      const state = new Sqlite(join(folder, 'state.db'));
      const found = [state.pragma('user_version'), ...state.prepare('SELECT sql FROM sqlite_schema').all()];
      state.close();
      return found;
    };
    const before = schema();
    plainStorage(NOW, folder).storage.close();
    expect(schema()).toEqual(before);
  });

  it('whose migration is killed half way is whole, and is migrated by the next start', async () => {
    const folder = temporaryFolder();
    const file = join(folder, 'old.db');
    // Each step fills a table, so that it takes a while; the last ones find what the ones before have left.
    const steps = Array.from(
      { length: 40 },
      (_, i) =>
        `CREATE TABLE t${i} AS WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 20000) SELECT x FROM n;`,
    );
    const script = `
      import Sqlite from 'better-sqlite3';
      import { migrate } from ${JSON.stringify(resolve('dist/control-plane/src/store/migrations.js'))};
      const database = new Sqlite(${JSON.stringify(file)});
      database.pragma('journal_mode = WAL');
      console.log('begun');
      migrate(database, ${JSON.stringify(steps)});`;
    for (let round = 0; round < 5; round++) {
      const child = spawn('node', ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
      await new Promise((begun) => child.stdout.once('data', begun));
      await new Promise((later) => setTimeout(later, 5 + round * 15));
      child.kill('SIGKILL');
      await new Promise((gone) => child.once('exit', gone));
      const database = new Sqlite(file);
      const done = database.pragma('user_version', { simple: true }) as number;
      const tables = database.prepare("SELECT count(*) FROM sqlite_schema WHERE type = 'table'").pluck().get();
      expect(tables).toBe(done);
      expect(database.pragma('quick_check', { simple: true })).toBe('ok');
      database.close();
    }
    const database = new Sqlite(file);
    migrate(database, steps);
    expect(database.prepare('SELECT count(*) FROM t39').pluck().get()).toBe(20_000);
    database.close();
  });
});

describe('data of a newer version', () => {
  function newer(name: string): { folder: string; path: string; content: Buffer } {
    const folder = oldFolder(STATE_MIGRATIONS.length, DAY_MIGRATIONS.length);
    const path = join(folder, name);
    const database = new Sqlite(path);
    database.pragma('user_version = 99');
    database.close();
    return { folder, path, content: readFileSync(path) };
  }

  it.each(['state.db', `flows-${DAY}.db`])('in %s is refused with both versions, and left as it is', (name) => {
    const { folder, path, content } = newer(name);
    const files = readdirSync(folder);
    const open = () => new Storage({ folder, retentionDays: 1, rollUpDays: 400, maxBytes: 1, warn: () => {} });
    expect(open).toThrowError(expect.objectContaining({ code: 'newer_data' }));
    expect(open).toThrowError(new RegExp(`${name} has schema 99, this version knows \\d+; use the newer version`));
    expect(readFileSync(path)).toEqual(content);
    expect(readdirSync(folder).filter((it) => !/-(wal|shm)$/.test(it))).toEqual(files);
    expect(existsSync(`${path}.corrupt`)).toBe(false);
  });
});

// SPDX-License-Identifier: Apache-2.0
//
// Append only: what is released here is never changed. `user_version` of a file is the number of steps it has seen.
import { basename } from 'node:path';
import type { Database } from 'better-sqlite3';
import { CellwallError } from '../errors.js';

/** Who may do what, what is proposed, and what was done. */
const PEOPLE = `
  CREATE TABLE audit (
    number INTEGER PRIMARY KEY, time_us INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
    details TEXT NOT NULL, hash TEXT NOT NULL
  );
  CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;
  CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;
  -- INSERT OR REPLACE deletes without a trigger.
  CREATE TRIGGER audit_is_appended BEFORE INSERT ON audit WHEN NEW.number <> (SELECT coalesce(max(number), 0) + 1 FROM audit)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append only'); END;
  CREATE TABLE tokens (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, role TEXT NOT NULL, hash TEXT NOT NULL, created_us INTEGER NOT NULL,
    created_by TEXT NOT NULL, expires_us INTEGER, last_used_us INTEGER, revoked_us INTEGER
  ) WITHOUT ROWID;
  CREATE TABLE proposals (
    id INTEGER PRIMARY KEY, state TEXT NOT NULL, author TEXT NOT NULL, reason TEXT NOT NULL, source TEXT NOT NULL, body TEXT NOT NULL,
    keys TEXT NOT NULL, created_us INTEGER NOT NULL, generation INTEGER NOT NULL, effect TEXT NOT NULL,
    decided_us INTEGER, decided_by TEXT, decided_reason TEXT
  );
  CREATE INDEX proposals_by_state ON proposals (state);
`;

export const STATE_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
  CREATE TABLE policies (
    key TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL,
    generation INTEGER NOT NULL, created_us INTEGER NOT NULL, updated_us INTEGER NOT NULL
  ) WITHOUT ROWID;
  -- Numbers stay when the policy goes: flows refer to them.
  CREATE TABLE rules (id INTEGER PRIMARY KEY, policy TEXT NOT NULL, rule TEXT NOT NULL, UNIQUE (policy, rule));
  CREATE TABLE nodes (
    id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch TEXT NOT NULL, hello TEXT NOT NULL, last_seen_us INTEGER NOT NULL,
    applied_generation INTEGER NOT NULL DEFAULT 0, applied_error TEXT, counters TEXT NOT NULL DEFAULT '{}'
  );
  CREATE TABLE containers (
    id INTEGER PRIMARY KEY, node INTEGER NOT NULL, boot TEXT NOT NULL, cgroup INTEGER NOT NULL,
    namespace TEXT NOT NULL DEFAULT '', pod TEXT NOT NULL DEFAULT '', name TEXT NOT NULL DEFAULT '', image TEXT NOT NULL DEFAULT '',
    runtime TEXT NOT NULL DEFAULT '', runtime_id TEXT NOT NULL DEFAULT '', path TEXT NOT NULL DEFAULT '',
    labels TEXT NOT NULL DEFAULT '{}', addresses TEXT NOT NULL DEFAULT '[]',
    first_us INTEGER NOT NULL, last_us INTEGER NOT NULL, gone_us INTEGER, listed INTEGER NOT NULL DEFAULT 0,
    UNIQUE (node, boot, cgroup)
  );
  CREATE INDEX containers_by_name ON containers (name);
  CREATE TABLE strings (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
  -- A copy of what the day files know, for when they go.
  CREATE TABLE committed (node TEXT NOT NULL, epoch TEXT NOT NULL, event INTEGER NOT NULL, PRIMARY KEY (node, epoch)) WITHOUT ROWID;
  CREATE TABLE kernel_losses (
    node TEXT NOT NULL, epoch TEXT NOT NULL, reason INTEGER NOT NULL, total INTEGER NOT NULL, PRIMARY KEY (node, epoch, reason)
  ) WITHOUT ROWID;
  CREATE TABLE open_flows (
    id INTEGER PRIMARY KEY, node TEXT NOT NULL, cookie INTEGER NOT NULL, container INTEGER NOT NULL, end_us INTEGER NOT NULL,
    duration INTEGER NOT NULL, kind INTEGER NOT NULL, local_high INTEGER NOT NULL, local_low INTEGER NOT NULL,
    local_port INTEGER NOT NULL, remote_high INTEGER NOT NULL, remote_low INTEGER NOT NULL, remote_port INTEGER NOT NULL,
    sent INTEGER NOT NULL, received INTEGER NOT NULL, sent_packets INTEGER NOT NULL, received_packets INTEGER NOT NULL,
    rtt INTEGER NOT NULL, retransmits INTEGER NOT NULL, rule INTEGER NOT NULL, generation INTEGER NOT NULL,
    process INTEGER NOT NULL, process_name INTEGER NOT NULL, name INTEGER NOT NULL, server_name INTEGER NOT NULL
  );
  CREATE INDEX open_flows_by_node ON open_flows (node, cookie);
  -- Of open flows, as the table of this name in a day file.
  CREATE TABLE translations (
    id INTEGER PRIMARY KEY, source_high INTEGER NOT NULL, source_low INTEGER NOT NULL, source_port INTEGER NOT NULL,
    destination_high INTEGER NOT NULL, destination_low INTEGER NOT NULL, destination_port INTEGER NOT NULL
  );
  -- Who listened where, and when: gone_us is that of the first report without it.
  CREATE TABLE listeners (
    id INTEGER PRIMARY KEY, container INTEGER NOT NULL, protocol INTEGER NOT NULL, high INTEGER NOT NULL, low INTEGER NOT NULL,
    port INTEGER NOT NULL, process INTEGER NOT NULL, process_name INTEGER NOT NULL, first_us INTEGER NOT NULL, gone_us INTEGER
  );
  CREATE INDEX listeners_by_port ON listeners (port);
  `,
  `ALTER TABLE containers ADD COLUMN ports TEXT NOT NULL DEFAULT '[]';`,
  PEOPLE,
  // When flows could not be stored, and why. ended_us NULL: still, or the server ended meanwhile.
  `CREATE TABLE outages (began_us INTEGER PRIMARY KEY, ended_us INTEGER, cause TEXT NOT NULL);`,
  // Who agents are: see identities.ts.
  `
  CREATE TABLE join_tokens (
    id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, node TEXT, created_us INTEGER NOT NULL, expires_us INTEGER NOT NULL,
    used_us INTEGER, used_by TEXT, used_key TEXT, revoked_us INTEGER
  ) WITHOUT ROWID;
  CREATE TABLE identities (
    node TEXT PRIMARY KEY, serial TEXT, issued_us INTEGER, ends_us INTEGER, authority TEXT, method TEXT, revoked_us INTEGER,
    accepted_from_us INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT ''
  ) WITHOUT ROWID;
  `,
  // When the server heard of the first and of the last; 0: before there was this column.
  `
  ALTER TABLE kernel_losses ADD COLUMN first_us INTEGER NOT NULL DEFAULT 0;
  ALTER TABLE kernel_losses ADD COLUMN last_us INTEGER NOT NULL DEFAULT 0;
  `,
  // Policies as they were written, with their comments.
  `ALTER TABLE policies ADD COLUMN text TEXT NOT NULL DEFAULT '';`,
  // Where a policy is kept, and what Kubernetes said of the cluster last.
  `
  ALTER TABLE policies ADD COLUMN origin TEXT NOT NULL DEFAULT '';
  CREATE TABLE cluster (kind TEXT NOT NULL, key TEXT NOT NULL, facts TEXT NOT NULL, PRIMARY KEY (kind, key)) WITHOUT ROWID;
  `,
  // The day on which a string was written last, counted from 1970: see forgetting.ts.
  `
  ALTER TABLE strings ADD COLUMN day INTEGER NOT NULL DEFAULT 0;
  UPDATE strings SET day = unixepoch() / 86400;
  `,
  // What the pod of a container belongs to, as Kubernetes said; '': it has not.
  `
  ALTER TABLE containers ADD COLUMN workload TEXT NOT NULL DEFAULT '';
  CREATE INDEX containers_by_pod ON containers (namespace, pod);
  `,
  // When a policy first had a rule of that name; 0: before there was this column.
  `ALTER TABLE rules ADD COLUMN created_us INTEGER NOT NULL DEFAULT 0;`,
  // Versions of policies that are tried beside those in force.
  `
  CREATE TABLE staged (
    key TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL, document TEXT NOT NULL, text TEXT NOT NULL,
    author TEXT NOT NULL, staged_us INTEGER NOT NULL
  ) WITHOUT ROWID;
  `,
];

export const DAY_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE flows (
    id INTEGER PRIMARY KEY, container INTEGER NOT NULL, end_us INTEGER NOT NULL, duration INTEGER NOT NULL, kind INTEGER NOT NULL,
    local_high INTEGER NOT NULL, local_low INTEGER NOT NULL, local_port INTEGER NOT NULL,
    remote_high INTEGER NOT NULL, remote_low INTEGER NOT NULL, remote_port INTEGER NOT NULL,
    sent INTEGER NOT NULL, received INTEGER NOT NULL, sent_packets INTEGER NOT NULL, received_packets INTEGER NOT NULL,
    rtt INTEGER NOT NULL, retransmits INTEGER NOT NULL, rule INTEGER NOT NULL, generation INTEGER NOT NULL,
    process INTEGER NOT NULL, process_name INTEGER NOT NULL, name INTEGER NOT NULL, server_name INTEGER NOT NULL
  );
  -- Behind the container, SQLite keeps the id: the order of arrival, which for one container is that of the end.
  CREATE INDEX flows_by_container ON flows (container);
  -- Of the flows that were translated; the meaning of the ends is in flows/record.ts.
  CREATE TABLE translations (
    id INTEGER PRIMARY KEY, source_high INTEGER NOT NULL, source_low INTEGER NOT NULL, source_port INTEGER NOT NULL,
    destination_high INTEGER NOT NULL, destination_low INTEGER NOT NULL, destination_port INTEGER NOT NULL
  );
  -- How often a container asked for a name in a minute. addresses: JSON.
  CREATE TABLE lookups (
    container INTEGER NOT NULL, window_us INTEGER NOT NULL, name INTEGER NOT NULL, type INTEGER NOT NULL, result INTEGER NOT NULL,
    count INTEGER NOT NULL, addresses TEXT NOT NULL, PRIMARY KEY (container, window_us, name, type, result)
  ) WITHOUT ROWID;
  -- Runs of rows that were digested: found by the port of the caller, and summed up by hour. See digest.ts.
  CREATE TABLE segments (last_id INTEGER PRIMARY KEY, first_id INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL);
  CREATE TABLE caller_ports (port_group INTEGER NOT NULL, segment INTEGER NOT NULL, entries BLOB NOT NULL,
    PRIMARY KEY (port_group, segment)) WITHOUT ROWID;
  CREATE TABLE edges (
    hour INTEGER NOT NULL, container INTEGER NOT NULL, kind INTEGER NOT NULL, peer_high INTEGER NOT NULL, peer_low INTEGER NOT NULL,
    port INTEGER NOT NULL, backend_high INTEGER NOT NULL, backend_low INTEGER NOT NULL, backend_port INTEGER NOT NULL,
    outside_high INTEGER NOT NULL, outside_low INTEGER NOT NULL, rule INTEGER NOT NULL, name INTEGER NOT NULL, flows INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
    PRIMARY KEY (hour, container, kind, peer_high, peer_low, port, backend_high, backend_low, backend_port, outside_high, outside_low,
      rule, name)
  ) WITHOUT ROWID;
  -- event: the last one that is committed; flows: rows of the node in this file.
  CREATE TABLE progress (
    node TEXT NOT NULL, epoch TEXT NOT NULL, event INTEGER NOT NULL, flows INTEGER NOT NULL, PRIMARY KEY (node, epoch)
  ) WITHOUT ROWID;
  -- One for each commit: rows come nearly in the order of time, so that these find a time without an index on it.
  CREATE TABLE spans (last_id INTEGER PRIMARY KEY, first_id INTEGER NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL);
  -- Events that were made and never came: first_event to last_event of (node, epoch).
  CREATE TABLE losses (
    node TEXT NOT NULL, epoch TEXT NOT NULL, reason INTEGER NOT NULL, first_event INTEGER NOT NULL, last_event INTEGER NOT NULL,
    noticed_us INTEGER NOT NULL
  );
  `,
  // With row ids: without them SQLite puts all but the smallest entries into pages of their own, which takes three times the room.
  `
  CREATE TABLE ports (port_group INTEGER NOT NULL, segment INTEGER NOT NULL, entries BLOB NOT NULL, PRIMARY KEY (port_group, segment));
  INSERT INTO ports SELECT port_group, segment, entries FROM caller_ports ORDER BY segment, port_group;
  DROP TABLE caller_ports;
  ALTER TABLE ports RENAME TO caller_ports;
  `,
  `
  -- Of rows that stand for several flows, how many.
  CREATE TABLE counts (id INTEGER PRIMARY KEY, count INTEGER NOT NULL);
  -- Of events among which others are there, how many; and when they were made, where that is known.
  ALTER TABLE losses ADD COLUMN count INTEGER;
  ALTER TABLE losses ADD COLUMN first_us INTEGER;
  ALTER TABLE losses ADD COLUMN last_us INTEGER;
  `,
];

/** A month of roll-ups of days that are gone. */
export const ROLL_UP_MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE edges (
    hour INTEGER NOT NULL, container INTEGER NOT NULL, kind INTEGER NOT NULL, peer_high INTEGER NOT NULL, peer_low INTEGER NOT NULL,
    port INTEGER NOT NULL, backend_high INTEGER NOT NULL, backend_low INTEGER NOT NULL, backend_port INTEGER NOT NULL,
    outside_high INTEGER NOT NULL, outside_low INTEGER NOT NULL, rule INTEGER NOT NULL, name INTEGER NOT NULL, flows INTEGER NOT NULL, sent INTEGER NOT NULL, received INTEGER NOT NULL,
    first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,
    PRIMARY KEY (hour, container, kind, peer_high, peer_low, port, backend_high, backend_low, backend_port, outside_high, outside_low,
      rule, name)
  ) WITHOUT ROWID;
  -- Days that are in it, by what their file held last: one that was begun anew is another.
  CREATE TABLE days (
    day TEXT NOT NULL, last_id INTEGER NOT NULL, last_us INTEGER NOT NULL, PRIMARY KEY (day, last_id, last_us)
  ) WITHOUT ROWID;
  `,
];

export function schemaOf(database: Database): number {
  return database.pragma('user_version', { simple: true }) as number;
}

/** Throws on a file with steps that this program does not know: it must neither be changed nor be taken for damaged. */
export function refuseNewer(schema: number, file: string, migrations: readonly string[]): void {
  if (schema <= migrations.length) return;
  throw new CellwallError(
    'newer_data',
    `${file} was written by a newer version of Cellwall: ${basename(file)} has schema ${schema}, this version knows ${migrations.length}; use the newer version, or another folder`,
  );
}

/** Brings a file up to date; a second time does nothing. */
export function migrate(database: Database, migrations: readonly string[]): void {
  const done = schemaOf(database);
  refuseNewer(done, database.name, migrations);
  migrations.slice(done).forEach((sql, index) => {
    database.transaction(() => {
      database.exec(sql);
      database.pragma(`user_version = ${done + index + 1}`);
    })();
  });
}

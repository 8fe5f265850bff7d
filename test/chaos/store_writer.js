// SPDX-License-Identifier: Apache-2.0
//
// Writes into a store as the server does, and says after each commit what it would have acknowledged: the power cut is simulated on
// what this process did to its files. `node store_writer.js FOLDER COMMITS`
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { openStorage } from '../../dist/control-plane/src/store/start.js';
import { encodeBatch } from './numbered_batches.js';

const [folder, commits] = [process.argv[2], Number(process.argv[3])];
const ROWS = 200;
const DAY_US = 86_400e6;
const nowUs = Date.now() * 1000;
const acks = openSync(join(folder, 'acks'), 'a');

const { storage } = openStorage({
  folder,
  retentionDays: 5,
  rollUpDays: 400,
  maxBytes: 1e12,
  warn: (message) => process.stderr.write(`${message}\n`),
});

function commit(...batches) {
  const raw = batches.map(({ node, atUs }) => {
    const first = storage.committed(node, 'boot.1') + 1;
    return { stream: 1, node, epoch: 'boot.1', data: encodeBatch(first, ROWS, atUs) };
  });
  storage.commit(raw, nowUs);
  for (const { node } of batches) writeSync(acks, `${node} ${storage.committed(node, 'boot.1')}\n`);
  while (storage.digest());
}

// Node "old" has been silent since a day that is past its retention: what is known of it must outlive the file of that day.
commit({ node: 'old', atUs: nowUs - 6 * DAY_US });
for (let i = 0; i < commits; i++) {
  commit({ node: 'a', atUs: nowUs - (i % 5 === 0 ? DAY_US : 0) });
  if (i % 3 === 0) commit({ node: 'a', atUs: nowUs }, { node: 'b', atUs: nowUs - (i % 2) * DAY_US });
  if (i === Math.floor(commits / 2)) storage.retire(nowUs);
  if (i % 20 === 0)
    storage.state.transaction(() => storage.state.policies.setGeneration(storage.state.policies.generation() + 1));
}
// No close(): the power is cut.
process.exit(0);

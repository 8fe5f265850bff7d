// SPDX-License-Identifier: Apache-2.0
//
// An agent that speaks the real protocol and sends numbered rows as fast as the server lets it; it says on standard output what
// was acknowledged. Like the real one it keeps nothing: it goes on behind what the server has. `node agent.js ADDRESS NODE`
import { writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, makeClientConstructor } from '@grpc/grpc-js';
import { AGENT_SERVICE } from '../../dist/control-plane/src/grpc/frames.js';
import { v1 } from '../../dist/control-plane/src/ingest/wire.js';
import { encodeBatch } from './numbered_batches.js';

const [address, node, pace] = process.argv.slice(2);
const ROWS = 256;
const DAY_US = 86_400e6;
const EPOCH = 'boot.1';
const HEARTBEAT_MS = 3000;
const Client = makeClientConstructor(
  { stream: { ...AGENT_SERVICE.stream, requestSerialize: (data) => data } },
  'cellwall.v1.AgentService',
);

/** One stream, until it ends. */
function stream() {
  return new Promise((resolve) => {
    const client = new Client(address, credentials.createInsecure());
    const call = client.stream();
    let next = 0;
    let sequence = 0;
    let room = 0;
    const send = (request) =>
      call.write(Buffer.from(v1.StreamRequest.encode(v1.StreamRequest.create(request)).finish()));
    const fill = () => {
      for (; room > 0; room--) {
        const nowUs = Date.now() * 1000;
        // Into two days in turn.
        const data = encodeBatch(next, ROWS, ++sequence % 5 === 0 ? nowUs - DAY_US : nowUs, sequence);
        next += ROWS;
        send({ flows: v1.FlowBatch.decode(data) });
      }
    };
    call.on('data', ({ welcome, acknowledge }) => {
      if (welcome) {
        next = (welcome.committedEventIndex ?? 0) + 1;
        room = pace ? 1 : welcome.window;
      } else if (acknowledge) {
        writeSync(1, `${acknowledge.committedEventIndex}\n`);
        room++;
      }
      if (pace) setTimeout(fill, Number(pace));
      else fill();
    });
    const heartbeat = setInterval(() => send({ heartbeat: { number: 1 } }), HEARTBEAT_MS);
    call.on('error', () => {});
    call.on('status', () => {
      clearInterval(heartbeat);
      client.close();
      resolve();
    });
    send({ hello: { node, epoch: EPOCH, addresses: [], agentVersion: '0', kernelRelease: '0', architecture: '0' } });
  });
}

for (;;) {
  await stream();
  await sleep(10);
}

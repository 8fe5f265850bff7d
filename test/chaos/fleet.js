// SPDX-License-Identifier: Apache-2.0
//
// Simulated agents, many in one process: real gRPC streams over TLS, each with a certificate of its own node; no kernel. They list
// containers, answer rule sets as agents do whose kernel has taken them, and send batches when told. Forked by harness/fleet.ts.
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { credentials, makeClientConstructor } from '@grpc/grpc-js';
import { AGENT_SERVICE } from '../../dist/control-plane/src/grpc/frames.js';
import {
  ALGORITHM,
  certificatePem,
  readAuthority,
  signAgent,
} from '../../dist/control-plane/src/identity/certificates.js';
import * as x509 from '../../dist/control-plane/src/identity/x509.js';
import { v1 } from '../../dist/control-plane/src/ingest/wire.js';
import { columnsOf } from './numbered_batches.js';

const { address, authority, first, count, containers } = JSON.parse(process.argv[2]);
const HEARTBEAT_MS = 5000;
const HOUR_MS = 3_600_000;
/** As many at once as a server lets strangers of one address be. */
const DIALLING = 64;
const APPS = ['web', 'api', 'db', 'cache', 'queue'];

const Client = makeClientConstructor(
  { stream: { ...AGENT_SERVICE.stream, requestSerialize: (data) => data } },
  'cellwall.v1.AgentService',
);
const encode = (request) => Buffer.from(v1.StreamRequest.encode(v1.StreamRequest.create(request)).finish());
const now = () => performance.timeOrigin + performance.now();

/** What is the same in all batches; number and first event come behind it, as fields of one message may. */
const bodies = new Map();
function bodyOf(rows) {
  if (!bodies.has(rows)) {
    const endTimeDelta = Array.from({ length: rows }, (_, i) => (i === 0 ? Date.now() * 1000 : 0));
    const sentBytesPlusOne = Array(rows).fill(101);
    const ended = { ...columnsOf(rows), cgroups: [1000, 1001, 1002], endTimeDelta, sentBytesPlusOne };
    bodies.set(rows, v1.FlowBatch.encode(v1.FlowBatch.create({ ended })).finish());
  }
  return bodies.get(rows);
}
function batchOf(sequence, firstEventIndex, rows) {
  const own = v1.FlowBatch.encode(v1.FlowBatch.create({ sequence, firstEventIndex })).finish();
  const body = bodyOf(rows);
  return Buffer.concat([tagOf(body.length + own.length), body, own]);
}
function tagOf(length) {
  const bytes = [0x12];
  for (let rest = length; ; rest >>>= 7) {
    bytes.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80);
    if (rest < 0x80) return Buffer.from(bytes);
  }
}

const total = {
  connected: 0,
  closed: 0,
  acknowledged: 0,
  heartbeats: 0,
  payloadBytes: 0,
  differenceBytes: 0,
  reasons: {},
};
/** When each agent had a generation. */
const arrivals = new Map();
let sending = null;

class Agent {
  #number;
  #material;
  #call;
  #beat;
  #committed = 0;
  #sequence = 0;
  #next = 1;
  #underWay = 0;
  #window = 0;

  constructor(number, material) {
    this.#number = number;
    this.#material = material;
  }

  /** Resolves with the welcome, or with null when there is none. */
  connect() {
    const { authorities, key, chain } = this.#material;
    const client = new Client(address, credentials.createSsl(authorities, key, chain), {
      'grpc.use_local_subchannel_pool': 1,
      'grpc.ssl_target_name_override': 'localhost',
    });
    const call = client.stream();
    this.#call = call;
    const nodeAddress = `172.16.${this.#number >> 8}.${this.#number & 255}`;
    return new Promise((resolve) => {
      call.on('data', (response) => {
        if (response.welcome) {
          this.#welcomed(response.welcome);
          resolve(response.welcome);
        } else this.#take(response);
      });
      call.on('error', () => {});
      call.on('status', ({ code, details }) => {
        if (this.#beat) {
          clearInterval(this.#beat);
          this.#beat = undefined;
          total.connected--;
          total.closed++;
        }
        const reason = `${code} ${details}`.slice(0, 100);
        total.reasons[reason] = (total.reasons[reason] ?? 0) + 1;
        client.close();
        resolve(null);
      });
      const hello = { node: `node-${this.#number}`, epoch: 'boot.1', addresses: [nodeAddress], takesDifferences: true };
      call.write(encode({ hello: { ...hello, agentVersion: 'simulated', kernelRelease: '0', architecture: '0' } }));
    });
  }

  #welcomed(welcome) {
    total.connected++;
    this.#committed = welcome.committedEventIndex ?? 0;
    this.#next = this.#committed + 1;
    this.#window = welcome.window;
    this.#sequence = 0;
    this.#underWay = 0;
    this.#beat = setInterval(() => this.#call.write(encode({ heartbeat: { number: 1 } })), HEARTBEAT_MS);
    const upserted = Array.from({ length: containers }, (_, i) => ({
      cgroupId: 1000 + i,
      namespace: `team-${(this.#number + i) % 40}`,
      pod: `pod-${this.#number}-${i}`,
      name: 'main',
      labels: { app: APPS[i % APPS.length] },
      addresses: [`10.${this.#number >> 8}.${this.#number & 255}.${i + 1}`],
      runtime: 'containerd',
      runtimeId: `${this.#number}-${i}`,
    }));
    this.#call.write(encode({ containers: { complete: true, upserted } }));
    this.fill();
  }

  #take({ acknowledge, ruleSets, amendment, difference, heartbeat }) {
    if (acknowledge) {
      this.#underWay--;
      total.acknowledged += acknowledge.committedEventIndex - this.#committed;
      this.#committed = acknowledge.committedEventIndex;
      this.fill();
    } else if (heartbeat) total.heartbeats++;
    else if (ruleSets || amendment || difference) {
      const { generation, digest } = ruleSets ?? amendment ?? difference;
      this.#call.write(encode({ applied: { generation, ...(digest && { digest }) } }));
      if (amendment) return;
      const seen = arrivals.get(generation) ?? [];
      arrivals.set(generation, seen);
      seen.push(now());
      if (ruleSets) total.payloadBytes = ruleSets.payload.length;
      else if (seen.length === 1) total.differenceBytes = v1.RuleSetDifference.encode(difference).finish().length;
    }
  }

  fill() {
    if (!sending || !this.#beat) return;
    for (; this.#underWay < Math.min(sending.window, this.#window); this.#underWay++) {
      this.#call.write(batchOf(++this.#sequence, this.#next, sending.rows));
      this.#next += sending.rows;
    }
  }

  close() {
    this.#call?.cancel();
  }
}

const signer = await readAuthority(readFileSync(authority, 'utf8'), authority);
const keys = await crypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify']);
const key = Buffer.from(
  x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY'),
);
const publicKey = new x509.PublicKey(await crypto.subtle.exportKey('spki', keys.publicKey));
const authorities = Buffer.from(signer.certificatePem);
const agents = [];
for (let number = first; number < first + count; number++) {
  const certificate = await signAgent(signer, `node-${number}`, publicKey, Date.now(), 2 * HOUR_MS);
  agents.push(new Agent(number, { authorities, key, chain: Buffer.from(certificatePem(certificate)) }));
}

/** Until each has its stream: who is turned away comes again. */
async function connectAll() {
  const waiting = agents.slice();
  const dial = async () => {
    for (let agent = waiting.pop(); agent; agent = waiting.pop()) {
      if (await agent.connect()) continue;
      await sleep(100 + Math.random() * 400);
      waiting.push(agent);
    }
  };
  await Promise.all(Array.from({ length: DIALLING }, dial));
}

const commands = {
  connect: connectAll,
  send(wanted) {
    sending = wanted;
    for (const agent of agents) agent.fill();
  },
  report: ({ generation }) => ({ ...total, arrivals: arrivals.get(generation) ?? [] }),
  close() {
    for (const agent of agents) agent.close();
    setTimeout(() => process.exit(0), 100);
  },
};
process.on('message', async ({ id, command, value }) => {
  process.send({ id, result: await commands[command](value ?? {}) });
});
process.on('disconnect', () => process.exit(0));
process.send({ ready: true });

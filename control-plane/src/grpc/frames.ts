// SPDX-License-Identifier: Apache-2.0
//
// The service by hand, so that flow batches pass as bytes: they are decoded on the writer's thread.
import type { ServiceDefinition } from '@grpc/grpc-js';
import { checkNested, STREAM_REQUEST } from '../ingest/nested.js';
import { type types, v1 } from '../ingest/wire.js';

export type Frame = { readonly bytes: number } & (
  | { flows: Uint8Array }
  | { message: types.cellwall.v1.StreamRequest }
  | { malformed: string }
);
type Request = types.cellwall.v1.StreamRequest.$Properties;
type Response = types.cellwall.v1.StreamResponse.$Properties;

/** Tag of StreamRequest.flows: field 2, length-delimited. */
const FLOWS_TAG = (2 << 3) | 2;

/** The bytes of the FlowBatch, when the message holds that and nothing else. */
export function flowsOf(data: Uint8Array): Uint8Array | undefined {
  if (data[0] !== FLOWS_TAG) return undefined;
  let length = 0;
  let at = 1;
  for (let shift = 0; shift < 28; shift += 7) {
    const byte = data[at++];
    if (byte === undefined) return undefined;
    length |= (byte & 0x7f) << shift;
    if (byte < 0x80) return at + length === data.length ? data.subarray(at) : undefined;
  }
  return undefined;
}

function readFrame(data: Buffer): Frame {
  const bytes = data.length;
  const flows = flowsOf(data);
  if (flows) return { bytes, flows };
  try {
    checkNested(data, STREAM_REQUEST);
    return { bytes, message: v1.StreamRequest.decode(data) };
  } catch (error) {
    return { bytes, malformed: (error as Error).message };
  }
}

/** Most amendments are the same for all nodes; they do not change. */
const amendments = new WeakMap<object, Buffer>();

function writeResponse(response: Response): Buffer {
  const { amendment } = response;
  const known = amendment && amendments.get(amendment);
  if (known) return known;
  // Not copied: rule sets can have megabytes.
  const { buffer, byteOffset, length } = v1.StreamResponse.encode(v1.StreamResponse.create(response)).finish();
  const bytes = Buffer.from(buffer, byteOffset, length);
  if (amendment) amendments.set(amendment, bytes);
  return bytes;
}

export const AGENT_SERVICE = {
  stream: {
    path: '/cellwall.v1.AgentService/Stream',
    requestStream: true,
    responseStream: true,
    requestSerialize: (request: Request) =>
      Buffer.from(v1.StreamRequest.encode(v1.StreamRequest.create(request)).finish()),
    requestDeserialize: readFrame,
    responseSerialize: writeResponse,
    responseDeserialize: (data: Buffer) => v1.StreamResponse.decode(data),
  },
} as const satisfies ServiceDefinition;

// SPDX-License-Identifier: Apache-2.0
//
// The generated messages, with 64-bit integers as numbers. Import them from here only.
import protobuf from 'protobufjs/minimal.js';

// With Long, each 64-bit field is an object. Numbers above 2^53 lose digits; decode.ts and the stream refuse them.
(protobuf.util as { Long: unknown }).Long = undefined;
protobuf.configure();

const generated = await import('../grpc/generated/agent.js');
export const v1 = generated.cellwall.v1;
export type * as types from '../grpc/generated/agent.js';

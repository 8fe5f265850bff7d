// SPDX-License-Identifier: Apache-2.0
//
// What strangers can call: Enrol; and a stream, which is refused with the reason.
import { type ServerUnaryCall, type ServiceDefinition, type sendUnaryData, status } from '@grpc/grpc-js';
import type { Enrolment } from '../identity/enrolment.js';
import { type types, v1 } from '../ingest/wire.js';
import type { AgentCall } from './agents.js';
import { detailsOf, statusOf } from './status.js';
import type { Strangers } from './strangers.js';

type Request = types.cellwall.v1.EnrolRequest.$Properties;
type Response = types.cellwall.v1.EnrolResponse.$Properties;

/** All strangers together. */
const MOST_EACH_SECOND = 100;

export const ENROLMENT_SERVICE = {
  enrol: {
    path: '/cellwall.v1.EnrolmentService/Enrol',
    requestStream: false,
    responseStream: false,
    requestSerialize: (request: Request) =>
      Buffer.from(v1.EnrolRequest.encode(v1.EnrolRequest.create(request)).finish()),
    requestDeserialize: (data: Buffer) => v1.EnrolRequest.decode(data),
    responseSerialize: (response: Response) =>
      Buffer.from(v1.EnrolResponse.encode(v1.EnrolResponse.create(response)).finish()),
    responseDeserialize: (data: Buffer) => v1.EnrolResponse.decode(data),
  },
} as const satisfies ServiceDefinition;

type Answer = sendUnaryData<Response>;

/** enrolment undefined: the authority of agents is not ours. */
export function enrolmentHandlers(enrolment: Enrolment | undefined, store: string) {
  let second = 0;
  let calls = 0;
  const isTooMuch = () => {
    const now = Math.floor(Date.now() / 1000);
    if (now !== second) [second, calls] = [now, 0];
    return ++calls > MOST_EACH_SECOND;
  };
  const answer = async (enrolment: Enrolment, request: Request, caller: string): Promise<Response> => {
    const credential = request.joinToken
      ? { joinToken: request.joinToken }
      : { serviceAccountToken: request.serviceAccountToken ?? '' };
    const csr = request.certificateRequest?.pkcs10 ?? new Uint8Array();
    const { chain } = await enrolment.enrol(request.node ?? '', csr as Uint8Array, credential, caller);
    return { certificate: { chain, authorities: authoritiesOf(enrolment) }, store };
  };
  return {
    enrol: (call: ServerUnaryCall<Request, Response>, done: Answer) => {
      if (!enrolment)
        return done({
          code: status.UNIMPLEMENTED,
          details: 'this server signs no certificates: it was given those of agents',
        });
      if (isTooMuch()) return done({ code: status.RESOURCE_EXHAUSTED, details: 'too many enrol at once; try again' });
      answer(enrolment, call.request, call.getPeer()).then(
        (response) => done(null, response),
        (error: unknown) => done(statusOf(error)),
      );
    },
  };
}

export function authoritiesOf({ trust }: Enrolment): types.cellwall.v1.Authorities.$Properties {
  return { certificates: trust.bundle, signer: trust.authorities.signer.fingerprint };
}

export const refuseStream =
  (strangers: Strangers) =>
  (call: AgentCall): void => {
    const why = strangers.reason(call.getPeer()) ?? 'it shows no certificate';
    call.on('error', () => {});
    call.emit('error', { code: status.UNAUTHENTICATED, details: detailsOf(`the agent is not let in: ${why}`) });
  };

// SPDX-License-Identifier: Apache-2.0
//
// Puts together who agents and the server are, from the options.
import type { Tls } from '../config.js';
import type { AgentAccess } from '../grpc/agents.js';
import type { GrpcTls } from '../grpc/server.js';
import { AgentPods } from '../kubernetes/agent_pods.js';
import { KubernetesApi } from '../kubernetes/api.js';
import type { Logger } from '../logger.js';
import type { Store } from '../store/store.js';
import type { Proof } from './agent_certificate.js';
import { Enrolment } from './enrolment.js';
import { GivenFiles } from './given_files.js';
import { NodeIdentities } from './nodes.js';
import type { Audit } from './record.js';
import type { ServiceAccountReviewer } from './service_accounts.js';
import { type ServerIdentity, Trust } from './trust.js';

function proofOf(tls: Tls | undefined, trust: Trust | undefined): Proof | undefined {
  if (trust) return { kind: 'own', trust };
  return tls?.kind === 'given' && tls.clientCa ? { kind: 'given', anyName: tls.anyName } : undefined;
}

function reviewerOf(tls: Tls | undefined): ServiceAccountReviewer | undefined {
  if (tls?.kind !== 'own' || !tls.agentPods) return undefined;
  return new AgentPods(new KubernetesApi(tls.agentPods), tls.agentPods.account);
}

interface Identity {
  readonly trust: Trust | undefined;
  readonly given: GivenFiles | undefined;
  readonly access: AgentAccess;
  /** What people and agents are shown; undefined: plain text. */
  readonly shown: () => ServerIdentity | undefined;
  readonly forAgents: GrpcTls | undefined;
}

export async function startIdentity(
  tls: Tls | undefined,
  dataFolder: string,
  store: Store,
  audit: Audit,
  log: Logger,
  lookMs?: number,
): Promise<Identity> {
  const trust = tls?.kind === 'own' ? await Trust.open({ ...tls, dataFolder }, log) : undefined;
  const given = tls?.kind === 'given' ? new GivenFiles(tls, log, lookMs) : undefined;
  const nodes = new NodeIdentities(store, audit);
  await nodes.load();
  const enrolment = trust && new Enrolment(trust, nodes, store, reviewerOf(tls), audit);
  const shown = () => trust?.server ?? given?.current;
  const ca = () => trust?.bundle ?? given?.current.clientCa;
  const material = () => ({ ...(shown() as ServerIdentity), ca: ca() });
  return {
    trust,
    given,
    access: { proof: proofOf(tls, trust), nodes, enrolment, audit },
    shown,
    forAgents: tls && { material, enrolment },
  };
}

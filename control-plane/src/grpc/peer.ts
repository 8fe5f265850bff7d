// SPDX-License-Identifier: Apache-2.0
//
// Who is at the other end of a stream, and for how long that holds.
import { CellwallError } from '../errors.js';
import { type AgentCertificate, checkNode, readAgentCertificate } from '../identity/agent_certificate.js';
import type { AgentAccess, AgentCall } from './agents.js';

export class Peer {
  readonly certificate: AgentCertificate | undefined;
  readonly #access: AgentAccess;

  constructor(call: AgentCall, access: AgentAccess) {
    this.#access = access;
    if (!access.proof) return;
    const shown = call.getAuthContext().sslPeerCertificate?.raw;
    if (!shown) throw new CellwallError('unauthorized', 'the agent shows no certificate');
    this.certificate = readAgentCertificate(shown, access.proof);
  }

  /** Throws forbidden or unauthorized: it may not speak for this node (any more). */
  check(node: string): void {
    const { certificate } = this;
    if (certificate) checkNode(certificate, node);
    this.#access.nodes.check(node, certificate ?? null);
    if (certificate && certificate.endsUs <= Date.now() * 1000)
      throw new CellwallError(
        'unauthorized',
        `the certificate of node ${node} ended at ${new Date(certificate.endsUs / 1000).toISOString()}: it has to be renewed`,
      );
    const { proof } = this.#access;
    if (
      certificate &&
      proof?.kind === 'own' &&
      !proof.trust.trusted.some((it) => it.fingerprint === certificate.authority)
    )
      throw new CellwallError('unauthorized', `the authority of the certificate of node ${node} is trusted no more`);
  }
}

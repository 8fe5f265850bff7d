// SPDX-License-Identifier: Apache-2.0
//
// Who gets a certificate: an agent that proves its node by a join token or by the token of its pod's ServiceAccount, and one
// that has a certificate already.
import { CellwallError, toPlain } from '../errors.js';
import type { Store } from '../store/store.js';
import { checkNodeName, checkRequest } from './certificate_request.js';
import { sha256 } from './certificates.js';
import { hashSecret, joinTokenText, makeJoinToken, parseJoinToken } from './join_token.js';
import type { NodeIdentities } from './nodes.js';
import type { Audit } from './record.js';
import type { ServiceAccountReviewer } from './service_accounts.js';
import type { Trust } from './trust.js';

export type Credential = { readonly joinToken: string } | { readonly serviceAccountToken: string };

const LONGEST_TOKEN = 16_384;

export interface Issued {
  readonly chain: string;
  readonly endsUs: number;
}

export class Enrolment {
  readonly trust: Trust;
  readonly nodes: NodeIdentities;
  readonly #store: Store;
  readonly #reviewer: ServiceAccountReviewer | undefined;
  readonly #audit: Audit;

  constructor(
    trust: Trust,
    nodes: NodeIdentities,
    store: Store,
    reviewer: ServiceAccountReviewer | undefined,
    audit: Audit,
  ) {
    this.trust = trust;
    this.nodes = nodes;
    this.#store = store;
    this.#reviewer = reviewer;
    this.#audit = audit;
  }

  /** Returns the token, which is kept nowhere. */
  async createJoinToken(
    node: string | undefined,
    lifeSeconds: number,
    actor: string,
  ): Promise<{ id: string; token: string; expiresUs: number }> {
    if (node !== undefined) checkNodeName(node);
    const token = makeJoinToken(this.trust.keyHash);
    const expiresUs = (Date.now() + lifeSeconds * 1000) * 1000;
    const secretHash = hashSecret(token.secret);
    await this.#store.writer.call('addJoinToken', { id: token.id, secretHash, node: node ?? null, expiresUs });
    this.#audit(actor, 'join-token.create', token.id, { node: node ?? null, expiresUs });
    return { id: token.id, token: joinTokenText(token), expiresUs };
  }

  async revokeJoinToken(id: string, actor: string): Promise<void> {
    if (!(await this.#store.writer.call('revokeJoinToken', id)))
      throw new CellwallError('not_found', `there is no join token ${id}`);
    this.#audit(actor, 'join-token.revoke', id, {});
  }

  /** caller: where the request came from, for the log. */
  async enrol(node: string, request: Uint8Array, credential: Credential, caller: string): Promise<Issued> {
    try {
      checkNodeName(node);
      const key = await checkRequest(request, node);
      this.nodes.check(node, null);
      const method = await this.#prove(node, credential, sha256(key.rawData));
      return await this.#issue(node, key, method, caller);
    } catch (error) {
      this.#audit(caller, 'node.enrol.refused', node.slice(0, 253), { reason: toPlain(error).message });
      throw error;
    }
  }

  /** The caller has shown a certificate of this node. */
  async renew(node: string, request: Uint8Array): Promise<Issued> {
    try {
      const key = await checkRequest(request, node);
      this.nodes.check(node, null);
      return await this.#issue(node, key, 'renewal', `node:${node}`);
    } catch (error) {
      this.#audit(`node:${node}`, 'node.renew.refused', node, { reason: toPlain(error).message });
      throw error;
    }
  }

  async #prove(node: string, credential: Credential, keyHash: string): Promise<string> {
    if ('joinToken' in credential) {
      const token = parseJoinToken(credential.joinToken.slice(0, LONGEST_TOKEN));
      if (!token) throw new CellwallError('unauthorized', 'the join token is malformed');
      const secretHash = hashSecret(token.secret);
      await this.#store.writer.call('useJoinToken', { id: token.id, secretHash, node, keyHash });
      return `join token ${token.id}`;
    }
    if (!this.#reviewer)
      throw new CellwallError(
        'unauthorized',
        'tokens of ServiceAccounts are not taken: the server runs in no cluster (--kubernetes-agents)',
      );
    if (credential.serviceAccountToken.length > LONGEST_TOKEN)
      throw new CellwallError('unauthorized', 'the token of the ServiceAccount is too long');
    const pod = await this.#reviewer.review(credential.serviceAccountToken);
    if (pod.node !== node)
      throw new CellwallError('forbidden', `${pod.who} runs on node ${pod.node}, and not on ${node}`);
    return `service account ${pod.who}`;
  }

  async #issue(
    node: string,
    key: Awaited<ReturnType<typeof checkRequest>>,
    method: string,
    actor: string,
  ): Promise<Issued> {
    const { chain, endsUs, serial } = await this.trust.signAgent(node, key);
    const authority = this.trust.authorities.signer.fingerprint;
    await this.nodes.issued({ node, serial, endsUs, authority, method });
    // A renewal lets nobody in who was not: some thousand a day would bury the rest.
    if (method !== 'renewal') this.#audit(actor, 'node.enrol', node, { method, serial, endsUs });
    return { chain, endsUs };
  }
}

// SPDX-License-Identifier: Apache-2.0
//
// Nodes and their certificates: who was issued one, who is revoked. Kept in memory as the store has it: each stream asks.
import { EventEmitter } from 'node:events';
import { CellwallError } from '../errors.js';
import type { IssuedCertificate, NodeIdentity } from '../store/identities.js';
import type { Store } from '../store/store.js';
import type { AgentCertificate } from './agent_certificate.js';
import type { Audit } from './record.js';

const NONE: Omit<NodeIdentity, 'node'> = {
  serial: null,
  issuedUs: null,
  endsUs: null,
  authority: null,
  method: null,
  revokedUs: null,
  acceptedFromUs: 0,
  error: '',
};
const time = (us: number) => new Date(us / 1000).toISOString();

/** revoked: a node may not be spoken to any more. */
export class NodeIdentities extends EventEmitter<{ revoked: [node: string] }> {
  readonly #store: Store;
  readonly #audit: Audit;
  readonly #nodes = new Map<string, NodeIdentity>();

  constructor(store: Store, audit: Audit) {
    super();
    this.#store = store;
    this.#audit = audit;
  }

  /** At the start. */
  async load(): Promise<void> {
    const rows = await this.#store.writer.call('identities');
    this.#nodes.clear();
    for (const row of rows) this.#nodes.set(row.node, row);
  }

  /** After a change: certificates of a whole cluster are renewed at once when its authority is replaced. */
  async #reload(node: string): Promise<void> {
    const row = await this.#store.writer.call('identity', node);
    if (row) this.#nodes.set(node, row);
    else this.#nodes.delete(node);
  }

  get(node: string): NodeIdentity {
    return this.#nodes.get(node) ?? { node, ...NONE };
  }

  all(): NodeIdentity[] {
    return [...this.#nodes.values()];
  }

  /** Throws forbidden: the node, or this certificate of it, was revoked. */
  check(node: string, certificate: Pick<AgentCertificate, 'fromUs'> | null): void {
    const { revokedUs, acceptedFromUs } = this.get(node);
    if (revokedUs !== null)
      throw new CellwallError(
        'forbidden',
        `node ${node} was revoked at ${time(revokedUs)}; 'cellwall node allow ${node}' undoes that`,
      );
    if (certificate && certificate.fromUs < acceptedFromUs)
      throw new CellwallError(
        'forbidden',
        `certificates of node ${node} from before ${time(acceptedFromUs)} were revoked: its agent has to enrol anew`,
      );
  }

  async issued(certificate: IssuedCertificate): Promise<void> {
    await this.#store.writer.call('certificateIssued', certificate);
    await this.#reload(certificate.node);
  }

  /** What an agent says of its own renewal. */
  async reported(node: string, error: string): Promise<void> {
    if (!this.#nodes.has(node) || this.get(node).error === error) return;
    await this.#store.writer.call('certificateReported', node, error);
    await this.#reload(node);
  }

  async revoke(node: string, actor: string): Promise<void> {
    await this.#store.writer.call('revokeNode', node);
    await this.#reload(node);
    this.#audit(actor, 'node.revoke', node, {});
    this.emit('revoked', node);
  }

  /** newCertificate: those from before stay refused. Throws not_found. */
  async allow(node: string, newCertificate: boolean, actor: string): Promise<void> {
    // Certificates begin at a whole second.
    const from = newCertificate ? Math.floor(Date.now() / 1000) * 1e6 : 0;
    if (!(await this.#store.writer.call('allowNode', node, from)))
      throw new CellwallError('not_found', `node ${node} is not revoked`);
    await this.#reload(node);
    this.#audit(actor, 'node.allow', node, { newCertificate });
  }
}

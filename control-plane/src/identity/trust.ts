// SPDX-License-Identifier: Apache-2.0
//
// Whom the server trusts, and what it shows: its own authority, and the certificate that this has signed for it.
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { CellwallError } from '../errors.js';
import type { Logger } from '../logger.js';
import { type Authorities, AuthorityFolder } from './authority_folder.js';
import {
  type Authority,
  certificatePem,
  makeAuthority,
  makeServerCertificate,
  SERVER_MS,
  signAgent,
} from './certificates.js';
import type * as x509 from './x509.js';

const CHECK_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** The authority is replaced by hand: from here on the log says every day that it has to be. */
const WARN_MS = 365 * DAY_MS;

export interface ServerIdentity {
  readonly cert: Buffer;
  readonly key: Buffer;
}

export interface TrustOptions {
  readonly dataFolder: string;
  /** Of the server, for its certificate. */
  readonly names: readonly string[];
  readonly agentLifeMs: number;
}

export interface Signed {
  /** PEM: the certificate, then that of the authority. */
  readonly chain: string;
  readonly serial: string;
  readonly endsUs: number;
}

/** What a server shows has to be of the authority that all agents trust: while it is replaced, of the older one. */
const issuerOf = ({ signer, previous }: Authorities): Authority => previous ?? signer;

/** changed: other authorities are trusted, or the server shows another certificate. */
export class Trust extends EventEmitter<{ changed: [] }> {
  readonly #folder: AuthorityFolder;
  readonly #options: TrustOptions;
  readonly #log: Logger;
  #authorities: Authorities;
  #server: ServerIdentity = { cert: Buffer.alloc(0), key: Buffer.alloc(0) };
  #timer: NodeJS.Timeout | undefined;
  #warned = 0;

  private constructor(folder: AuthorityFolder, authorities: Authorities, options: TrustOptions, log: Logger) {
    super();
    // One for each stream of an agent.
    this.setMaxListeners(0);
    this.#folder = folder;
    this.#authorities = authorities;
    this.#options = options;
    this.#log = log;
  }

  /** Makes the authority when there is none yet. */
  static async open(options: TrustOptions, log: Logger): Promise<Trust> {
    const folder = new AuthorityFolder(options.dataFolder);
    const known = await folder.load();
    const authorities = known ?? { signer: await makeAuthority(Date.now()), previous: undefined };
    if (!known) {
      folder.create(authorities.signer);
      log.info({ authority: authorities.signer.subject, sha256: authorities.signer.fingerprint }, 'authority made');
    }
    const trust = new Trust(folder, authorities, options, log);
    await trust.#keepServer();
    trust.#timer = setInterval(() => {
      trust.#keepServer().catch((error: Error) => log.error(`the server's certificate: ${error.message}`));
    }, CHECK_MS).unref();
    return trust;
  }

  get authorities(): Authorities {
    return this.#authorities;
  }

  get trusted(): Authority[] {
    const { signer, previous } = this.#authorities;
    return previous ? [signer, previous] : [signer];
  }

  /** PEM of all that are trusted. */
  get bundle(): string {
    return this.trusted.map((it) => it.certificatePem).join('');
  }

  get server(): ServerIdentity {
    return this.#server;
  }

  get serverCertificate(): X509Certificate {
    return new X509Certificate(this.#server.cert);
  }

  /** What a join token carries: agents find this one behind the server's certificate. */
  get keyHash(): string {
    return issuerOf(this.#authorities).keyHash;
  }

  /** Of the authority with this subject; undefined: it is not trusted (any more). */
  bySubject(subject: string): Authority | undefined {
    return this.trusted.find((it) => it.subject === subject);
  }

  async signAgent(node: string, publicKey: x509.PublicKey): Promise<Signed> {
    const { signer } = this.#authorities;
    const certificate = await signAgent(signer, node, publicKey, Date.now(), this.#options.agentLifeMs);
    return {
      chain: certificatePem(certificate) + signer.certificatePem,
      serial: certificate.serialNumber,
      endsUs: certificate.notAfter.getTime() * 1000,
    };
  }

  /** A new authority signs from here on; both are trusted, and agents get certificates of the new one. */
  async rotate(): Promise<Authority> {
    if (this.#authorities.previous)
      throw new CellwallError(
        'conflict',
        `${this.#authorities.previous.subject} is being replaced already: end that with 'cellwall ca rotate --finish'`,
      );
    const signer = await makeAuthority(Date.now());
    this.#folder.rotate(signer);
    this.#authorities = { signer, previous: this.#authorities.signer };
    await this.#keepServer();
    this.emit('changed');
    return signer;
  }

  /** Returns the authority that is trusted no more. */
  async finish(): Promise<Authority> {
    const { signer, previous } = this.#authorities;
    if (!previous)
      throw new CellwallError('conflict', "no authority is being replaced: begin with 'cellwall ca rotate'");
    // The server's certificate first: a crash between the two leaves one that is made anew at the start.
    this.#folder.finish();
    this.#authorities = { signer, previous: undefined };
    await this.#keepServer();
    this.emit('changed');
    return previous;
  }

  async #keepServer(): Promise<void> {
    const issuer = issuerOf(this.#authorities);
    const kept = this.#folder.server();
    if (kept !== undefined && this.#isGood(kept, issuer)) {
      this.#show(kept);
    } else {
      const fresh = await makeServerCertificate(issuer, this.#options.names, Date.now());
      this.#folder.setServer(fresh);
      this.#show(fresh);
      this.#log.info(
        { names: this.#options.names, until: this.serverCertificate.validTo, authority: issuer.subject },
        'server certificate made',
      );
    }
    this.#warn();
  }

  #isGood(pem: string, issuer: Authority): boolean {
    try {
      const certificate = new X509Certificate(pem);
      const left = Date.parse(certificate.validTo) - Date.now();
      const names = this.#options.names.every((name) => certificate.checkHost(name) ?? certificate.checkIP(name));
      return (
        left > SERVER_MS / 3 &&
        names &&
        pem.includes(issuer.certificatePem.trim()) &&
        certificate.verify(new X509Certificate(issuer.certificatePem).publicKey) &&
        certificate.checkPrivateKey(createPrivateKey(pem))
      );
    } catch {
      return false;
    }
  }

  #show(pem: string): void {
    const next = Buffer.from(pem);
    if (next.equals(this.#server.cert)) return;
    const first = this.#server.cert.length === 0;
    // One text holds both; TLS takes from it what it looks for.
    this.#server = { cert: next, key: next };
    if (!first) this.emit('changed');
  }

  #warn(): void {
    if (Date.now() - this.#warned < DAY_MS) return;
    for (const { subject, certificate } of this.trusted) {
      const left = certificate.notAfter.getTime() - Date.now();
      if (left > WARN_MS) continue;
      this.#warned = Date.now();
      this.#log.warn(
        { authority: subject, until: certificate.notAfter.toISOString() },
        `the authority ends in ${Math.floor(left / DAY_MS)} days; replace it with 'cellwall ca rotate'`,
      );
    }
  }

  close(): void {
    clearInterval(this.#timer);
    this.removeAllListeners();
  }
}

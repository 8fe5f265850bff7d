// SPDX-License-Identifier: Apache-2.0
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

const FRESH = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2'];

/** An authority for certificates, by openssl, with all of its files in one folder. */
export class Authority {
  readonly certificate: string;
  readonly #folder: string;
  readonly #key: string;

  constructor(folder: string, name = 'ca') {
    this.#folder = folder;
    this.certificate = join(folder, `${name}.pem`);
    this.#key = join(folder, `${name}.key`);
    this.#openssl(...FRESH, '-subj', `/CN=${name}`, '-keyout', this.#key, '-out', this.certificate);
  }

  /** names: such as DNS:localhost, IP:127.0.0.1. */
  issue(name: string, names: readonly string[]): { readonly certificate: string; readonly key: string } {
    const issued = { certificate: join(this.#folder, `${name}.pem`), key: join(this.#folder, `${name}.key`) };
    this.#openssl(
      ...[...FRESH, '-subj', `/CN=${name}`, '-CA', this.certificate, '-CAkey', this.#key],
      ...['-addext', `subjectAltName=${names.join()}`, '-addext', 'basicConstraints=CA:FALSE'],
      ...['-keyout', issued.key, '-out', issued.certificate],
    );
    return issued;
  }

  #openssl(...args: string[]): void {
    execFileSync('openssl', args, { stdio: 'pipe' });
  }
}

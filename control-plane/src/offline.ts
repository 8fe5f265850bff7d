// SPDX-License-Identifier: Apache-2.0
//
// What can be done with a data folder while no server runs on it.
import { mkdirSync } from 'node:fs';
import { CellwallError } from './errors.js';
import { type Authorities, AuthorityFolder } from './identity/authority_folder.js';
import { makeAuthority } from './identity/certificates.js';
import { type DescribedAuthority, describeAuthorities } from './identity/description.js';
import { hashSecret, joinTokenText, makeJoinToken } from './identity/join_token.js';
import { FolderLock } from './store/lock.js';
import { State } from './store/state.js';

async function withFolder<T>(dataFolder: string, work: (folder: AuthorityFolder) => Promise<T>): Promise<T> {
  try {
    mkdirSync(dataFolder, { recursive: true, mode: 0o700 });
  } catch (error) {
    throw new CellwallError('invalid_option', `--data ${dataFolder}: ${(error as Error).message}`);
  }
  const lock = new FolderLock(dataFolder);
  try {
    return await work(new AuthorityFolder(dataFolder));
  } finally {
    lock[Symbol.dispose]();
  }
}

async function existing(folder: AuthorityFolder): Promise<Authorities> {
  const authorities = await folder.load();
  if (!authorities)
    throw new CellwallError('not_found', `${folder.path} holds no authority; make one with 'cellwall ca init'`);
  return authorities;
}

export const initAuthority = (dataFolder: string): Promise<DescribedAuthority[]> =>
  withFolder(dataFolder, async (folder) => {
    if (folder.exists) throw new CellwallError('conflict', `${folder.path} holds an authority already`);
    const signer = await makeAuthority(Date.now());
    folder.create(signer);
    return describeAuthorities({ signer, previous: undefined });
  });

/** Reads only, so that a server may run meanwhile. */
export async function showAuthority(dataFolder: string): Promise<DescribedAuthority[]> {
  return describeAuthorities(await existing(new AuthorityFolder(dataFolder)));
}

export const rotateAuthority = (dataFolder: string): Promise<DescribedAuthority[]> =>
  withFolder(dataFolder, async (folder) => {
    const { signer: previous, previous: older } = await existing(folder);
    if (older)
      throw new CellwallError(
        'conflict',
        `${older.subject} is being replaced already: end that with 'cellwall ca rotate --finish'`,
      );
    const signer = await makeAuthority(Date.now());
    folder.rotate(signer);
    return describeAuthorities({ signer, previous });
  });

/** force: also when there are nodes that would have to enrol anew. */
export const finishRotation = (dataFolder: string, force: boolean): Promise<DescribedAuthority[]> =>
  withFolder(dataFolder, async (folder) => {
    const { signer, previous } = await existing(folder);
    if (!previous) throw new CellwallError('conflict', 'no authority is being replaced');
    const state = new State(dataFolder);
    const nowUs = Date.now() * 1000;
    const all = state.identities.all();
    state.close();
    const behind = all.filter((it) => it.authority === previous.fingerprint && (it.endsUs ?? 0) > nowUs);
    if (behind.length > 0 && !force)
      throw new CellwallError(
        'conflict',
        `${behind.length} nodes still have certificates of the authority that is replaced: ${behind
          .slice(0, 20)
          .map(({ node }) => node)
          .join(', ')}; start the server and wait for them, or give --force`,
      );
    folder.finish();
    return describeAuthorities({ signer, previous: undefined });
  });

export const createJoinToken = (
  dataFolder: string,
  node: string | undefined,
  lifeSeconds: number,
): Promise<{ id: string; token: string; expires: string }> =>
  withFolder(dataFolder, async (folder) => {
    const { signer, previous } = await existing(folder);
    const token = makeJoinToken((previous ?? signer).keyHash);
    const nowUs = Date.now() * 1000;
    const expiresUs = nowUs + lifeSeconds * 1e6;
    const state = new State(dataFolder);
    const row = { id: token.id, secretHash: hashSecret(token.secret), node: node ?? null, expiresUs };
    state.transaction(() => state.identities.addJoinToken(row, nowUs));
    state.close();
    return { id: token.id, token: joinTokenText(token), expires: new Date(expiresUs / 1000).toISOString() };
  });

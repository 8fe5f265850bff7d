// SPDX-License-Identifier: Apache-2.0
//
// `login`, `logout`, `whoami`.
import { hostname, userInfo } from 'node:os';
import { createInterface } from 'node:readline/promises';
import { Writable } from 'node:stream';
import { Command } from 'commander';
import { EXIT } from '../../errors.js';
import { CommandError, readInput } from '../client.js';
import { credentialOf, credentialsFile, dropCredential, keepCredential } from '../credentials.js';
import { facts } from '../format.js';
import { addConnection, addOutput, type ConnectionOptions, connect, type Output, print } from '../shared.js';

interface Me {
  readonly name: string;
  readonly role: string;
  readonly kind: string;
  readonly actor: string;
  readonly expires: string | null;
}

interface Options extends ConnectionOptions {
  readonly tokenStdin?: boolean;
  readonly name?: string;
}

/** What is typed is not shown. */
async function askToken(): Promise<string> {
  if (!process.stdin.isTTY)
    throw new CommandError('standard input is no terminal: give the token with --token-stdin', EXIT.usage);
  process.stderr.write('token: ');
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const line = createInterface({ input: process.stdin, output: silent, terminal: true });
  try {
    return await line.question('');
  } finally {
    line.close();
    process.stderr.write('\n');
  }
}

function ownName(): string {
  const text = `${userInfo().username}@${hostname()}`.replace(/[^A-Za-z0-9._@-]/g, '-').slice(0, 63);
  return /^[A-Za-z0-9]/.test(text) ? text : 'admin';
}

/** The one-time token is exchanged, any other is kept as it is. */
async function login({ server, tlsCa, tokenStdin, name = ownName() }: Options): Promise<void> {
  const given = (tokenStdin ? readInput('-') : await askToken()).trim();
  if (given === '') throw new CommandError('no token was given', EXIT.usage);
  const place = { server, ...(tlsCa && { tlsCa }) };
  const ca = tlsCa ? readInput(tlsCa) : credentialOf(server)?.ca;
  const client = connect({ ...place, token: given });
  const token = given.startsWith('cellwall_once_')
    ? (await client.send<{ token: string }>('POST', '/v1/login', { name })).token
    : given;
  const me = await connect({ ...place, token }).json<Me>('GET', '/v1/whoami');
  keepCredential(server, { token, ...(ca !== undefined && { ca }) });
  const until = me.expires === null ? '' : `, until ${me.expires}`;
  print(`logged in to ${server} as ${me.name}, role ${me.role}${until}; kept in ${credentialsFile()}\n`);
}

async function logout(options: ConnectionOptions & { keep?: boolean }): Promise<void> {
  const { server } = options;
  if (!credentialOf(server)) throw new CommandError(`not logged in to ${server}`, EXIT.notFound);
  // Not the token of the environment: what is revoked is what is forgotten.
  const { token: _, ...place } = options;
  let revoked = false;
  try {
    if (!options.keep) revoked = (await connect(place).json<{ revoked: boolean }>('POST', '/v1/logout')).revoked;
  } catch (error) {
    process.stderr.write(`warning: the token was not revoked: ${(error as Error).message}\n`);
  }
  dropCredential(server);
  print(`logged out of ${server}${revoked ? ': the token is revoked' : ''}\n`);
}

async function whoami(options: ConnectionOptions & { output: Output }): Promise<void> {
  const me = await connect(options).json<Me>('GET', '/v1/whoami');
  if (options.output === 'json') return print(`${JSON.stringify(me, null, 2)}\n`);
  print(
    facts([
      ['name', me.name],
      ['role', me.role],
      ['by', me.kind],
      ['in audit', me.actor],
      ['expires', me.expires ?? 'never'],
    ]),
  );
}

export function loginCommand(): Command {
  return addConnection(
    new Command('login')
      .description('log in with the one-time token that the server has printed, or with a token that an admin has made')
      .option('--token-stdin', 'read the token from standard input')
      .option('--name <name>', 'of the personal token that the one-time token is exchanged for'),
  ).action(login);
}

export function logoutCommand(): Command {
  return addConnection(
    new Command('logout')
      .description('revoke the token of this server, and forget it')
      .option('--keep', 'do not revoke it: it is used elsewhere, too'),
  ).action(logout);
}

export function whoamiCommand(): Command {
  return addOutput(addConnection(new Command('whoami').description('who the server takes you for')), [
    'table',
    'json',
  ]).action(whoami);
}

// SPDX-License-Identifier: Apache-2.0
//
// The filters of flows, as options.
import { type Command, Option } from 'commander';
import { FILTER_WORDS, type FilterWord } from '../flows/filter.js';
import { FAILURES, PAYLOADS, PROTOCOLS } from '../flows/record.js';
import type { Query } from './client.js';

/** Those with a value. */
type Valued = Exclude<FilterWord, 'plaintext'>;

export type FilterOptions = Partial<Record<Valued, string>> & {
  readonly not: string[];
  readonly plaintext?: boolean;
};

export function filterQuery(options: FilterOptions): Query {
  const plaintext = options.plaintext ? 'true' : undefined;
  return {
    ...Object.fromEntries(FILTER_WORDS.map((name) => [name, name === 'plaintext' ? plaintext : options[name]])),
    not: options.not,
  };
}

const collect = (value: string, before: string[]): string[] => [...before, value];
const CONTAINER = 'NAMESPACE/POD/CONTAINER, POD/CONTAINER, CONTAINER or cgroup:ID';

export function addFilters(command: Command): Command {
  return command
    .option('-c, --container <name>', `${CONTAINER}; * stands for any text`)
    .option('-w, --workload <[kind/]name>', 'what pods belong to, such as deploy/web')
    .option('-p, --pod <name>', 'pod')
    .option('-n, --namespace <name>', 'namespace')
    .option('--node <name>', 'node')
    .option('--from <end>', 'who began: a container, as above, or an address, CIDR or ADDRESS:PORT')
    .option('--to <end>', 'who was reached, as --from')
    .option('--since <time>', 'not before: 2026-01-02T03:04:05Z, or 15m, 2h, 1d for as long ago')
    .option('--until <time>', 'not after')
    .addOption(new Option('--verdict <verdict>', 'what was decided').choices(['allowed', 'denied', 'audit']))
    .addOption(new Option('--direction <direction>', 'who began').choices(['egress', 'ingress']))
    .option('--protocol <protocol>', `${Object.keys(PROTOCOLS).join(', ')} or a number`)
    .option('--peer <address>', 'the other end: address, CIDR, ADDRESS:PORT, [V6]:PORT or :PORT; also as backend')
    .option('--port <port>', 'port of the server')
    .option('--service <service>', 'ADDRESS or ADDRESS:PORT that was asked for and translated to a backend')
    .option('--name <dns-name>', 'domain name or server name of TLS; * stands for any text')
    .addOption(new Option('--payload <protocol>', 'what it carries').choices(PAYLOADS.slice(1).map(({ name }) => name)))
    .option('--plaintext', 'what everybody on the way can read')
    .addOption(new Option('--end <reason>', 'how it ended').choices(['closed', 'denied', 'failed', 'reset', 'idle']))
    .addOption(new Option('--failure <reason>', 'why it failed').choices(FAILURES.slice(1)))
    .option(
      '--not <filter=value>',
      'leave out what a filter matches, such as verdict=denied; may be repeated',
      collect,
      [],
    );
}

// SPDX-License-Identifier: Apache-2.0
//
// `deny` and `allow`: one line that writes a policy.
import { Command, Option } from 'commander';
import { stringify } from 'yaml';
import { EXIT } from '../../errors.js';
import { parsePeer } from '../../flows/filter.js';
import { CommandError } from '../client.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';
import { collect, markOf, metadataOf, podLabelOption, readContainer, readLabels, slug, subjectOf } from '../subject.js';
import { type Applied, printApplied } from './policy.js';

interface Options extends ConnectionOptions {
  readonly container: string;
  readonly podLabel: string[];
  readonly to: string[];
  readonly protocol: 'tcp' | 'udp';
  readonly name?: string;
  readonly audit?: boolean;
  readonly dryRun?: boolean;
}

type Action = 'Accept' | 'Deny';

function readPeer(text: string): { host: string | undefined; port: number | undefined } {
  try {
    const peer = parsePeer(text);
    return { host: peer.network && 'text' in peer.network ? String(peer.network.text) : undefined, port: peer.port };
  } catch (error) {
    throw new CommandError(`--to ${(error as Error).message}`, EXIT.usage);
  }
}

function makeRule(action: Action, text: string, protocol: 'tcp' | 'udp', name: string) {
  const { host, port } = readPeer(text);
  return {
    name,
    action,
    ...(host !== undefined && { to: [{ networks: [host] }] }),
    ...(port !== undefined && { protocols: [{ [protocol]: { destinationPort: { number: port } } }] }),
  };
}

export function makePolicy(action: Action, options: Options) {
  const target = readContainer(options.container, options.podLabel);
  const matchLabels = readLabels(options.podLabel);
  const verb = action === 'Deny' ? 'deny' : 'allow';
  const rules = options.to.map((text) => makeRule(action, text, options.protocol, `${verb}-${slug(text)}`));
  // The same line gives the same policy, other lines other ones.
  const mark = markOf([target, matchLabels, rules]);
  return {
    apiVersion: 'cellwall.dev/v1alpha1',
    kind: 'ContainerPolicy',
    metadata: metadataOf(target, options.name ?? `${verb}-${slug(target.container)}-${mark}`),
    spec: {
      subject: subjectOf(target, matchLabels),
      mode: options.audit ? 'Audit' : 'Enforce',
      egress: rules,
    },
  };
}

async function run(action: Action, options: Options): Promise<void> {
  const policy = makePolicy(action, options);
  const query = { source: action === 'Deny' ? 'deny' : 'allow', dryRun: options.dryRun ? 'true' : 'false' };
  const text = stringify(policy);
  const done = await connect(options).json<Applied>('PUT', '/v1/policies', query, text);
  printApplied(text, done, options.dryRun);
  if (options.dryRun) return;
  if (action === 'Accept')
    print(`the container is isolated now: what no rule allows is ${options.audit ? 'marked as audit' : 'refused'}\n`);
  print(`take it back: cellwall policy delete ${done.applied[0]?.key}\n`);
}

function oneLine(action: Action, command: Command): Command {
  command
    .requiredOption('-c, --container <name>', 'NAMESPACE/POD/CONTAINER, or CONTAINER outside Kubernetes')
    .requiredOption(
      '--to <address>',
      'ADDRESS, CIDR, either with :PORT, [V6]:PORT, or :PORT; may be repeated',
      collect,
      [],
    )
    .addOption(podLabelOption())
    .addOption(new Option('--protocol <protocol>', 'of the port').choices(['tcp', 'udp']).default('tcp'))
    .option('--name <name>', 'of the policy')
    .option('--audit', 'let it through, but mark it')
    .option('--dry-run', 'check and print, change nothing');
  return addConnection(command).action((options: Options) => run(action, options));
}

export function denyCommand(): Command {
  return oneLine(
    'Deny',
    new Command('deny').description('refuse connections of one container: writes a policy'),
  ).addHelpText('after', '\nExample:\n  cellwall deny --container shop/web/malware --to 10.0.0.5:1433');
}

export function allowCommand(): Command {
  return oneLine(
    'Accept',
    new Command('allow').description('allow connections of one container, and refuse all others: writes a policy'),
  ).addHelpText(
    'after',
    '\nExample:\n  cellwall allow --container shop/web/nginx --to 10.0.0.5:1433 --to 10.0.0.10:53 --audit',
  );
}

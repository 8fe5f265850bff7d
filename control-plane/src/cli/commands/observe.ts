// SPDX-License-Identifier: Apache-2.0
//
// One line that writes an observation, or takes it back.
import { Command } from 'commander';
import { EXIT } from '../../errors.js';
import { CommandError } from '../client.js';
import { addConnection, type ConnectionOptions, connect, print } from '../shared.js';
import {
  markOf,
  metadataOf,
  podLabelOption,
  readContainer,
  readLabels,
  slug,
  subjectOf,
  type Target,
} from '../subject.js';
import { type Applied, printApplied, remove } from './policy.js';
import { policyAt } from './policy_keys.js';

interface Options extends ConnectionOptions {
  readonly namespace?: string;
  readonly container?: string;
  readonly podLabel: string[];
  readonly names?: boolean;
  readonly payload?: boolean;
  readonly name?: string;
  readonly off?: boolean;
  readonly dryRun?: boolean;
}

function readTarget({ namespace, container, podLabel }: Options): Target {
  if (container === undefined) {
    if (namespace === undefined)
      throw new CommandError('say of which containers: --namespace, --container or both', EXIT.usage);
    return { namespace, pod: undefined, container: undefined };
  }
  if (namespace !== undefined && !container.includes('/')) return { namespace, pod: undefined, container };
  const target = readContainer(container, podLabel);
  if (namespace !== undefined && namespace !== target.namespace)
    throw new CommandError(
      `--container ${container} is not in the namespace "${namespace}" of --namespace; leave one of them out`,
      EXIT.usage,
    );
  return target;
}

/** The name comes from the containers alone: what the last line about them asks for is what is observed of them. */
export function makeObservation(options: Options) {
  const target = readTarget(options);
  const matchLabels = readLabels(options.podLabel);
  if (!options.off && !options.names && !options.payload)
    throw new CommandError('say what to observe: --names, --payload or both; or --off', EXIT.usage);
  const subject = subjectOf(target, matchLabels);
  return {
    apiVersion: 'cellwall.dev/v1alpha1',
    kind: 'ContainerObservation',
    metadata: metadataOf(
      target,
      options.name ?? `observe-${slug(target.container ?? 'all')}-${markOf([target, matchLabels])}`,
    ),
    spec: {
      ...(Object.keys(subject).length > 0 && { subject }),
      ...(options.names && { names: true }),
      ...(options.payload && { payload: true }),
    },
  };
}

async function takeBack(key: string, options: Options): Promise<void> {
  if (!options.dryRun) return remove(key, options);
  const { path, query } = policyAt(key);
  await connect(options).json('GET', path, query);
  print(`${key} would be deleted; nothing was changed\n`);
}

async function run(options: Options): Promise<void> {
  // Loaded here: completion starts every command and should not wait for them.
  const { observationKey } = await import('../../policy/index.js');
  const { stringify } = await import('yaml');
  const observation = makeObservation(options);
  const { name, namespace = '' } = observation.metadata;
  const key = observationKey({ namespace, name });
  if (options.off) return takeBack(key, options);
  const text = stringify(observation);
  const query = { source: 'observe', dryRun: options.dryRun ? 'true' : 'false' };
  const done = await connect(options).json<Applied>('PUT', '/v1/policies', query, text);
  printApplied(text, done, options.dryRun);
  if (!options.dryRun) print(`take it back: cellwall policy delete ${key}\n`);
}

export function observeCommand(): Command {
  const command = new Command('observe')
    .description('read more of what containers send: names that they look up, what their connections carry')
    .option('-n, --namespace <name>', 'all containers of it; "" for those outside Kubernetes')
    .option(
      '-c, --container <name>',
      'NAMESPACE/POD/CONTAINER, or CONTAINER outside Kubernetes; with --namespace, CONTAINER in any pod',
    )
    .addOption(podLabelOption())
    .option('--names', 'read DNS answers: flows show the name that their address was looked up by')
    .option('--payload', 'tell TLS with version and server name, or which protocol in clear')
    .option('--off', 'delete the observation that this line would write')
    .option('--name <name>', 'of the observation')
    .option('--dry-run', 'check and print, change nothing')
    .addHelpText(
      'after',
      `
A line about the same containers replaces the one before. Both cost these containers something for each packet.

Examples:
  cellwall observe --namespace shop --names --payload
  cellwall observe --namespace shop --pod-label app=web --container nginx --payload
  cellwall observe --namespace shop --off`,
    );
  return addConnection(command).action(run);
}

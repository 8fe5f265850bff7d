// SPDX-License-Identifier: Apache-2.0
//
// The policy that a line of `deny` or `allow` writes.
import { EXIT } from '../errors.js';
import { parsePeer } from '../flows/filter.js';
import { CommandError } from './client.js';
import type { ConnectionOptions } from './shared.js';
import { markOf, metadataOf, readContainer, readLabels, slug, subjectOf } from './subject.js';

export interface Options extends ConnectionOptions {
  readonly container: string;
  readonly podLabel: string[];
  readonly to: string[];
  readonly protocol: 'tcp' | 'udp';
  readonly name?: string;
  readonly audit?: boolean;
  readonly dryRun?: boolean;
}

export type Action = 'Accept' | 'Deny';

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

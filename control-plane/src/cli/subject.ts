// SPDX-License-Identifier: Apache-2.0
//
// What a line of the CLI that writes a document is about.
import { createHash } from 'node:crypto';
import { Option } from 'commander';
import { EXIT } from '../errors.js';
import { CommandError } from './client.js';

export interface Target {
  namespace: string;
  pod: string | undefined;
  container: string | undefined;
}

/** With labels, the name of the pod is not needed, and not used. */
export function readContainer(text: string, labels: readonly string[]): Target & { container: string } {
  const parts = text.split('/');
  if (parts.some((part) => part === '') || parts.length > 3)
    throw new CommandError(
      `--container ${text}: write NAMESPACE/POD/CONTAINER, or CONTAINER outside Kubernetes`,
      EXIT.usage,
    );
  if (parts.length === 2 && labels.length === 0)
    throw new CommandError(
      `--container ${text}: write NAMESPACE/POD/CONTAINER, or NAMESPACE/CONTAINER together with --pod-label`,
      EXIT.usage,
    );
  if (parts.length === 3)
    return { namespace: parts[0] ?? '', pod: labels.length > 0 ? undefined : parts[1], container: parts[2] ?? '' };
  return { namespace: parts.length === 2 ? (parts[0] ?? '') : '', pod: undefined, container: parts.at(-1) ?? '' };
}

export function readLabels(labels: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    labels.map((label) => {
      const at = label.indexOf('=');
      if (at < 1) throw new CommandError(`--pod-label ${label}: write KEY=VALUE`, EXIT.usage);
      return [label.slice(0, at), label.slice(at + 1)];
    }),
  );
}

export const collect = (value: string, before: string[]): string[] => [...before, value];

export function podLabelOption(): Option {
  return new Option(
    '--pod-label <key=value>',
    'all pods with this label, in place of the one that is named; may be repeated',
  )
    .argParser(collect)
    .default([]);
}

export const slug = (text: string): string => text.replace(/[^A-Za-z0-9]+/g, '-').replace(/^-|-$/g, '');

/** For the name of a document. */
export function markOf(content: unknown): string {
  return createHash('sha256').update(JSON.stringify(content)).digest('hex').slice(0, 6);
}

export function metadataOf({ namespace }: Target, name: string) {
  return { name, ...(namespace !== '' && { namespace }) };
}

export function subjectOf({ pod, container }: Target, matchLabels: Readonly<Record<string, string>>) {
  const pods = {
    ...(pod !== undefined && { names: [pod] }),
    ...(Object.keys(matchLabels).length > 0 && { matchLabels }),
  };
  return {
    ...(Object.keys(pods).length > 0 && { pods }),
    ...(container !== undefined && { containers: [container] }),
  };
}

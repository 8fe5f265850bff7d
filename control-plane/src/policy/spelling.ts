// SPDX-License-Identifier: Apache-2.0
//
// What somebody may have meant.
import { KINDS } from './model.js';
import { NOT_OFFERED } from './schema.js';

/** Longer words are no misspelling of ours, and cost time to compare. */
const LONGEST_WORD = 60;

/** Changes of one letter that lead from one word to the other. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, i) => i);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const change = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(change, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? 0;
}

const FIELDS = [
  ...[
    'apiVersion',
    'kind',
    'metadata',
    'name',
    'namespace',
    'labels',
    'annotations',
    'spec',
    'subject',
    'mode',
    'isolate',
  ],
  ...['loopback', 'rawSockets', 'egress', 'ingress', 'pods', 'containers', 'images', 'namespaces', 'matchLabels'],
  ...[
    'matchExpressions',
    'names',
    'key',
    'operator',
    'values',
    'payload',
    'action',
    'to',
    'from',
    'protocols',
    'networks',
  ],
  ...[
    'except',
    'services',
    'domainNames',
    'entities',
    'tcp',
    'udp',
    'icmp',
    'destinationPort',
    'number',
    'range',
    'start',
  ],
  ...['end', 'type'],
];

function didYouMean(word: string, words: readonly string[]): string {
  if (word.length > LONGEST_WORD) return '';
  const nearest = words
    .map((known) => ({ known, far: distance(word.toLowerCase(), known.toLowerCase()) }))
    .sort((a, b) => a.far - b.far)[0];
  return nearest && nearest.far <= 3 ? `; did you mean "${nearest.known}"?` : '';
}

function oneOf(words: readonly unknown[]): string {
  const quoted = words.map((word) => JSON.stringify(word));
  return quoted.length < 2 ? quoted.join() : `${quoted.slice(0, -1).join(', ')} or ${quoted.at(-1)}`;
}

export function invalidOption(given: unknown, options: readonly unknown[]): string {
  if (typeof given !== 'string') return `must be ${oneOf(options)}`;
  const words = options.filter((option) => typeof option === 'string');
  return `"${given.slice(0, LONGEST_WORD)}" is not ${oneOf(options)}${didYouMean(given, words)}`;
}

export function unknownField(field: string): string {
  if (NOT_OFFERED.has(field) || FIELDS.includes(field)) return `"${field}" is not offered here in this version`;
  return `unknown field "${field}"${didYouMean(field, FIELDS)}`;
}

export function unknownKind(kind: unknown): string {
  const kinds = oneOf(KINDS);
  if (typeof kind !== 'string') return `must be ${kinds}`;
  return `unknown kind "${kind.slice(0, LONGEST_WORD)}", must be ${kinds}${didYouMean(kind, KINDS)}`;
}

// SPDX-License-Identifier: Apache-2.0
import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import type { z } from 'zod';
import { type Policy, type Problem, policyKey, type Requirement } from './model.js';
import { NOT_OFFERED, policySchema } from './schema.js';

export interface Parsed {
  readonly policies: Policy[];
  /** The documents as plain objects, in the order of `policies`. */
  readonly documents: unknown[];
  readonly problems: Problem[];
}

/** More than this is refused unread: 1 MiB holds some 30,000 networks. */
export const LONGEST_INPUT = 1 << 20;
const MOST_PROBLEMS = 20;

type Path = readonly PropertyKey[];

function pathText(path: Path): string {
  return path
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index ? '.' : ''}${String(part)}`))
    .join('');
}

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
  'loopback',
  'egress',
  'pods',
  'containers',
  'matchLabels',
  'matchExpressions',
  'names',
  'key',
  'operator',
  'values',
  'action',
  'to',
  'protocols',
  'networks',
  'tcp',
  'udp',
  'destinationPort',
  'number',
  'range',
  'start',
  'end',
];

function unknownField(field: string): string {
  if (NOT_OFFERED.has(field) || FIELDS.includes(field)) return `"${field}" is not offered here in this version`;
  const nearest = FIELDS.map((known) => ({ known, far: distance(field.toLowerCase(), known.toLowerCase()) })).sort(
    (a, b) => a.far - b.far,
  )[0];
  const hint = nearest && nearest.far <= 3 ? `; did you mean "${nearest.known}"?` : '';
  return `unknown field "${field}"${hint}`;
}

class Places {
  readonly #source: string;
  readonly #lines = new LineCounter();

  constructor(source: string) {
    this.#source = source;
  }

  get lines(): LineCounter {
    return this.#lines;
  }

  at(offset: number, path: Path): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.#source}:${line}:${col}${path.length ? ` ${pathText(path)}` : ''}`;
  }

  /** Of the value at the path, or of what is left of it where the value is missing. */
  of(document: Document, path: Path): string {
    for (let length = path.length; length >= 0; length--) {
      const node = length ? document.getIn(path.slice(0, length), true) : document.contents;
      const range = (node as { range?: readonly number[] } | undefined)?.range;
      if (range) return this.at(range[0] ?? 0, path);
    }
    return this.at(0, path);
  }
}

function problemsOf(issues: readonly z.core.$ZodIssue[], document: Document, places: Places): Problem[] {
  return issues.flatMap((issue): Problem[] => {
    if (issue.code === 'unrecognized_keys')
      return issue.keys.map((key) => ({
        where: places.of(document, [...issue.path, key]),
        message: unknownField(key),
      }));
    return [{ where: places.of(document, issue.path), message: issue.message }];
  });
}

function toPolicy(given: z.output<typeof policySchema>): Policy {
  const { metadata, spec } = given;
  const labels: Requirement[] = Object.entries(spec.subject.pods?.matchLabels ?? {}).map(([key, value]) => ({
    key,
    operator: 'In',
    values: [value],
  }));
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    mode: spec.mode,
    isolated: spec.isolate.length > 0 || spec.egress.some((rule) => rule.action === 'Accept'),
    loopback: spec.loopback,
    subject: {
      podLabels: [...labels, ...(spec.subject.pods?.matchExpressions ?? [])],
      podNames: spec.subject.pods?.names ?? [],
      containers: spec.subject.containers,
    },
    egress: spec.egress.map((rule) => ({
      name: rule.name,
      action: rule.action,
      networks: (rule.to ?? []).flatMap((peer) => peer.networks),
      ports: rule.protocols ?? [],
    })),
  };
}

/** Reads YAML or JSON with one or more policies. With any problem, nothing of the input should be used. */
export function parsePolicies(text: string, source: string): Parsed {
  const parsed: Parsed = { policies: [], documents: [], problems: [] };
  if (text.length > LONGEST_INPUT) {
    parsed.problems.push({ where: source, message: `is longer than ${LONGEST_INPUT} bytes; split it` });
    return parsed;
  }
  const places = new Places(source);
  const seen = new Set<string>();
  for (const document of parseAllDocuments(text, { lineCounter: places.lines, prettyErrors: false }) as Document[]) {
    for (const error of document.errors)
      parsed.problems.push({ where: places.at(error.pos[0], []), message: error.message });
    if (document.errors.length > 0 || document.contents === null) continue;
    const object: unknown = toObject(document, places, parsed.problems);
    if (object === undefined || object === null) continue;
    const result = policySchema.safeParse(object);
    if (!result.success) {
      parsed.problems.push(...problemsOf(result.error.issues, document, places));
      continue;
    }
    const policy = toPolicy(result.data);
    const key = policyKey(policy);
    if (seen.has(key))
      parsed.problems.push({
        where: places.of(document, ['metadata', 'name']),
        message: `the policy ${key} is there twice`,
      });
    seen.add(key);
    parsed.policies.push(policy);
    parsed.documents.push(object);
  }
  if (parsed.policies.length === 0 && parsed.problems.length === 0)
    parsed.problems.push({ where: source, message: 'holds no policy' });
  parsed.problems.splice(MOST_PROBLEMS);
  return parsed;
}

/** Aliases are expanded, but not without end. */
function toObject(document: Document, places: Places, problems: Problem[]): unknown {
  try {
    return document.toJS({ maxAliasCount: 100 });
  } catch (error) {
    problems.push({ where: places.at(0, []), message: (error as Error).message });
    return undefined;
  }
}

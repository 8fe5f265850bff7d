// SPDX-License-Identifier: Apache-2.0
import { type Document, LineCounter, parseAllDocuments } from 'yaml';
import type { z } from 'zod';
import { ALL_KINDS, documentKey, type Kind, type Observation, type Policy, type Problem } from './model.js';
import { toObservation, toPolicy } from './read.js';
import { type ObservationDocument, otherSchema, type PolicyDocument, SCHEMAS } from './schema.js';
import { invalidOption, unknownField, unknownKind } from './spelling.js';

/** A document as it was written. */
export interface Source {
  readonly key: string;
  readonly kind: Kind;
  readonly namespace: string;
  readonly name: string;
  /** A plain object. */
  readonly document: unknown;
  /** As the user wrote it, comments too, without the line between documents. */
  readonly text: string;
}

export interface Parsed {
  readonly policies: Policy[];
  readonly observations: Observation[];
  /** What the policies and observations were read from, in the order of the input. */
  readonly sources: Source[];
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
    if (issue.path[0] === 'kind')
      return [{ where: places.of(document, issue.path), message: unknownKind(document.get('kind')) }];
    if (issue.code === 'invalid_value')
      return [
        { where: places.of(document, issue.path), message: invalidOption(document.getIn(issue.path), issue.values) },
      ];
    return [{ where: places.of(document, issue.path), message: issue.message }];
  });
}

function schemaOf(object: object) {
  const kind = ALL_KINDS.find((known) => 'kind' in object && object.kind === known);
  return kind ? SCHEMAS[kind] : otherSchema;
}

class Parser {
  readonly parsed: Parsed = { policies: [], observations: [], sources: [], problems: [] };
  readonly #places: Places;
  readonly #seen = new Set<string>();
  readonly #text: string;
  /** Where the document before ended. */
  #end = 0;

  constructor(places: Places, text: string) {
    this.#places = places;
    this.#text = text;
  }

  read(document: Document): void {
    const { problems } = this.parsed;
    const from = this.#end;
    this.#end = document.range?.[2] ?? from;
    for (const error of document.errors)
      problems.push({ where: this.#places.at(error.pos[0], []), message: error.message });
    if (document.errors.length > 0 || document.contents === null) return;
    const object = toObject(document, this.#places, problems);
    if (object === undefined || object === null) return;
    const result = schemaOf(Object(object)).safeParse(object);
    if (result.success) this.#take(result.data as PolicyDocument | ObservationDocument, object, document, from);
    else problems.push(...problemsOf(result.error.issues, document, this.#places));
  }

  #take(given: PolicyDocument | ObservationDocument, object: unknown, document: Document, from: number): void {
    const { kind } = given;
    const { namespace = '', name } = given.metadata;
    const key = documentKey({ kind, namespace, name });
    if (this.#seen.has(key))
      this.parsed.problems.push({
        where: this.#places.of(document, ['metadata', 'name']),
        message: `the ${kind === 'ContainerObservation' ? '' : 'policy '}${key} is there twice`,
      });
    this.#seen.add(key);
    const text = withoutMarker(this.#text.slice(from, document.range?.[2]));
    this.parsed.sources.push({ key, kind, namespace, name, document: object, text });
    if (given.kind === 'ContainerObservation') this.parsed.observations.push(toObservation(given));
    else this.parsed.policies.push(toPolicy(given));
  }
}

/** "---" and "..." at the edges. */
const withoutMarker = (text: string): string =>
  text.replace(/^(---[ \t]*\n|\s*\n)+/, '').replace(/\n(\.\.\.|---)\s*$/, '\n');

/** Reads YAML or JSON with one or more documents. With any problem, nothing of the input should be used. */
export function parseDocuments(text: string, source: string): Parsed {
  const places = new Places(source);
  const parser = new Parser(places, text);
  const { parsed } = parser;
  if (text.length > LONGEST_INPUT) {
    parsed.problems.push({ where: source, message: `is longer than ${LONGEST_INPUT} bytes; split it` });
    return parsed;
  }
  for (const document of parseAllDocuments(text, { lineCounter: places.lines, prettyErrors: false }) as Document[])
    parser.read(document);
  if (parsed.sources.length === 0 && parsed.problems.length === 0)
    parsed.problems.push({ where: source, message: 'holds no policy and no observation' });
  parsed.problems.splice(MOST_PROBLEMS);
  return parsed;
}

/**
 * As parseDocuments of its JSON, for what no person wrote as it is here: only where something is wrong, the text is needed. JSON of
 * a person may have a field twice.
 */
export function parseObject(object: object, source: string): Parsed {
  const text = JSON.stringify(object);
  const result = schemaOf(object).safeParse(object);
  if (!result.success || text.length > LONGEST_INPUT) return parseDocuments(text, source);
  const given = result.data as PolicyDocument | ObservationDocument;
  const { kind } = given;
  const { namespace = '', name } = given.metadata;
  const key = documentKey({ kind, namespace, name });
  const sources = [{ key, kind, namespace, name, document: object, text }];
  return given.kind === 'ContainerObservation'
    ? { policies: [], observations: [toObservation(given)], sources, problems: [] }
    : { policies: [toPolicy(given)], observations: [], sources, problems: [] };
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

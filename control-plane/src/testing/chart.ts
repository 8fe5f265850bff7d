// SPDX-License-Identifier: Apache-2.0
//
// A stand-in for `helm template`: the part of its language that our chart uses (values, if, toYaml, quote, nindent, int64, files).
// It throws at anything else, so that the chart stays within it.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse, parseAllDocuments, stringify } from 'yaml';

export const CHART = join(import.meta.dirname, '../../../deploy/helm/cellwall');

type Values = Record<string, unknown>;
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Record<string, string>;
  };
  readonly [field: string]: unknown;
}

export const chartValues = (): Values => parse(readFileSync(join(CHART, 'values.yaml'), 'utf8')) as Values;

/** As helm does with -f: objects are merged, all else is replaced. */
export function mergeValues(base: Values, more: Values): Values {
  const isObject = (it: unknown): it is Values => typeof it === 'object' && it !== null && !Array.isArray(it);
  const merged = Object.entries(more).map(([key, value]) => {
    const before = base[key];
    return [key, isObject(before) && isObject(value) ? mergeValues(before, value) : value] as const;
  });
  return { ...base, ...Object.fromEntries(merged) };
}

type Token = { readonly text: string } | { readonly action: string };

function tokensOf(template: string): Token[] {
  const tokens: Token[] = [];
  const parts = template.split(/(\{\{-?[^}]*-?\}\})/);
  let trim = false;
  for (const [index, part] of parts.entries()) {
    if (part.startsWith('{{')) {
      trim = part.endsWith('-}}');
      tokens.push({ action: part.replace(/^\{\{-?|-?\}\}$/g, '').trim() });
      continue;
    }
    const text = trim ? part.trimStart() : part;
    tokens.push({ text: parts[index + 1]?.startsWith('{{-') ? text.trimEnd() : text });
  }
  return tokens;
}

class Template {
  readonly #scope: Values;
  readonly #tokens: Token[];

  constructor(text: string, scope: Values) {
    this.#scope = scope;
    this.#tokens = tokensOf(text);
  }

  /** Until "end", or to the last token. */
  render(): string {
    let out = '';
    for (let token = this.#tokens.shift(); token; token = this.#tokens.shift()) {
      if ('text' in token) out += token.text;
      else if (token.action === 'end') return out;
      else if (token.action.startsWith('if ')) {
        const holds = this.#truth(token.action.slice(3));
        const inner = this.render();
        if (holds) out += inner;
      } else out += String(this.#value(token.action));
    }
    return out;
  }

  #truth(expression: string): boolean {
    if (expression.startsWith('not ')) return !this.#truth(expression.slice(4));
    const value = this.#lookUp(expression);
    return Array.isArray(value) ? value.length > 0 : Boolean(value);
  }

  #value(expression: string): unknown {
    const [first = '', ...filters] = expression.split('|').map((it) => it.trim());
    return filters.reduce((value, filter) => applied(filter, value), this.#first(first));
  }

  #first(expression: string): unknown {
    const [word = '', argument] = expression.split(' ');
    if (word === 'toYaml') return toYaml(this.#lookUp(argument ?? ''));
    if (word === '.Files.Get') return readFileSync(join(CHART, JSON.parse(argument ?? '""')), 'utf8');
    return this.#lookUp(expression);
  }

  #lookUp(path: string): unknown {
    if (!/^(\.[A-Za-z]+)+$/.test(path)) throw new Error(`the stand-in for helm does not know {{ ${path} }}`);
    let found: unknown = this.#scope;
    for (const part of path.slice(1).split('.')) {
      found = (found as Values | undefined)?.[part];
      if (found === undefined) throw new Error(`${path} is not in values.yaml`);
    }
    return found;
  }
}

const toYaml = (value: unknown): string => stringify(value, { lineWidth: 0 }).trimEnd();

function applied(filter: string, value: unknown): unknown {
  if (filter === 'quote') return JSON.stringify(String(value));
  if (filter === 'int64') return Math.trunc(Number(value));
  const indent = /^nindent (\d+)$/.exec(filter)?.[1];
  if (indent === undefined) throw new Error(`the stand-in for helm does not know ${filter}`);
  const blanks = ' '.repeat(Number(indent));
  return `\n${String(value)
    .replace(/\n$/, '')
    .split('\n')
    .map((line) => blanks + line)
    .join('\n')}`;
}

/** Of all templates, in the order of their names, as text of YAML. */
export function renderText(values: Values, namespace: string): string {
  const scope = { Values: values, Release: { Namespace: namespace, Name: 'cellwall' } };
  const files = readdirSync(join(CHART, 'templates')).sort();
  return files
    .map((file) => new Template(readFileSync(join(CHART, 'templates', file), 'utf8'), scope).render().trim())
    .join('\n---\n');
}

export function render(more: Values = {}, namespace = 'cellwall'): Manifest[] {
  return parseAllDocuments(renderText(mergeValues(chartValues(), more), namespace))
    .map((document) => {
      for (const error of document.errors) throw error;
      return document.toJS() as Manifest | null;
    })
    .filter((it) => it !== null);
}

// SPDX-License-Identifier: Apache-2.0
//
// Another mode in a document that a person wrote: nothing else of the text changes.
import { type Document, isMap, isScalar, parseDocument, type YAMLMap } from 'yaml';
import type { Mode } from './model.js';

const splice = (text: string, from: number, to: number, what: string): string =>
  text.slice(0, from) + what + text.slice(to);

function specOf(document: Document): YAMLMap | undefined {
  const spec = document.get('spec', true);
  return isMap(spec) ? spec : undefined;
}

/** Of one document, YAML or JSON, that is a policy. */
export function withMode(text: string, mode: Mode): string {
  const document = parseDocument(text);
  const spec = specOf(document);
  const node = spec?.get('mode', true);
  if (isScalar(node) && node.range) {
    const [from, to] = node.range;
    const quote = /^["']/.exec(text.slice(from, to))?.[0] ?? '';
    return splice(text, from, to, `${quote}${mode}${quote}`);
  }
  if (spec?.items.length === 0 && spec.range) return splice(text, spec.range[0], spec.range[1], `{mode: ${mode}}`);
  const first = spec?.items[0]?.key;
  if (spec && isScalar(first) && first.range) {
    const [at] = first.range;
    const quote = text[at] === '"' ? '"' : '';
    const lead = text.slice(text.lastIndexOf('\n', at - 1) + 1, at);
    if (spec.flow) return splice(text, at, at, `${quote}mode${quote}: ${quote}${mode}${quote}, `);
    if (lead.trim() === '') return splice(text, at, at, `mode: ${mode}\n${lead}`);
  }
  document.setIn(['spec', 'mode'], mode);
  return document.toString({ lineWidth: 0 });
}

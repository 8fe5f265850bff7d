// SPDX-License-Identifier: Apache-2.0
//
// A stand-in for how the API server checks a custom resource: defaults, the OpenAPI part with ajv, lists that are maps, and the
// CEL rules with an evaluator of their own. Not what the rules may cost; that only the API server itself knows.
import { isCelError, run } from '@bufbuild/cel';
import { Ajv } from 'ajv';
import type { Structural } from '../policy/crd/structural.js';

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** As CEL has them. */
function toCel(value: unknown): unknown {
  if (Number.isInteger(value)) return BigInt(value as number);
  if (Array.isArray(value)) return value.map(toCel);
  if (!isObject(value)) return value;
  return new Map(Object.entries(value).map(([key, it]) => [key, toCel(it)]));
}

function* children(schema: Structural, value: unknown, path: string): Generator<[Structural, unknown, string]> {
  if (Array.isArray(value) && schema.items)
    for (const [index, it] of value.entries()) yield [schema.items, it, `${path}[${index}]`];
  if (!isObject(value)) return;
  for (const [name, it] of Object.entries(value)) {
    const property = schema.properties?.[name] ?? schema.additionalProperties;
    if (property) yield [property, it, `${path}.${name}`];
  }
}

function setDefaults(schema: Structural, value: unknown): void {
  if (isObject(value))
    for (const [name, property] of Object.entries(schema.properties ?? {}))
      if (property.default !== undefined && value[name] === undefined) value[name] = property.default;
  for (const [property, it] of children(schema, value, '')) setDefaults(property, it);
}

function* celProblems(schema: Structural, value: unknown, path: string): Generator<string> {
  for (const { rule, message } of schema['x-kubernetes-validations'] ?? []) {
    const result = run(rule, { self: toCel(value) as Map<string, never> });
    if (isCelError(result)) yield `${path}: ${rule}: ${result.message}`;
    else if (result !== true) yield `${path}: ${message}`;
  }
  const keys = schema['x-kubernetes-list-map-keys'];
  if (keys && Array.isArray(value)) {
    const seen = value.map((it) => keys.map((key) => String((it as Json)[key])).join('/'));
    for (const key of new Set(seen.filter((it, index) => seen.indexOf(it) !== index)))
      yield `${path}: ${key} is there twice`;
  }
  for (const [property, it, where] of children(schema, value, path)) yield* celProblems(property, it, where);
}

/** As the API server reads them (RE2): `\\PC` is written `\\P{C}` here. */
const regExp = Object.assign(
  (source: string, flags: string) => new RegExp(source.replace(/\\([pP])([A-Z])/g, '\\$1{$2}'), flags),
  { code: 'new RegExp' },
);
const ajv = new Ajv({ strict: false, allErrors: true, validateFormats: false, code: { regExp } });

/** Changes the object, as the API server does. */
export function problemsOf(schema: Structural, object: unknown): string[] {
  setDefaults(schema, object);
  const validate = ajv.compile(schema);
  if (!validate(object)) return (validate.errors ?? []).map((it) => `${it.instancePath}: ${it.message}`);
  return [...celProblems(schema, object, '')];
}

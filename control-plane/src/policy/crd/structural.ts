// SPDX-License-Identifier: Apache-2.0
//
// JSON Schema as zod writes it, to the structural schema that the API server of Kubernetes takes.

/** What we write of a JSONSchemaProps. */
export interface Structural {
  type?: string;
  description?: string;
  properties?: Record<string, Structural>;
  additionalProperties?: Structural;
  items?: Structural;
  required?: string[];
  enum?: unknown[];
  default?: unknown;
  allOf?: Structural[];
  anyOf?: unknown[];
  pattern?: string;
  format?: string;
  minLength?: number;
  maxLength?: number;
  minimum?: number;
  maximum?: number;
  minItems?: number;
  maxItems?: number;
  maxProperties?: number;
  'x-kubernetes-preserve-unknown-fields'?: true;
  'x-kubernetes-list-type'?: string;
  'x-kubernetes-list-map-keys'?: string[];
  'x-kubernetes-validations'?: { rule: string; message: string }[];
}

/** Of one object in Kubernetes. */
export const MOST_LENGTHS = { rules: 1000, peers: 100, protocols: 100, labels: 100 } as const;

type Json = Readonly<Record<string, unknown>>;

const KEPT = ['type', 'pattern', 'minLength', 'maxLength', 'minimum', 'maximum', 'minItems', 'maxItems', 'enum'];
const READ = [
  ...KEPT,
  '$schema',
  'default',
  'properties',
  'required',
  'items',
  'allOf',
  'additionalProperties',
  'propertyNames',
];

/** Go's regular expressions have no look-around. */
function checkPattern(pattern: unknown, path: string): void {
  if (typeof pattern === 'string' && /\(\?[=!<]/.test(pattern))
    throw new Error(`${path}: the API server cannot check the pattern ${pattern}`);
}

function toObject(json: Json, path: string): Structural {
  const properties = json.properties as Record<string, Json> | undefined;
  if (!properties) {
    const values = toStructural(json.additionalProperties as Json, `${path}{}`);
    return { type: 'object', additionalProperties: values, maxProperties: MOST_LENGTHS.labels };
  }
  const shape: Structural = {
    type: 'object',
    properties: Object.fromEntries(
      Object.entries(properties).map(([name, it]) => [name, toStructural(it, `${path}.${name}`)]),
    ),
    // Without this the API server drops a misspelt field in silence, and what is left may select or accept everything.
    'x-kubernetes-preserve-unknown-fields': true,
  };
  const required = (json.required ?? []) as string[];
  return required.length > 0 ? { ...shape, required } : shape;
}

export function toStructural(json: Json, path: string): Structural {
  const unknown = Object.keys(json).filter((key) => !READ.includes(key));
  if (unknown.length > 0) throw new Error(`${path}: nobody has said what ${unknown.join(', ')} becomes for Kubernetes`);
  checkPattern(json.pattern, path);
  if (json.type === 'object') return toObject(json, path);
  const plain = Object.fromEntries(KEPT.filter((key) => key in json).map((key) => [key, json[key]])) as Structural;
  // An empty list would be refused, or is what the list is without it.
  if (json.default !== undefined && !Array.isArray(json.default)) plain.default = json.default;
  if (json.items) plain.items = toStructural(json.items as Json, `${path}[]`);
  if (json.allOf)
    plain.allOf = (json.allOf as Json[]).map((it) => {
      const { type: _, ...rest } = toStructural(it, path);
      return rest;
    });
  if (plain.type === 'integer') plain.format = 'int32';
  return plain;
}

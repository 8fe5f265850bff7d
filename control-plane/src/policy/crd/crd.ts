// SPDX-License-Identifier: Apache-2.0
//
// The CustomResourceDefinitions of policies, made from the schema that the server itself checks with.
import { stringify } from 'yaml';
import { z } from 'zod';
import { API_GROUP, API_VERSION } from '../model.js';
import { SCHEMAS } from '../schema.js';
import { type CrdKind, pluralOf } from './kinds.js';
import { type Structural, toStructural } from './structural.js';
import { addValidations } from './validations.js';

const ABOUT: Readonly<Record<CrdKind, { shortName: string; text: string }>> = {
  ContainerPolicy: {
    shortName: 'cwpol',
    text: 'What the containers of one namespace that it selects may do.',
  },
  ClusterContainerPolicy: {
    shortName: 'ccwpol',
    text: 'What containers of all namespaces may do. It is asked before any ContainerPolicy.',
  },
};

const DESCRIPTIONS: Readonly<Record<string, string>> = {
  subject: 'Whom it selects. What is left out selects everything.',
  mode: 'Enforce, or Audit: nothing is refused, and flows say what would have been.',
  isolate: 'Directions in which everything is refused that no rule accepts; one with an Accept rule is so anyway.',
  loopback: 'Connections inside the pod.',
  rawSockets: 'Raw sockets, which can send what no rule sees.',
  egress: 'Rules of what they begin. Deny beats Accept.',
  ingress: 'Rules of what others begin with them. Deny beats Accept.',
};

const CONDITION: Structural = {
  type: 'object',
  required: ['type', 'status', 'reason', 'message', 'lastTransitionTime'],
  properties: {
    type: { type: 'string', maxLength: 316 },
    status: { type: 'string', enum: ['True', 'False', 'Unknown'] },
    reason: { type: 'string', maxLength: 1024 },
    message: { type: 'string', maxLength: 32_768 },
    lastTransitionTime: { type: 'string', format: 'date-time' },
    observedGeneration: { type: 'integer', format: 'int64', minimum: 0 },
  },
};

const STATUS: Structural = {
  type: 'object',
  description: 'Written by the server of Cellwall.',
  properties: {
    observedGeneration: {
      type: 'integer',
      format: 'int64',
      description: 'The metadata.generation that the conditions are about.',
    },
    policyGeneration: {
      type: 'integer',
      format: 'int64',
      description:
        'Of the policy set in which it was taken up; nodes that have applied this or a later one enforce it.',
    },
    nodes: {
      type: 'object',
      properties: {
        desired: { type: 'integer', format: 'int32', description: 'Nodes that should enforce it.' },
        enforcing: { type: 'integer', format: 'int32', description: 'Nodes that do.' },
        summary: { type: 'string', description: 'Both, for people.' },
      },
    },
    conditions: {
      type: 'array',
      maxItems: 8,
      items: CONDITION,
      'x-kubernetes-list-type': 'map',
      'x-kubernetes-list-map-keys': ['type'],
    },
  },
};

const conditionPath = (type: string) => `.status.conditions[?(@.type=="${type}")].status`;
const COLUMNS = [
  { name: 'Mode', type: 'string', jsonPath: '.spec.mode' },
  { name: 'Accepted', type: 'string', jsonPath: conditionPath('Accepted') },
  { name: 'Enforced', type: 'string', jsonPath: conditionPath('Enforced') },
  { name: 'Nodes', type: 'string', jsonPath: '.status.nodes.summary' },
  { name: 'Age', type: 'date', jsonPath: '.metadata.creationTimestamp' },
];

function specOf(kind: CrdKind): Structural {
  const json = z.toJSONSchema(SCHEMAS[kind].shape.spec, { io: 'input', unrepresentable: 'any', reused: 'inline' });
  const spec = toStructural(json as Record<string, unknown>, 'spec');
  addValidations(spec);
  for (const [name, description] of Object.entries(DESCRIPTIONS)) {
    const field = spec.properties?.[name];
    if (field) field.description = description;
  }
  return spec;
}

export function crd(kind: CrdKind) {
  const { shortName, text } = ABOUT[kind];
  const plural = pluralOf(kind);
  return {
    apiVersion: 'apiextensions.k8s.io/v1',
    kind: 'CustomResourceDefinition',
    metadata: { name: `${plural}.${API_GROUP}`, labels: { 'app.kubernetes.io/part-of': 'cellwall' } },
    spec: {
      group: API_GROUP,
      scope: kind === 'ContainerPolicy' ? 'Namespaced' : 'Cluster',
      names: {
        kind,
        listKind: `${kind}List`,
        plural,
        singular: kind.toLowerCase(),
        shortNames: [shortName],
        categories: ['cellwall'],
      },
      versions: [
        {
          name: API_VERSION,
          served: true,
          storage: true,
          subresources: { status: {} },
          additionalPrinterColumns: COLUMNS,
          schema: {
            openAPIV3Schema: {
              type: 'object',
              description: text,
              required: ['spec'],
              properties: {
                apiVersion: { type: 'string' },
                kind: { type: 'string' },
                metadata: { type: 'object' },
                spec: specOf(kind),
                status: STATUS,
              },
            },
          },
        },
      ],
    },
  };
}

export const crdFile = (kind: CrdKind): string => `${pluralOf(kind)}.yaml`;

export function crdText(kind: CrdKind): string {
  const head =
    '# SPDX-License-Identifier: Apache-2.0\n# Made by `npm run schema` from control-plane/src/policy; do not edit.\n';
  return head + stringify(crd(kind), { lineWidth: 0, aliasDuplicateObjects: false });
}

// SPDX-License-Identifier: Apache-2.0
//
// What the schema checks across fields, as CEL for the API server: the same refusals, when the object is applied. The limits
// are lower than the schema's, because CEL may cost so much for the largest object that the lists allow.
import { MOST_LENGTHS, type Structural } from './structural.js';

interface Validation {
  readonly rule: string;
  readonly message: string;
}

const exactlyOne = (fields: readonly string[]): Validation => ({
  rule: `[${fields.map((field) => `has(self.${field})`).join(', ')}].filter(x, x).size() == 1`,
  message: `needs exactly one of ${fields.map((field) => `"${field}"`).join(', ')}`,
});

const NAMED_PORT =
  '(has(p.tcp) && has(p.tcp.destinationPort) && has(p.tcp.destinationPort.name)) || (has(p.udp) && has(p.udp.destinationPort) && has(p.udp.destinationPort.name))';

const RULE: Readonly<Record<'egress' | 'ingress', readonly Validation[]>> = {
  egress: [
    {
      rule: "self.action != 'Deny' || !has(self.to) || self.to.all(p, !has(p.domainNames))",
      message: '"domainNames" cannot be denied: a name has other addresses tomorrow; deny networks instead',
    },
    {
      rule: `!has(self.protocols) || !self.protocols.exists(p, ${NAMED_PORT}) || (has(self.to) && self.to.all(p, has(p.containers) || has(p.services)))`,
      message: 'a port has a name only where every peer is "containers" or "services"; give a number',
    },
  ],
  ingress: [
    {
      rule: '!has(self.from) || self.from.all(p, !has(p.services) && !has(p.domainNames))',
      message: '"services" and "domainNames" are for egress',
    },
  ],
};

const PEER: readonly Validation[] = [
  exactlyOne(['containers', 'networks', 'services', 'domainNames', 'entities']),
  { rule: '!has(self.except) || has(self.networks)', message: '"except" takes addresses out of "networks"' },
];

/** Not in CEL: it stands too deep in the lists, and would cost too much. */
const REQUIREMENT = [
  {
    properties: { operator: { enum: ['In', 'NotIn'] }, values: { minItems: 1 } },
    required: ['values'],
  },
  { properties: { operator: { enum: ['Exists', 'DoesNotExist'] }, values: { maxItems: 0 } } },
];

function child(schema: Structural, ...path: string[]): Structural {
  let found = schema;
  for (const part of path) {
    const next: Structural | undefined = part === '[]' ? found.items : found.properties?.[part];
    if (!next) throw new Error(`the schema has no ${path.join('.')} (${part})`);
    found = next;
  }
  return found;
}

function add(schema: Structural, validations: readonly Validation[]): void {
  schema['x-kubernetes-validations'] = [...validations];
}

function addToProtocol(protocol: Structural): void {
  add(protocol, [exactlyOne(['tcp', 'udp', 'icmp'])]);
  for (const transport of ['tcp', 'udp']) {
    const port = child(protocol, transport, 'destinationPort');
    add(port, [exactlyOne(['number', 'range', 'name'])]);
    add(child(port, 'range'), [{ rule: 'self.start <= self.end', message: 'starts after its end' }]);
  }
}

/** Changes the schema of a policy's spec. */
export function addValidations(spec: Structural): void {
  const selectors = [child(spec, 'subject', 'pods')];
  for (const [direction, side] of [
    ['egress', 'to'],
    ['ingress', 'from'],
  ] as const) {
    const rules = child(spec, direction);
    rules.maxItems = MOST_LENGTHS.rules;
    rules['x-kubernetes-list-type'] = 'map';
    rules['x-kubernetes-list-map-keys'] = ['name'];
    const rule = child(rules, '[]');
    add(rule, RULE[direction]);
    const peers = child(rule, side);
    peers.maxItems = MOST_LENGTHS.peers;
    const peer = child(peers, '[]');
    add(peer, PEER);
    selectors.push(child(peer, 'containers', 'pods'));
    const protocols = child(rule, 'protocols');
    protocols.maxItems = MOST_LENGTHS.protocols;
    addToProtocol(child(protocols, '[]'));
  }
  for (const pods of selectors) child(pods, 'matchExpressions', '[]').anyOf = REQUIREMENT;
}

// SPDX-License-Identifier: Apache-2.0
//
// What the attacked containers are allowed: one address, or what two names stand for.
import { ALLOWED, ALLOWED_NAME, ALLOWED_NAME_OF_SHARED, ALLOWED6, OWNED_PORT } from './addresses.js';

const HEAD = `apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy`;

const ACCEPTED = `{name: allowed, action: Accept, to: [{networks: ["${ALLOWED}", "${ALLOWED6}"]}]}`;

export const POLICIES = `
${HEAD}
metadata: {name: jail, namespace: attacks}
spec:
  subject: {containers: [jail]}
  loopback: Deny
  ingress: [{name: served, action: Accept, protocols: [{tcp: {destinationPort: {number: ${OWNED_PORT}}}}, {udp: {destinationPort: {number: ${OWNED_PORT}}}}]}]
  egress: [${ACCEPTED}]
---
${HEAD}
metadata: {name: raw, namespace: attacks}
spec:
  subject: {containers: [raw]}
  rawSockets: Allow
  egress: [${ACCEPTED}]
---
${HEAD}
metadata: {name: others, namespace: attacks}
spec:
  subject: {containers: [admin, crowded, host]}
  egress: [${ACCEPTED}]
---
${HEAD}
metadata: {name: named, namespace: attacks}
spec:
  subject: {containers: [named]}
  egress: [{name: names, action: Accept, to: [{domainNames: [${ALLOWED_NAME}, ${ALLOWED_NAME_OF_SHARED}]}]}]
`;

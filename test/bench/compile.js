// SPDX-License-Identifier: Apache-2.0
//
// What compiling costs: 10,000 containers on 100 nodes, 1,000 policies of two rules each. After `npm run build`:
//   node test/bench/compile.js
// Prints one JSON object, in milliseconds.
import { Feed, NO_OPTIONS, PolicyCompiler, parseDocuments } from '../../dist/control-plane/src/policy/index.js';

const [NODES, CONTAINERS, POLICIES] = [100, 10_000, 1000];

const document = (i) => `apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: p${i}, namespace: team-${i % 100}}
spec:
  subject: {pods: {matchLabels: {app: app-${Math.floor(i / 100)}}}}
  egress:
  - name: next
    action: Accept
    to: [{containers: {pods: {matchLabels: {app: app-${(Math.floor(i / 100) + 1) % 10}}}}}]
    protocols: [{tcp: {destinationPort: {number: ${8000 + (i % 100)}}}}]
  ingress:
  - name: before
    action: Accept
    from: [{containers: {pods: {matchLabels: {app: app-${(Math.floor(i / 100) + 9) % 10}}}}}]
`;

const container = (i, more = {}) => ({
  key: `c${i}`,
  container: {
    node: `n${i % NODES}`,
    namespace: `team-${i % 100}`,
    pod: `pod-${i}`,
    name: 'main',
    image: '',
    labels: { app: `app-${Math.floor(i / 100) % 10}` },
    addresses: [`10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`],
    ports: [],
    ...more,
  },
});

function timed(work) {
  const before = performance.now();
  work();
  return performance.now() - before;
}

const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];

const policies = Array.from({ length: POLICIES }, (_, i) => parseDocuments(document(i), 'bench').policies).flat();
const numbers = new Map();
const ruleNumber = (policy, rule) => {
  const key = `${policy}:${rule}`;
  if (!numbers.has(key)) numbers.set(key, numbers.size + 16);
  return numbers.get(key);
};
const feeds = Array.from({ length: NODES }, (_, i) => new Feed(`n${i}`));
let compiler;
const allMs = timed(() => {
  compiler = new PolicyCompiler({
    generation: 1,
    policies,
    observations: [],
    options: NO_OPTIONS,
    nodes: feeds.map((_, i) => ({ name: `n${i}`, addresses: [`172.16.0.${i}`] })),
    services: [],
    containers: Array.from({ length: CONTAINERS }, (_, i) => container(i)),
    ruleNumber,
  });
  for (const feed of feeds) feed.full(compiler);
});
const nodeMs = timed(() => new Feed('n0').full(compiler));
/** What a pod that comes costs the compiler, and the node that gets it. */
const pod = (i, more) =>
  timed(() => {
    compiler.update([container(i, { node: 'n0', ...more })]);
    feeds[0].amendment(compiler);
  });
const podMs = median(Array.from({ length: 50 }, (_, i) => pod(20_000 + i)));
process.stdout.write(`${JSON.stringify({ allMs, nodeMs, podMs })}\n`);

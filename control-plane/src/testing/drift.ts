// SPDX-License-Identifier: Apache-2.0
//
// A shop whose web server gets a new release, for tests of drift.
import { ENDS, packKind } from '../flows/record.js';
import { type DriftEdge, type DriftHistory, drift, type Lived, type StandingDocument } from '../learn/index.js';
import { NO_OPTIONS, parseDocuments, policyKey, type World } from '../policy/index.js';

export const START = Date.UTC(2026, 0, 5, 8) * 1000;
export const HOUR = 3600e6;
export const END = START + 48 * HOUR;
const MONTH = 30 * 24 * HOUR;
/** When the release came. */
export const RELEASED = START + 40 * HOUR;

export const POLICY = `# who: team web
apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: web-nginx, namespace: shop}
spec:
  subject: {pods: {matchLabels: {app: web}}, containers: [nginx]}
  egress:
  # the orders
  - name: db
    action: Accept
    to: [{containers: {pods: {matchLabels: {app: db}}}}]
    protocols: [{tcp: {destinationPort: {number: 5432}}}]
  - {name: old-cache, action: Accept, to: [{networks: [10.9.9.9]}]}
  - {name: no-metadata, action: Deny, to: [{networks: [169.254.169.254]}]}
`;
export const GHOST = `apiVersion: cellwall.dev/v1alpha1
kind: ContainerPolicy
metadata: {name: ghost, namespace: shop}
spec: {subject: {pods: {matchLabels: {app: nobody}}}, isolate: [Ingress]}
`;

export function lived(pod: string, container: string, last: number, more: Partial<Lived> = {}): Lived {
  const [app = pod, hash] = pod.split('-');
  return {
    node: 'n1',
    namespace: 'shop',
    pod,
    container,
    image: `${app}:1.0`,
    labels: JSON.stringify({ app, ...(hash && { 'pod-template-hash': hash }) }),
    addresses: JSON.stringify([`10.1.0.${last}`]),
    firstUs: START - HOUR,
    ...more,
  };
}

export const OLD_WEB = lived('web-aaa-x2f4z', 'nginx', 7, { image: 'web:1.4' });
export const NEW_WEB = lived('web-bbb-q8w7v', 'nginx', 8, { image: 'web:1.5', firstUs: RELEASED });
export const DB = lived('db-ccc-x2f4z', 'postgres', 9);
export const DB2 = lived('db2-ddd-x2f4z', 'postgres', 10);
export const CACHE = lived('cache-eee-x2f4z', 'redis', 11);

const [TCP, EGRESS, ALLOWED] = [6, 1, 1];
const plain = { flags: 0, failure: 0, payload: 0, tls: 0 };

export function edge(
  own: Lived,
  to: Lived | string,
  port: number,
  { denied = false, ...more }: Partial<DriftEdge> & { denied?: boolean } = {},
): DriftEdge {
  const end = denied ? ENDS.indexOf('denied') : 0;
  return {
    container: { ...own, cgroupId: '1' },
    wanted: true,
    kind: packKind({ protocol: TCP, direction: EGRESS, verdict: denied ? 2 : ALLOWED, end, ...plain }),
    address: typeof to === 'string' ? to : ((JSON.parse(to.addresses) as string[])[0] ?? ''),
    port,
    backend: null,
    outside: null,
    name: null,
    peer: typeof to === 'string' ? null : peerOf(to),
    rulePolicy: null,
    ruleName: null,
    rule: 0,
    flows: 40,
    sentBytes: 0,
    receivedBytes: 0,
    firstUs: own.firstUs + 2 * HOUR,
    lastUs: own.firstUs + 6 * HOUR,
    ...more,
  };
}

export const peerOf = ({ namespace, pod, container, node, labels }: Lived): NonNullable<DriftEdge['peer']> => ({
  name: `${namespace}/${pod}/${container}`,
  namespace,
  pod,
  container,
  node,
  labels,
  flow: null,
  how: 'address',
});

const behind = (it: Lived) => ({ backend: { address: (JSON.parse(it.addresses) as string[])[0] ?? '', port: 5432 } });

export const STORY: readonly DriftEdge[] = [
  edge(OLD_WEB, DB, 5432, { flows: 4210 }),
  edge(OLD_WEB, '10.9.1.1', 443, { name: 'api.example.com' }),
  edge(NEW_WEB, DB, 5432, { flows: 311 }),
  edge(NEW_WEB, CACHE, 6379, { denied: true, flows: 12 }),
  edge(NEW_WEB, '203.0.113.25', 25, { name: 'mail.example.com', denied: true, flows: 3 }),
  edge(NEW_WEB, '169.254.169.254', 80, { denied: true, flows: 1 }),
  // Behind one service address: another database from one day to the next.
  edge(DB, '10.96.0.10', 5432, { ...behind(DB2), peer: peerOf(OLD_WEB), firstUs: START, lastUs: START + HOUR }),
  edge(DB, '10.96.0.10', 5432, { ...behind(DB2), peer: peerOf(DB2), firstUs: START + 9 * HOUR, lastUs: END - HOUR }),
];

const worldContainer = ({ container, labels, addresses, ...it }: Lived) => ({
  ...it,
  name: container,
  labels: JSON.parse(labels) as Record<string, string>,
  addresses: JSON.parse(addresses) as string[],
  ports: [],
});

/** rules: of the first policy, those that decided something. */
export function found(
  edges: readonly DriftEdge[] = STORY,
  texts: readonly string[] = [POLICY, GHOST],
  more: Partial<DriftHistory> & { used?: readonly string[]; createdUs?: number; namespace?: string } = {},
) {
  const { used = ['db'], createdUs = START - MONTH, namespace = null, ...history } = more;
  const containers = [OLD_WEB, NEW_WEB, DB, DB2, CACHE];
  const policies = texts.flatMap((text) => parseDocuments(text, 'test').policies);
  const standing = policies.map((policy, index): StandingDocument => {
    const text = texts[index] as string;
    return { key: policyKey(policy), text, document: '{}', createdUs, updatedUs: createdUs };
  });
  const world: World = {
    policies,
    containers: [NEW_WEB, DB, DB2, CACHE].map(worldContainer),
    services: [],
    nodes: [],
    options: NO_OPTIONS,
  };
  const rules = policies.flatMap((policy) =>
    [...policy.egress, ...policy.ingress].map(({ name }) => ({
      policy: policyKey(policy),
      rule: name,
      createdUs: 0,
      lastUs: used.includes(name) ? END : null,
    })),
  );
  const times = { sinceUs: START, untilUs: END, firstUs: START, lastUs: END };
  return drift(
    {
      edges,
      containers,
      coverage: { ...times, lost: [], silent: [], wrongClock: 0 },
      rules,
      unusedSinceUs: END - MONTH / 2,
      unusedFirstUs: END - MONTH / 2,
      ...history,
    },
    standing,
    world,
    namespace,
  );
}

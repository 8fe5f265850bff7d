// SPDX-License-Identifier: Apache-2.0
//
// The chart, rendered by a stand-in for helm (chart.ts), against the schemas of Kubernetes and against what the server asks for.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Ajv } from 'ajv';
import { describe, expect, it, test } from 'vitest';
import { NAMESPACES } from '../kubernetes/namespaces.js';
import { NETWORK_POLICIES } from '../kubernetes/network_policies.js';
import { customPolicies, NODES, PODS } from '../kubernetes/resources.js';
import { SERVICES, SLICES } from '../kubernetes/services.js';
import { JOBS } from '../kubernetes/workloads.js';
import { CRD_KINDS } from '../policy/index.js';
import { CHART, chartValues, type Manifest, mergeValues, render } from './chart.js';
import { manifestsText, uninstallText } from './manifests.js';

const require = createRequire(import.meta.url);
const ALL = {
  agent: { privileged: true, status: { address: '0.0.0.0', port: 9100 }, extraArgs: ['--udp-idle', '60'] },
  server: { storage: { className: 'fast' }, extraArgs: ['--self-approval'], networkPolicies: 'audit' },
  images: { pullSecrets: [{ name: 'registry' }] },
  monitoring: { serviceMonitor: true, podMonitor: true, rules: true, dashboard: true },
};
const CERTIFICATES = {
  tls: { own: false, certManager: { enabled: true, issuerName: 'cellwall', issuerKind: 'ClusterIssuer' } },
  monitoring: { serviceMonitor: true },
};
const NONE = { networkPolicy: { enabled: false }, uninstallHook: { enabled: false }, agent: { tolerations: [] } };

/** Throws with what is wrong. Kinds of the Prometheus operator and of cert-manager are not Kubernetes' own. */
function validate(manifest: Manifest): void {
  const { apiVersion, kind } = manifest;
  if (/^(monitoring\.coreos\.com|cert-manager\.io)\//.test(apiVersion)) return;
  const models = require(`kubernetes-models/${apiVersion}`) as Record<string, new (it: object) => { validate(): void }>;
  const Model = models[kind];
  if (!Model) throw new Error(`Kubernetes has no ${apiVersion} ${kind}`);
  new Model(manifest).validate();
}

const find = (manifests: Manifest[], kind: string, name: string) => {
  const found = manifests.find((it) => it.kind === kind && it.metadata.name === name);
  if (!found) throw new Error(`there is no ${kind} ${name}`);
  return found as Manifest & { spec: { template: { spec: PodSpec } }; rules: Rule[] };
};
interface Container {
  readonly args: string[];
  readonly volumeMounts: { readonly name: string }[];
  readonly securityContext: Record<string, unknown>;
}
interface PodSpec {
  readonly containers: Container[];
  readonly initContainers: Container[];
  readonly [field: string]: unknown;
}
interface Rule {
  readonly apiGroups: string[];
  readonly resources: string[];
  readonly verbs: string[];
}

describe.each([
  ['its own values', {}],
  ['all that can be switched on', ALL],
  ['all that can be switched off', NONE],
  ['certificates of cert-manager', CERTIFICATES],
])('with %s', (_, values) => {
  it('each object is one by the schemas of Kubernetes', () => {
    for (const manifest of render(values, 'somewhere')) expect(() => validate(manifest)).not.toThrow();
  });

  it('each object of a namespace is in that of the release', () => {
    const cluster = ['ClusterRole', 'ClusterRoleBinding'];
    for (const { kind, metadata } of render(values, 'somewhere'))
      expect([kind, metadata.name, metadata.namespace]).toEqual([
        kind,
        metadata.name,
        cluster.includes(kind) ? undefined : 'somewhere',
      ]);
  });
});

test('the check of objects can fail', () => {
  const [first] = render();
  expect(() =>
    validate({ ...(first as Manifest), kind: 'DaemonSet', apiVersion: 'apps/v1', spec: { selector: 7 } }),
  ).toThrowError();
});

test('the plain manifests are those of this version of the chart (npm run schema writes them)', () => {
  const folder = join(CHART, '../../manifests');
  expect(readFileSync(join(folder, 'cellwall.yaml'), 'utf8')).toBe(manifestsText());
  expect(readFileSync(join(folder, 'uninstall.yaml'), 'utf8')).toBe(uninstallText());
});

test('what removes the programs is in the network of the node, where some of them are attached', () => {
  expect(find(render(), 'DaemonSet', 'cellwall-uninstall').spec.template.spec).toMatchObject({ hostNetwork: true });
});

test('the agent has the capabilities that it needs and no others, and a root file system that is read-only', () => {
  const { containers, initContainers, ...pod } = find(render(), 'DaemonSet', 'cellwall-agent').spec.template.spec;
  for (const { securityContext } of [...containers, ...initContainers])
    expect(securityContext).toMatchObject({
      privileged: false,
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'], add: ['BPF', 'PERFMON', 'NET_ADMIN', 'SYS_PTRACE', 'SYS_RESOURCE', 'SYS_ADMIN'] },
    });
  expect(pod).toMatchObject({ priorityClassName: 'system-node-critical', automountServiceAccountToken: false });
  const privileged = find(render(ALL), 'DaemonSet', 'cellwall-agent').spec.template.spec.containers[0];
  expect(privileged?.securityContext).toEqual({ privileged: true, readOnlyRootFilesystem: true, runAsUser: 0 });
});

test('a capability that the kernel does not need may be left out, and none is added', () => {
  const capabilities = ['BPF', 'PERFMON', 'NET_ADMIN', 'SYS_PTRACE', 'SYS_ADMIN'];
  const { spec } = find(render({ agent: { capabilities } }), 'DaemonSet', 'cellwall-agent').spec.template;
  for (const { securityContext } of [...spec.containers, ...spec.initContainers])
    expect(securityContext).toMatchObject({ capabilities: { drop: ['ALL'], add: capabilities } });
});

test.each([
  ['not read', {}, []],
  ['read', { server: { networkPolicies: 'audit' } }, [NETWORK_POLICIES]],
])('the server may do what it does, and nothing else, with NetworkPolicies %s', (_, values, more) => {
  const { rules } = find(render(values), 'ClusterRole', 'cellwall-server');
  const given = rules.flatMap(({ apiGroups, resources, verbs }) =>
    apiGroups.flatMap((group) => resources.flatMap((name) => verbs.map((verb) => `${verb} ${name}.${group}`))),
  );
  const watched = [PODS, JOBS, NODES, NAMESPACES, SERVICES, SLICES, ...CRD_KINDS.map(customPolicies), ...more];
  const needed = [
    ...watched.flatMap(({ name, group }) => ['list', 'watch'].map((verb) => `${verb} ${name}.${group}`)),
    ...CRD_KINDS.map((kind) => `patch ${customPolicies(kind).name}/status.cellwall.dev`),
    'create events.',
    'create tokenreviews.authentication.k8s.io',
    'create subjectaccessreviews.authorization.k8s.io',
  ];
  expect([...given].sort()).toEqual([...needed].sort());
});

test.each([
  ['of its own authority', {}, true],
  ['of Secrets', CERTIFICATES, false],
])('certificates %s', (_, values, own) => {
  const all = render(values);
  const server = find(all, 'StatefulSet', 'cellwall-server').spec.template.spec;
  const agent = find(all, 'DaemonSet', 'cellwall-agent').spec.template.spec;
  expect(server.containers[0]?.args.includes('own')).toBe(own);
  expect(server.containers[0]?.args.includes('/etc/cellwall-tls/tls.crt')).toBe(!own);
  expect(agent.containers[0]?.args.includes('--service-account-token-file')).toBe(own);
  // With those of others, the server needs no rights in its own namespace.
  expect(all.some(({ kind }) => kind === 'Role' || kind === 'ConfigMap')).toBe(own);
  expect(
    all.flatMap(({ kind, spec }) => (kind === 'Certificate' ? [(spec as { secretName: string }).secretName] : [])),
  ).toEqual(own ? [] : ['cellwall-server-tls', 'cellwall-agent-tls']);
  for (const { containers, initContainers = [], volumes } of [server, agent]) {
    const mounted = [...containers, ...initContainers].flatMap(({ volumeMounts }) =>
      volumeMounts.map(({ name }) => name),
    );
    const there = (volumes as { name: string }[]).map(({ name }) => name);
    expect(mounted.filter((name) => name !== 'data' && !there.includes(name))).toEqual([]);
    expect(there.filter((name) => !mounted.includes(name))).toEqual([]);
  }
});

test('every option that the chart gives is one of the server and of the agent', () => {
  const optionsIn = (text: string) => new Set(text.match(/--[a-z][a-z-]+/g));
  const source = (file: string) => readFileSync(join(import.meta.dirname, '../../..', file), 'utf8');
  const given = (args: string[]) => args.filter((it) => it.startsWith('--'));
  const argsOf = (values: object, kind: string, name: string) =>
    find(render(values as Record<string, unknown>), kind, name).spec.template.spec.containers[0]?.args ?? [];
  const server = [ALL, CERTIFICATES].flatMap((it) => argsOf(it, 'StatefulSet', 'cellwall-server'));
  const known = optionsIn(source('control-plane/src/cli/commands/server.ts'));
  expect(given(server).filter((it) => !known.has(it))).toEqual([]);
  const agent = [ALL, CERTIFICATES].flatMap((it) => argsOf(it, 'DaemonSet', 'cellwall-agent'));
  const knownByAgent = optionsIn(source('agent-bpf/src/config.cc'));
  expect(given(agent).filter((it) => !knownByAgent.has(it))).toEqual([]);
  expect(given(server).length + given(agent).length).toBeGreaterThan(15);
});

test('alerts and panels ask for metrics that the server has', () => {
  const source = readFileSync(join(import.meta.dirname, '../http/routes/metrics.ts'), 'utf8');
  const asked = `${JSON.stringify(find(render(ALL), 'PrometheusRule', 'cellwall'))}${readFileSync(join(CHART, 'files/dashboard.json'), 'utf8')}`;
  const names = new Set(asked.match(/cellwall_[a-z_]+/g));
  expect(names.size).toBeGreaterThan(8);
  expect([...names].filter((name) => !source.includes(`'${name}'`))).toEqual([]);
});

describe('values.schema.json', () => {
  const schema = JSON.parse(readFileSync(join(CHART, 'values.schema.json'), 'utf8')) as object;
  const validator = new Ajv({ strict: false }).compile(schema);

  it.each([{}, ALL, NONE, CERTIFICATES])('takes good values', (values) => {
    expect(validator(mergeValues(chartValues(), values)) || validator.errors).toBe(true);
  });

  it.each([
    { agent: { startup: 'maybe' } },
    { agent: { cgroup: '/kubepods' } },
    { agent: { colour: 'red' } },
    { agent: { updateMaxUnavailable: '0%' } },
    { images: { tag: 'a b' } },
    { server: { retentionDays: 0 } },
    { server: { networkPolicies: 'enforce' } },
    { server: { storage: { size: 'large' } } },
    { sever: {} },
    { tls: { certManager: { enabled: true, issuerName: 'x' } } },
    { tls: { own: false, certManager: { enabled: true } } },
    { tls: { own: false, serverSecret: '' } },
  ])('refuses %j', (values) => {
    expect(validator(mergeValues(chartValues(), values))).toBe(false);
  });
});

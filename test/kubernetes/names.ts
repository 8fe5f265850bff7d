// SPDX-License-Identifier: Apache-2.0
//
// The cluster's name server: CoreDNS, as most clusters have it.
import { NAMES_IMAGE } from './images.js';

export const NAMES_ADDRESS = '10.91.0.10';
export const DOMAIN = 'cluster.local';

const COREFILE = `.:53 {
  errors
  health
  ready
  kubernetes ${DOMAIN} in-addr.arpa
  cache 5
}
`;

const name = 'coredns';
const namespace = 'kube-system';
const labels = { 'k8s-app': 'kube-dns' };
const probe = (path: string, port: number) => ({ httpGet: { path, port }, periodSeconds: 2, failureThreshold: 30 });

export const nameServer = (): object[] => [
  { apiVersion: 'v1', kind: 'ServiceAccount', metadata: { name, namespace } },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRole',
    metadata: { name },
    rules: [
      { apiGroups: [''], resources: ['services', 'namespaces', 'pods'], verbs: ['list', 'watch'] },
      { apiGroups: ['discovery.k8s.io'], resources: ['endpointslices'], verbs: ['list', 'watch'] },
    ],
  },
  {
    apiVersion: 'rbac.authorization.k8s.io/v1',
    kind: 'ClusterRoleBinding',
    metadata: { name },
    roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name },
    subjects: [{ kind: 'ServiceAccount', name, namespace }],
  },
  { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace }, data: { Corefile: COREFILE } },
  {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name: 'kube-dns', namespace, labels },
    spec: {
      selector: labels,
      clusterIP: NAMES_ADDRESS,
      ports: [
        { name: 'dns', port: 53, protocol: 'UDP' },
        { name: 'dns-tcp', port: 53, protocol: 'TCP' },
      ],
    },
  },
  {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace },
    spec: {
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          serviceAccountName: name,
          priorityClassName: 'system-cluster-critical',
          dnsPolicy: 'Default',
          containers: [
            {
              name,
              image: NAMES_IMAGE,
              args: ['-conf', '/etc/coredns/Corefile'],
              readinessProbe: probe('/ready', 8181),
              livenessProbe: probe('/health', 8080),
              volumeMounts: [{ name: 'config', mountPath: '/etc/coredns' }],
            },
          ],
          volumes: [{ name: 'config', configMap: { name } }],
        },
      },
    },
  },
];

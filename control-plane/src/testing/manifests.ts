// SPDX-License-Identifier: Apache-2.0
//
// Plain manifests for those without helm: the definitions, a namespace, and what the chart makes with its own values.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { CHART, render } from './chart.js';

const NAMESPACE = {
  apiVersion: 'v1',
  kind: 'Namespace',
  metadata: {
    name: 'cellwall',
    labels: {
      // Agents mount the node's cgroups and bpffs.
      'pod-security.kubernetes.io/enforce': 'privileged',
      'pod-security.kubernetes.io/audit': 'privileged',
      'pod-security.kubernetes.io/warn': 'privileged',
    },
  },
};
const HEAD = `# SPDX-License-Identifier: Apache-2.0
# Made from the chart by \`npm run schema\`; do not edit. To install: kubectl apply --server-side -f cellwall.yaml
`;

export function manifestsText(): string {
  const folder = join(CHART, 'crds');
  const crds = readdirSync(folder)
    .sort()
    .map((file) => readFileSync(join(folder, file), 'utf8').replace(/^#.*\n/gm, ''));
  const objects = render().filter((it) => it.metadata.annotations?.['helm.sh/hook'] === undefined);
  const texts = [NAMESPACE, ...objects].map((it) => stringify(it, { lineWidth: 0, aliasDuplicateObjects: false }));
  return HEAD + [...crds, ...texts].join('---\n');
}

export function uninstallText(): string {
  const hook = render().filter((it) => it.metadata.annotations?.['helm.sh/hook'] !== undefined);
  const head = HEAD.replace('To install', 'After the rest is deleted');
  return (
    head.replace('cellwall.yaml', 'uninstall.yaml') +
    hook.map((it) => stringify(it, { lineWidth: 0, aliasDuplicateObjects: false })).join('---\n')
  );
}

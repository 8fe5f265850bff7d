// SPDX-License-Identifier: Apache-2.0
//
// Kinds that are objects of Kubernetes.

export const CRD_KINDS = ['ContainerPolicy', 'ClusterContainerPolicy'] as const;
export type CrdKind = (typeof CRD_KINDS)[number];

const PLURALS: Readonly<Record<CrdKind, string>> = {
  ContainerPolicy: 'containerpolicies',
  ClusterContainerPolicy: 'clustercontainerpolicies',
};

export const pluralOf = (kind: CrdKind): string => PLURALS[kind];

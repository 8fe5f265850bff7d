// SPDX-License-Identifier: Apache-2.0
export { toCiliumPolicies } from './cilium.js';
export { toClusterNetworkPolicies } from './cluster_network_policy.js';
export type { Exported, LabelSelector, Loss } from './common.js';
export { fromNetworkPolicies, fromNetworkPolicy, type Imported } from './import.js';
export { toNetworkPolicies } from './network_policy.js';

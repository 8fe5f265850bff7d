// SPDX-License-Identifier: Apache-2.0
import type { ContainerFacts } from '../store/state.js';
import { safe } from './safe.js';
import type { types } from './wire.js';

export function toFacts(container: types.cellwall.v1.Container.$Properties): ContainerFacts {
  return {
    cgroupId: safe((container.cgroupId ?? 0) as number, 'a cgroup id'),
    path: container.cgroupPath ?? '',
    runtime: container.runtime ?? '',
    runtimeId: container.runtimeId ?? '',
    name: container.name ?? '',
    image: container.image ?? '',
    namespace: container.namespace ?? '',
    pod: container.pod ?? '',
    labels: container.labels ?? {},
    addresses: container.addresses ?? [],
    ports: (container.ports ?? []).map((it) => ({
      name: it.name ?? '',
      protocol: it.protocol ?? 0,
      port: it.port ?? 0,
    })),
    createdUs: safe((container.createdUs ?? 0) as number, 'created_us'),
  };
}

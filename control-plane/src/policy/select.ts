// SPDX-License-Identifier: Apache-2.0
import type { Observation, Observed, PolicyContainer, Requirement, Selection } from './model.js';

function holds(requirement: Requirement, labels: Readonly<Record<string, string>>): boolean {
  const value = Object.hasOwn(labels, requirement.key) ? labels[requirement.key] : undefined;
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && requirement.values.includes(value);
    case 'NotIn':
      return value === undefined || !requirement.values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** The agent does the same with the selectors it gets (agent-bpf/src/policy.cc). What has no name is selected by nothing. */
export function selects(selection: Selection, container: PolicyContainer): boolean {
  const { podNames, containers, podLabels } = selection.subject;
  if (container.name === '' || container.namespace !== selection.namespace) return false;
  if (podNames.length > 0 && !podNames.includes(container.pod)) return false;
  if (containers.length > 0 && !containers.includes(container.name)) return false;
  return podLabels.every((requirement) => holds(requirement, container.labels));
}

/** One observation that asks for something is enough. */
export function observedOf(observations: Iterable<Observation>, container: PolicyContainer): Observed {
  const observed = { names: false, payload: false };
  for (const observation of observations) {
    if (!selects(observation, container)) continue;
    observed.names ||= observation.names;
    observed.payload ||= observation.payload;
  }
  return observed;
}

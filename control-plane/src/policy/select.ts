// SPDX-License-Identifier: Apache-2.0
import type { Observation, Observed, PolicyContainer, Requirement, Selection, Selector } from './model.js';

/** All of them. */
export function labelsMatch(requirements: readonly Requirement[], labels: Readonly<Record<string, string>>): boolean {
  return requirements.every((requirement) => holds(requirement, labels));
}

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

/** `*` stands for any run of characters. Not a regular expression: those can be made to take for ever. */
function glob(pattern: string, text: string): boolean {
  const [head = '', ...rest] = pattern.split('*');
  if (rest.length === 0) return text === pattern;
  if (!text.startsWith(head)) return false;
  let at = head.length;
  for (const part of rest.slice(0, -1)) {
    const found = text.indexOf(part, at);
    if (found < 0) return false;
    at = found + part.length;
  }
  const tail = rest.at(-1) ?? '';
  return text.length - tail.length >= at && text.endsWith(tail);
}

/** The reference as it is, and without its tag and digest. */
function formsOf(image: string): string[] {
  const [name = ''] = image.split('@');
  const tag = name.indexOf(':', name.lastIndexOf('/') + 1);
  return [image, tag < 0 ? name : name.slice(0, tag)];
}

export function imageMatches(pattern: string, image: string): boolean {
  return image !== '' && formsOf(image).some((form) => glob(pattern, form));
}

/** The agent does the same with the selectors it gets (agent-bpf/src/policy.cc). What has no name is selected by nothing. */
export function matches(selector: Selector, container: PolicyContainer): boolean {
  const { namespaces, podNames, containers, podLabels, images } = selector;
  if (container.name === '') return false;
  if (namespaces !== null && !namespaces.includes(container.namespace)) return false;
  if (podNames.length > 0 && !podNames.includes(container.pod)) return false;
  if (containers.length > 0 && !containers.includes(container.name)) return false;
  if (images.length > 0 && !images.some((pattern) => imageMatches(pattern, container.image))) return false;
  return labelsMatch(podLabels, container.labels);
}

export function selects(selection: Selection, container: PolicyContainer): boolean {
  return matches(selection.subject, container);
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

// SPDX-License-Identifier: Apache-2.0
//
// All selectors of all documents, each once, and which of them select a container.
import type { NamedPort, Observed, PolicyContainer, Selector } from '../model.js';
import { matches } from '../select.js';
import { type CompiledSelector, OPERATOR } from './compiled.js';

interface Entry {
  readonly index: number;
  readonly name: string;
  readonly selector: Selector;
  subject: boolean;
}

/** Selectors of a namespace, or of all, by something that a container must have to be selected. */
class Shelf {
  readonly #byLabel = new Map<string, Entry[]>();
  readonly #byName = new Map<string, Entry[]>();
  readonly #other: Entry[] = [];

  add(entry: Entry): void {
    const { podLabels, containers } = entry.selector;
    const label = podLabels.find((it) => it.operator === 'In');
    if (label) for (const value of new Set(label.values)) push(this.#byLabel, `${label.key}=${value}`, entry);
    else if (containers.length > 0) for (const name of new Set(containers)) push(this.#byName, name, entry);
    else this.#other.push(entry);
  }

  collect(container: PolicyContainer, found: number[]): void {
    const take = (entries: readonly Entry[] | undefined) => {
      for (const entry of entries ?? []) if (matches(entry.selector, container)) found.push(entry.index);
    };
    take(this.#other);
    take(this.#byName.get(container.name));
    for (const key in container.labels) take(this.#byLabel.get(`${key}=${container.labels[key]}`));
  }
}

export class Selectors {
  readonly #compiled: CompiledSelector[] = [];
  readonly #byContent = new Map<string, Entry>();
  readonly #everywhere = new Shelf();
  readonly #byNamespace = new Map<string, Shelf>();
  readonly #ports = new Map<string, { index: number; port: NamedPort }>();
  /** Names of ports that rules use. */
  readonly #portNames = new Set<string>();

  /** Where the first of those that are not peers ends does not matter to agents; `name` is for their logs. */
  add(selector: Selector, name: string, subject: boolean): number {
    const content = JSON.stringify(selector);
    const known = this.#byContent.get(content);
    if (known) {
      if (subject) this.#compiled[known.index] = { ...(this.#compiled[known.index] as CompiledSelector), subject };
      return known.index;
    }
    const entry = { index: this.#compiled.length, name, selector, subject };
    this.#byContent.set(content, entry);
    this.#compiled.push({ ...describe(entry.index, name, selector), ...(subject && { subject }) });
    if (selector.namespaces === null) this.#everywhere.add(entry);
    else for (const namespace of new Set(selector.namespaces)) this.#shelf(namespace).add(entry);
    return entry.index;
  }

  #shelf(namespace: string): Shelf {
    const shelf = this.#byNamespace.get(namespace) ?? new Shelf();
    this.#byNamespace.set(namespace, shelf);
    return shelf;
  }

  /** Not part of profiles. */
  addObservation(selector: Selector, name: string, observed: Observed): void {
    const { names: observeNames, payload: observePayload } = observed;
    this.#compiled.push({ ...describe(this.#compiled.length, name, selector), observeNames, observePayload });
  }

  usePortName(protocol: number, name: string): void {
    this.#portNames.add(`${protocol} ${name}`);
  }

  /** Those that select a container, ascending. What has no peer and no policy has none, whatever its ports are. */
  of(container: PolicyContainer, ports: readonly NamedPort[]): number[] {
    const found: number[] = [];
    this.#everywhere.collect(container, found);
    this.#byNamespace.get(container.namespace)?.collect(container, found);
    for (const port of ports)
      if (this.#portNames.has(`${port.protocol} ${port.name}`)) found.push(this.#portIndex(port));
    return [...new Set(found)].sort((a, b) => a - b);
  }

  #portIndex(port: NamedPort): number {
    const key = `${port.protocol} ${port.port} ${port.name}`;
    const known = this.#ports.get(key);
    if (known) return known.index;
    const index = this.#compiled.length;
    this.#ports.set(key, { index, port });
    this.#byIndex.set(index, port);
    const everything = { podLabels: [], containers: [], pods: [], allNamespaces: true };
    const { name, protocol, port: number } = port;
    this.#compiled.push({
      index,
      name: `port ${name}`,
      namespace: '',
      ...everything,
      namedPort: { name, protocol, port: number },
    });
    return index;
  }

  readonly #byIndex = new Map<number, NamedPort>();

  /** undefined: the selector is not about a port. */
  portOf(index: number): NamedPort | undefined {
    return this.#byIndex.get(index);
  }

  /** Grows when a container names a port as none before did. */
  get count(): number {
    return this.#compiled.length;
  }

  compiled(): CompiledSelector[] {
    return this.#compiled;
  }
}

function push<V>(map: Map<string, V[]>, key: string, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}

function describe(index: number, name: string, selector: Selector): CompiledSelector {
  const { namespaces, podLabels, containers, podNames, images } = selector;
  const [namespace = '', ...more] = namespaces ?? [];
  return {
    index,
    name,
    namespace,
    podLabels: podLabels.map(({ key, operator, values }) => ({
      key,
      operator: OPERATOR[operator],
      values: [...values],
    })),
    containers: [...containers],
    pods: [...podNames],
    ...(namespaces === null && { allNamespaces: true }),
    ...(more.length > 0 && { moreNamespaces: more }),
    ...(images.length > 0 && { images: [...images] }),
  };
}

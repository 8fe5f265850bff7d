// SPDX-License-Identifier: Apache-2.0
//
// Services and their EndpointSlices, joined: a service has its own addresses, and backends at their ports.
import type { Service } from '../policy/index.js';
import { type KubernetesObject, protocolOf, type Resource } from './resources.js';

interface ServicePortFacts {
  readonly name: string;
  readonly protocol: number;
  readonly port: number;
  readonly target: number | null;
}

export interface ServiceFacts {
  readonly namespace: string;
  readonly name: string;
  readonly addresses: readonly string[];
  readonly ports: readonly ServicePortFacts[];
  /** What it is known by: k8s-app and such. */
  readonly labels: Readonly<Record<string, string>>;
}

export interface SliceFacts {
  /** namespace/name of its service. */
  readonly service: string;
  readonly ports: readonly { readonly name: string; readonly protocol: number; readonly port: number }[];
  readonly addresses: readonly string[];
}

interface ServiceSpec {
  readonly clusterIPs?: readonly string[];
  readonly externalIPs?: readonly string[];
  readonly ports?: readonly {
    readonly name?: string;
    readonly protocol?: string;
    readonly port?: number;
    readonly targetPort?: number | string;
  }[];
}

interface ServiceStatus {
  readonly loadBalancer?: { readonly ingress?: readonly { readonly ip?: string }[] };
}

export function readService({ metadata, spec, status }: KubernetesObject): ServiceFacts {
  const { clusterIPs = [], externalIPs = [], ports = [] } = (spec ?? {}) as ServiceSpec;
  const ingress = ((status ?? {}) as ServiceStatus).loadBalancer?.ingress ?? [];
  const balanced = ingress.flatMap(({ ip }) => (ip ? [ip] : []));
  return {
    namespace: metadata?.namespace ?? '',
    name: metadata?.name ?? '',
    labels: metadata?.labels ?? {},
    addresses: [...new Set([...clusterIPs.filter((it) => it !== 'None' && it !== ''), ...externalIPs, ...balanced])],
    ports: ports.flatMap(({ name = '', protocol, port, targetPort }) => {
      const number = protocolOf(protocol);
      if (port === undefined || number === undefined) return [];
      return [{ name, protocol: number, port, target: typeof targetPort === 'number' ? targetPort : null }];
    }),
  };
}

interface SliceObject extends KubernetesObject {
  readonly ports?: readonly { readonly name?: string; readonly protocol?: string; readonly port?: number | null }[];
  readonly endpoints?: readonly { readonly addresses?: readonly string[] }[];
}

/** Backends that are not ready count, too: whether one is ready changes often, and who it is does not. */
export function readSlice(object: KubernetesObject): SliceFacts | null {
  const { metadata, ports, endpoints } = object as SliceObject;
  const service = metadata?.labels?.['kubernetes.io/service-name'];
  if (!service) return null;
  return {
    service: `${metadata?.namespace ?? ''}/${service}`,
    ports: (ports ?? []).flatMap(({ name = '', protocol, port }) => {
      const number = protocolOf(protocol);
      return port && number !== undefined ? [{ name, protocol: number, port }] : [];
    }),
    addresses: (endpoints ?? []).flatMap(({ addresses = [] }) => addresses),
  };
}

export const SERVICES: Resource<ServiceFacts> = {
  name: 'services',
  group: '',
  path: '/api/v1/services',
  read: readService,
};
export const SLICES: Resource<SliceFacts> = {
  name: 'endpointslices',
  group: 'discovery.k8s.io',
  path: '/apis/discovery.k8s.io/v1/endpointslices',
  read: readSlice,
};

/** A named target can be another port in each slice. */
function portsOf({ ports }: ServiceFacts, slices: readonly SliceFacts[]): Service['ports'] {
  return ports.flatMap(({ target, ...given }) => {
    const found = slices.flatMap((slice) =>
      slice.ports.filter((it) => it.name === given.name && it.protocol === given.protocol).map(({ port }) => port),
    );
    const targets = found.length > 0 ? found : [target ?? given.port];
    return [...new Set(targets)].map((it) => ({ ...given, target: it }));
  });
}

function serviceOf(facts: ServiceFacts, slices: readonly SliceFacts[]): Service {
  const { namespace, name, addresses } = facts;
  const backends = [...new Set(slices.flatMap((slice) => slice.addresses))].sort();
  return { namespace, name, addresses, ports: portsOf(facts, slices), backends };
}

/** Of those that are known. */
export class JoinedServices {
  readonly services = new Map<string, ServiceFacts>();
  readonly #slices = new Map<string, SliceFacts>();
  readonly #byService = new Map<string, Set<string>>();

  /** Returns the service that it is about. */
  putSlice(key: string, slice: SliceFacts): string {
    this.removeSlice(key);
    this.#slices.set(key, slice);
    this.#byService.set(slice.service, (this.#byService.get(slice.service) ?? new Set()).add(key));
    return slice.service;
  }

  removeSlice(key: string): string | undefined {
    const service = this.#slices.get(key)?.service;
    if (service === undefined) return undefined;
    this.#slices.delete(key);
    const left = this.#byService.get(service);
    left?.delete(key);
    if (left?.size === 0) this.#byService.delete(service);
    return service;
  }

  replaceSlices(all: ReadonlyMap<string, SliceFacts>): void {
    this.#slices.clear();
    this.#byService.clear();
    for (const [key, slice] of all) this.putSlice(key, slice);
  }

  one(key: string): Service | null {
    const facts = this.services.get(key);
    if (!facts) return null;
    const slices = [...(this.#byService.get(key) ?? [])].sort().flatMap((it) => this.#slices.get(it) ?? []);
    return serviceOf(facts, slices);
  }

  all(): Map<string, Service> {
    return new Map(
      [...this.services.keys()].flatMap((key) => {
        const service = this.one(key);
        return service ? [[key, service] as const] : [];
      }),
    );
  }
}

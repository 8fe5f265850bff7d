// SPDX-License-Identifier: Apache-2.0
//
// What isolated containers reach all the same: as the server was told, and as the services of Kubernetes say.
import { type Network, type PolicyOptions, parseNetwork, type Service } from '../policy/index.js';

const DNS_PORT = 53;
/** Where distributions put the resolvers of the cluster. */
const DNS_NAMESPACES = new Set(['kube-system', 'openshift-dns']);

const isApiServer = ({ namespace, name }: Service) => namespace === 'default' && name === 'kubernetes';
const isDns = ({ namespace, ports }: Service) =>
  DNS_NAMESPACES.has(namespace) && ports.some(({ port }) => port === DNS_PORT);

function merged(given: readonly Network[], addresses: readonly string[]): Network[] {
  const found = addresses.map(parseNetwork).filter((it): it is Network => typeof it !== 'string');
  const all = new Map([...given, ...found].map((it) => [`${it.address}/${it.prefix}`, it]));
  return [...all.values()].sort((a, b) => (a.text < b.text ? -1 : 1));
}

export function withServices(given: PolicyOptions, services: readonly Service[]): PolicyOptions {
  const api = services.filter(isApiServer).flatMap(({ addresses, backends }) => [...addresses, ...backends]);
  const dns = services.filter(isDns).flatMap(({ addresses }) => addresses);
  return {
    ...given,
    apiServer: merged(given.apiServer, api),
    dnsServers: merged(given.dnsServers, dns),
  };
}

export function sameOptions(a: PolicyOptions, b: PolicyOptions): boolean {
  const text = ({ apiServer, dnsServers }: PolicyOptions) =>
    [apiServer, dnsServers]
      .map((list) =>
        list
          .map(({ address, prefix }) => `${address}/${prefix}`)
          .sort()
          .join(),
      )
      .join(';');
  return text(a) === text(b);
}

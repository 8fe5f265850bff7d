// SPDX-License-Identifier: Apache-2.0
//
// The world that recorded flows are of, as JSON: what a file of flows lacks for judging them without a server.
import {
  type Policy,
  type Problem,
  parseDocuments,
  parseNetwork,
  type World,
  type WorldContainer,
} from '../policy/index.js';

/** A container that was there at some time. */
export interface Resident extends WorldContainer {
  readonly firstUs: number;
  /** null: it runs. */
  readonly goneUs: number | null;
}

/** One line of JSON, in front of the flows. Of a container that is gone, named ports are not known. */
export interface WorldRecord {
  readonly format: typeof WORLD_FORMAT;
  readonly sinceUs: number;
  readonly untilUs: number;
  /** Documents. */
  readonly policies: readonly unknown[];
  readonly containers: readonly Resident[];
  readonly services: World['services'];
  readonly nodes: World['nodes'];
  /** Networks as text. */
  readonly options: { readonly [K in keyof World['options']]: readonly string[] };
}

export const WORLD_FORMAT = 'cellwall.world/1';

export function recordOf(
  world: World,
  documents: readonly unknown[],
  containers: readonly Resident[],
  times: { readonly sinceUs: number; readonly untilUs: number },
): WorldRecord {
  const { clusterNetworks, apiServer, dnsServers } = world.options;
  const texts = (networks: World['options']['apiServer']) => networks.map(({ text }) => text);
  return {
    format: WORLD_FORMAT,
    ...times,
    policies: documents,
    containers,
    services: world.services,
    nodes: world.nodes,
    options: { clusterNetworks: texts(clusterNetworks), apiServer: texts(apiServer), dnsServers: texts(dnsServers) },
  };
}

const networks = (texts: readonly string[]) =>
  texts.map(parseNetwork).filter((it): it is Exclude<typeof it, string> => typeof it !== 'string');

/** The policies in force then, with their documents as text by which changes are told. */
export function worldOf(record: WorldRecord): { world: World; problems: readonly Problem[] } {
  const text = record.policies.map((it) => JSON.stringify(it)).join('\n---\n');
  const { policies, problems } =
    text === '' ? { policies: [] as Policy[], problems: [] } : parseDocuments(text, 'world');
  const { clusterNetworks, apiServer, dnsServers } = record.options;
  const world: World = {
    policies,
    containers: record.containers.filter((it) => it.goneUs === null),
    services: record.services,
    nodes: record.nodes,
    options: {
      clusterNetworks: networks(clusterNetworks),
      apiServer: networks(apiServer),
      dnsServers: networks(dnsServers),
    },
  };
  return { world, problems };
}

/** Text of a document whatever the order of its keys. */
export function stableText(value: unknown): string {
  return JSON.stringify(value, (_, it: unknown) =>
    it !== null && typeof it === 'object' && !Array.isArray(it)
      ? Object.fromEntries(Object.entries(it).sort(([a], [b]) => (a < b ? -1 : 1)))
      : it,
  );
}

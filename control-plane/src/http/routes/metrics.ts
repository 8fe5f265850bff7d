// SPDX-License-Identifier: Apache-2.0
import { Gauge, Registry } from 'prom-client';
import type { Api, Context } from '../context.js';
import { readNodes } from './nodes.js';
import { readStatus } from './status.js';

export function metrics(api: Api, context: Context): void {
  const registry = new Registry();
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name, help, labelNames, registers: [registry] });
  const stored = gauge('cellwall_flows_stored', 'Flow records in the store.');
  const lost = gauge('cellwall_flows_lost', 'Flow records that were made and are not stored.', ['reason']);
  const connected = gauge('cellwall_agents_connected', 'Agents with a stream.');
  const known = gauge('cellwall_nodes_known', 'Nodes that have ever said hello.');
  const bytes = gauge('cellwall_store_bytes', 'Size of the store on disk.');
  const writable = gauge('cellwall_store_writable', '1: flows can be stored; 0: see /v1/status.');
  const refused = gauge('cellwall_batches_refused', 'Malformed batches since the start of the server.');
  const generation = gauge('cellwall_policy_generation', 'Number of the policy set.');
  const denials = gauge('cellwall_access_denied', 'Requests that were denied, since the start of the server.');
  const limited = gauge('cellwall_requests_limited', 'Requests that a limit turned away, since the start.', ['limit']);
  const streams = gauge('cellwall_streams', 'Streams of flows that are open.');
  const slow = gauge('cellwall_slow_readers_dropped', 'Streams closed because nobody read them, since the start.');
  const audit = gauge('cellwall_audit_entries', 'Entries of the audit log.');
  const nodeLost = gauge('cellwall_node_flows_lost', 'Of one node.', ['node', 'reason']);
  const lag = gauge('cellwall_node_lag_seconds', 'Age of the oldest flow that an agent has and the server has not.', [
    'node',
  ]);
  const behind = gauge('cellwall_node_policy_behind', 'Generations that a node has not applied yet.', ['node']);
  const spool = gauge('cellwall_node_spool_bytes', 'Flows that wait on the disk of a node.', ['node']);
  const merged = gauge('cellwall_node_flows_merged', 'Flows that share a record, since the start of the agent.', [
    'node',
  ]);
  const inStep = gauge('cellwall_kubernetes_in_step', '1: as Kubernetes has it; 0: see kubernetes in /v1/status.', [
    'resource',
  ]);
  const objects = gauge('cellwall_kubernetes_objects', 'Objects of Kubernetes that are known.', ['resource']);
  api.get('/metrics', async (c) => {
    const [status, nodes] = await Promise.all([readStatus(context), readNodes(context)]);
    for (const it of [nodeLost, lag, behind, spool, merged]) it.reset();
    for (const { name: node, delivery, lost: ofNode, generation: policy } of nodes) {
      behind.set({ node }, Math.max(0, policy.wanted - policy.applied));
      for (const [reason, count] of Object.entries(ofNode)) nodeLost.set({ node, reason }, count);
      lag.set({ node }, delivery.lagUs / 1e6);
      spool.set({ node }, delivery.spoolBytes);
      merged.set({ node }, delivery.mergedEvents);
    }
    for (const { resource, state, objects: count } of status.kubernetes?.collections ?? []) {
      inStep.set({ resource }, state === 'current' ? 1 : 0);
      objects.set({ resource }, count);
    }
    stored.set(status.flows.stored);
    for (const [reason, count] of Object.entries(status.lost)) lost.set({ reason }, count);
    connected.set(status.nodes.connected);
    known.set(status.nodes.known);
    bytes.set(status.store.bytes);
    writable.set(status.store.writable ? 1 : 0);
    generation.set(status.generation);
    denials.set(status.access.denials);
    limited.set({ limit: 'rate' }, status.access.requestsLimited);
    limited.set({ limit: 'questions' }, status.access.questionsRefused);
    limited.set({ limit: 'streams' }, status.access.streamsRefused);
    limited.set({ limit: 'connections' }, status.access.connectionsEvicted);
    streams.set(status.access.streams);
    slow.set(status.access.slowReadersDropped);
    audit.set(status.audit.count);
    refused.set(context.agents.refusedBatches);
    return c.text(await registry.metrics(), 200, { 'content-type': registry.contentType });
  });
}

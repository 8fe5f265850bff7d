/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Datagrams of UDP sockets which are not connected. Each is judged; all to one peer are one conversation, which ends when it
 * was idle, when its verdict changes, or when the socket goes. The first peer is kept with the socket, others in cw_peers.
 */
#pragma once

#include "connect.h"

/* clang makes a call of a 16-byte memcmp. */
static __always_inline bool cw_same_address(const __u8 *one, const __u8 *other)
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, one, sizeof(a));
	__builtin_memcpy(b, other, sizeof(b));
	return a[0] == b[0] && a[1] == b[1];
}

static __always_inline bool cw_same_peer(const struct cw_flow *flow, const struct cw_target *target)
{
	return !flow->connected && flow->remote_port == target->port &&
	       cw_same_address(flow->remote, target->address);
}

static __always_inline bool cw_same_verdict(const struct cw_flow *flow, const struct cw_decision *decision)
{
	return flow->rule == decision->rule && flow->verdict == decision->verdict;
}

/* One more datagram of a conversation. A refused one is reported at the first datagram and then once a minute. */
static __always_inline void cw_conversation_go_on(struct cw_flow *flow)
{
	__u64 now = bpf_ktime_get_boot_ns();

	__sync_fetch_and_add(&flow->packets, 1);
	flow->last_ns = now;
	if (flow->verdict == CW_DENIED && now - flow->start_ns > CW_DENIED_REPORT_NS) {
		cw_report_flow(flow, CW_END_DENIED, true);
		flow->packets = 0;
		flow->start_ns = now;
	}
}

/* Records what has not been recorded yet of a conversation that is over. */
static __always_inline void cw_conversation_end(const struct cw_flow *flow, __u8 end)
{
	if (flow->packets)
		cw_report_flow(flow, flow->verdict == CW_DENIED ? CW_END_DENIED : end, false);
}

static __always_inline void cw_conversation_begin(struct cw_flow *flow)
{
	flow->packets = 1;
	if (flow->verdict == CW_DENIED) {
		cw_report_flow(flow, CW_END_DENIED, true);
		flow->packets = 0;
	}
}

static __always_inline void cw_further_peer(struct cw_flow *flow)
{
	struct cw_peer key = {.cookie = flow->cookie, .remote_port = flow->remote_port};
	struct cw_decision decision = {.rule = flow->rule, .verdict = flow->verdict};
	struct cw_flow *known;

	__builtin_memcpy(key.remote, flow->remote, sizeof(key.remote));
	known = bpf_map_lookup_elem(&cw_peers, &key);
	if (known && cw_same_verdict(known, &decision)) {
		cw_conversation_go_on(known);
		return;
	}
	if (known)
		cw_conversation_end(known, CW_END_CLOSED);
	cw_conversation_begin(flow);
	if (bpf_map_update_elem(&cw_peers, &key, flow, BPF_ANY))
		cw_count(CW_COUNT_PEERS_FULL);
}

static __always_inline int cw_sendmsg(struct bpf_sock_addr *ctx, const struct cw_target *target)
{
	struct cw_caller caller = {.socket = ctx->sk};
	struct cw_flow flow, *known, *slot;
	struct cw_decision decision;
	int permitted;

	if (!caller.socket)
		return CW_PERMIT;
	cw_judge(ctx, target, &caller, &decision);
	permitted = decision.verdict == CW_DENIED ? CW_REFUSE : CW_PERMIT;

	known = cw_flow_find(caller.cookie, caller.socket);
	if (known && cw_same_peer(known, target) && cw_same_verdict(known, &decision)) {
		cw_conversation_go_on(known);
		return permitted;
	}
	cw_flow_begin(&flow, caller.cookie, caller.own, target, &decision);
	if (known && !cw_same_peer(known, target)) {
		cw_further_peer(&flow);
		return permitted;
	}
	if (known) {
		cw_conversation_end(known, CW_END_CLOSED);
		cw_flow_drop(known);
	}
	slot = cw_slot_take(caller.cookie);
	if (!slot) {
		/* Not beside the socket, where cw_sweep would not find it. */
		cw_further_peer(&flow);
		return permitted;
	}
	cw_conversation_begin(&flow);
	cw_slot_fill(slot, &flow);
	return permitted;
}

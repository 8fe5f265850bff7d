/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Datagrams of UDP sockets which are not connected. All with one peer are one conversation, which ends when it was idle, when
 * its verdict changes, or when the socket goes. The first peer is kept with the socket, others in cw_peers. Who sent first
 * began it: each datagram of a conversation that the container began is judged, and what it answers to a peer that began is
 * not (ports of callers cannot be written into rules). A datagram counts as received when the container asks who sent it
 * (recvfrom, recvmsg), which it has to in order to answer.
 */
#pragma once

#include "connect.h"

static __always_inline bool cw_same_peer(const struct cw_flow *flow, const struct cw_target *target)
{
	return !flow->connected && flow->remote_port == target->port &&
	       cw_same_address(flow->remote, target->address);
}

static __always_inline bool cw_same_verdict(const struct cw_flow *flow, __u32 rule, __u8 verdict)
{
	return flow->rule == rule && flow->verdict == verdict;
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
	if (flow->packets || flow->received)
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

static __always_inline void cw_peer_key(struct cw_peer *key, __u64 cookie, const __u8 address[16], __u16 port)
{
	__builtin_memset(key, 0, sizeof(*key));
	key->cookie = cookie;
	__builtin_memcpy(key->remote, address, sizeof(key->remote));
	key->remote_port = port;
}

static __always_inline struct cw_flow *cw_peer_find(__u64 cookie, const __u8 address[16], __u16 port)
{
	struct cw_peer key;

	cw_peer_key(&key, cookie, address, port);
	return bpf_map_lookup_elem(&cw_peers, &key);
}

/* The conversation of a socket that is not connected. */
static __always_inline struct cw_flow *cw_conversation_of(__u64 cookie, void *socket, const struct cw_target *peer)
{
	struct cw_flow *first = cw_flow_find(cookie, socket);

	if (first && cw_same_peer(first, peer))
		return first;
	return cw_peer_find(cookie, peer->address, peer->port);
}

static __always_inline void cw_peer_store(const struct cw_peer *key, const struct cw_flow *flow)
{
	if (bpf_map_update_elem(&cw_peers, key, flow, BPF_ANY))
		cw_count(CW_COUNT_PEERS_FULL);
}

/* What unconnected UDP has beyond other flows. The socket may be open for long after the conversation, so it is not asked
 * at the end. */
static __always_inline void cw_conversation_local(struct cw_flow *flow, void *socket)
{
	struct sock *sk = cw_object(sock, socket);

	flow->last_ns = flow->start_ns;
	cw_local_address(flow->local, sk);
	flow->local_port = cw_local_port(sk);
	flow->net = cw_net(sk);
}

/* One more datagram to a further peer, or the first one. */
static __always_inline void cw_further_peer(const struct cw_peer *key, struct cw_flow *known, struct cw_flow *flow)
{
	if (known && cw_same_verdict(known, flow->rule, flow->verdict)) {
		cw_conversation_go_on(known);
		return;
	}
	if (known)
		cw_conversation_end(known, CW_END_CLOSED);
	cw_conversation_begin(flow);
	cw_peer_store(key, flow);
}

/* A conversation begins, or has another verdict than before. Not inlined: its stack is not needed while the policy is asked. */
static __attribute__((noinline)) int cw_conversation_new(const struct cw_caller *caller, const struct cw_target *target,
							 const struct cw_decision *decision)
{
	struct cw_flow flow = {}, *first = cw_caller_flow(caller), *known, *slot;
	struct cw_peer key;

	known = first && cw_same_peer(first, target) ? first : NULL;
	flow.cookie = caller->cookie;
	cw_flow_begin(&flow, caller->own, target, decision);
	cw_conversation_local(&flow, caller->socket);
	cw_peer_key(&key, caller->cookie, target->address, target->port);
	if (first && !known) {
		cw_further_peer(&key, bpf_map_lookup_elem(&cw_peers, &key), &flow);
		return 0;
	}
	if (!first && (known = bpf_map_lookup_elem(&cw_peers, &key))) {
		cw_further_peer(&key, known, &flow);
		return 0;
	}
	if (known) {
		cw_conversation_end(known, CW_END_CLOSED);
		cw_flow_drop(known);
	}
	slot = cw_slot_take(caller->cookie);
	if (!slot) {
		/* Not beside the socket, where cw_sweep would not find it. */
		cw_further_peer(&key, NULL, &flow);
		return 0;
	}
	cw_conversation_begin(&flow);
	cw_slot_fill(slot, &flow);
	return 0;
}

/* The conversation of an unconnected socket with a peer. */
static __attribute__((noinline)) struct cw_flow *cw_conversation(const struct cw_caller *caller,
								 const struct cw_target *target)
{
	struct cw_flow *first = cw_caller_flow(caller);

	if (first && cw_same_peer(first, target))
		return first;
	return cw_peer_find(caller->cookie, target->address, target->port);
}

/* May the container still answer? Nobody else asks when the policy has changed since the peer began. decision is only room. */
static __attribute__((noinline)) bool cw_may_answer(const struct cw_caller *caller, struct cw_target *peer,
						    struct cw_decision *decision)
{
	__u16 port = peer->port;

	if (!cw_guarding)
		return true;
	peer->port = cw_local_port(cw_object(sock, caller->socket));
	decision->pattern = 0;
	cw_decide_again(caller->cgroup, caller->own, CW_INGRESS, peer, decision);
	peer->port = port;
	return decision->verdict != CW_DENIED;
}

/* The packet comes to the guard just after this. Of a connected socket the verdict there is that of its own peer. */
static __always_inline void cw_sendmsg_guarded(const struct cw_caller *caller, const struct cw_target *target,
					       __u64 changes, __u8 verdict)
{
	struct cw_guard *guard;

	if (verdict == CW_DENIED)
		return;
	guard = bpf_sk_storage_get(&cw_guards, caller->socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (!guard)
		return;
	guard->asked_port = target->port;
	__builtin_memcpy(guard->asked, target->address, sizeof(guard->asked));
	if (caller->socket->dst_port)
		return;
	guard->verdict = verdict;
	guard->changes = changes;
}

static __always_inline int cw_sendmsg(struct bpf_sock_addr *ctx, struct cw_target *target)
{
	struct cw_decision decision = {};
	struct cw_caller caller;
	struct cw_flow *known;

	if (!cw_identify(ctx, &caller))
		return CW_PERMIT;
	known = cw_conversation(&caller, target);
	if (known && known->direction == CW_INGRESS && cw_may_answer(&caller, target, &decision)) {
		cw_conversation_go_on(known);
		return CW_PERMIT;
	}
	decision.pattern = known ? known->pattern : 0;
	cw_decide_call(&caller, target, &decision);
	if (decision.flags & CW_SUBJECT_GUARDED)
		cw_sendmsg_guarded(&caller, target, decision.changes, decision.verdict);
	if (known && cw_same_verdict(known, decision.rule, decision.verdict))
		cw_conversation_go_on(known);
	else
		cw_conversation_new(&caller, target, &decision);
	return decision.verdict == CW_DENIED ? CW_REFUSE : CW_PERMIT;
}

/* The guard has let it in; this is for the record. */
static __attribute__((noinline)) int cw_judge_sender(const struct cw_caller *caller, const struct cw_target *peer,
					    struct cw_decision *decision)
{
	struct cw_target local = *peer;

	local.port = cw_local_port(cw_object(sock, caller->socket));
	cw_decide_again(caller->cgroup, caller->own, CW_INGRESS, &local, decision);
	if (!(decision->flags & CW_SUBJECT_GUARDED)) {
		decision->rule = CW_RULE_NO_POLICY;
		decision->verdict = CW_ALLOWED;
	}
	if (decision->verdict == CW_AUDIT)
		cw_count(CW_COUNT_AUDIT);
	return 0;
}

static __attribute__((noinline)) int cw_conversation_in(const struct cw_caller *caller, const struct cw_target *peer,
							const struct cw_decision *decision, bool first)
{
	struct cw_flow flow = {}, *slot = NULL;
	struct cw_peer key;

	flow.cookie = caller->cookie;
	cw_flow_begin(&flow, caller->own, peer, decision);
	cw_conversation_local(&flow, caller->socket);
	flow.direction = CW_INGRESS;
	flow.received = 1;
	if (first)
		slot = cw_slot_take(caller->cookie);
	if (slot) {
		cw_slot_fill(slot, &flow);
		return 0;
	}
	cw_peer_key(&key, caller->cookie, peer->address, peer->port);
	cw_peer_store(&key, &flow);
	return 0;
}

/* A datagram that the container reads together with its sender's address. */
static __always_inline void cw_recvmsg(struct bpf_sock_addr *ctx, const struct cw_target *peer)
{
	struct cw_decision decision = {.rule = CW_RULE_NO_POLICY, .verdict = CW_ALLOWED};
	struct cw_flow *first, *known;
	struct cw_caller caller;

	if (!cw_identify(ctx, &caller))
		return;
	first = cw_caller_flow(&caller);
	if (first && first->connected)
		return;
	known = first && cw_same_peer(first, peer) ? first : NULL;
	if (!known)
		known = cw_peer_find(caller.cookie, peer->address, peer->port);
	if (known) {
		__sync_fetch_and_add(&known->received, 1);
		known->last_ns = bpf_ktime_get_boot_ns();
		return;
	}
	if (cw_guarding)
		cw_judge_sender(&caller, peer, &decision);
	cw_conversation_in(&caller, peer, &decision, !first);
}

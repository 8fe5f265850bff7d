/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* connect() of TCP and UDP sockets. */
#pragma once

#include <bpf/bpf_endian.h>

#include "failure.h"
#include "multipath.h"

enum { CW_REFUSE = 0, CW_PERMIT = 1 };

static __always_inline void cw_target_v4(struct cw_target *target, __be32 address, __be16 port, __u8 protocol)
{
	/* The kernel sends what goes to 0.0.0.0 to loopback (ip_route_output_key_hash_rcu). */
	__be32 meant = address ? address : bpf_htonl(0x7f000001);

	__builtin_memset(target, 0, sizeof(*target));
	target->address[10] = 0xff;
	target->address[11] = 0xff;
	__builtin_memcpy(target->address + 12, &meant, sizeof(meant));
	target->port = bpf_ntohs(port);
	target->protocol = protocol;
}

static __always_inline void cw_target_v6(struct cw_target *target, struct bpf_sock_addr *ctx)
{
	__u32 word[4];

	/* Loads of the context must have constant offsets. */
	word[0] = ctx->user_ip6[0];
	word[1] = ctx->user_ip6[1];
	word[2] = ctx->user_ip6[2];
	word[3] = ctx->user_ip6[3];
	if (!(word[0] | word[1] | word[3])) {
		if (word[2] == bpf_htonl(0xffff))
			word[3] = bpf_htonl(0x7f000001); /* ::ffff:0.0.0.0 */
		else if (!word[2])
			word[3] = bpf_htonl(1); /* :: goes to ::1 (tcp_v6_connect, udpv6_sendmsg) */
	}
	__builtin_memset(target, 0, sizeof(*target));
	__builtin_memcpy(target->address, word, sizeof(word));
	target->port = bpf_ntohs(ctx->user_port);
	target->protocol = ctx->protocol;
}

static __always_inline bool cw_is_flow_protocol(__u8 protocol)
{
	return protocol == IPPROTO_TCP || protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE ||
	       protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

struct cw_caller {
	struct bpf_sock *socket;
	struct cgroup *cgroup;
	__u64 own; /* id of the socket's cgroup */
	__u64 cookie;
	bool fresh;
};

/* False: the call has no socket. */
static __always_inline bool cw_identify(struct bpf_sock_addr *ctx, struct cw_caller *caller)
{
	struct sock *sk;

	caller->socket = ctx->sk;
	if (!caller->socket)
		return false;
	sk = cw_object(sock, caller->socket);
	caller->cgroup = cw_socket_cgroup(sk);
	caller->own = cw_cgroup_id(caller->cgroup);
	caller->fresh = cw_is_fresh(sk);
	caller->cookie = bpf_get_socket_cookie(ctx);
	return true;
}

/* The flow that the caller's socket has so far. */
static __always_inline struct cw_flow *cw_caller_flow(const struct cw_caller *caller)
{
	return caller->fresh ? NULL : cw_flow_find(caller->cookie, caller->socket);
}

/* What the socket did before: a connect that failed, or a conversation with another peer. */
static __always_inline void cw_connect_again(struct cw_flow *before, struct sock *sk)
{
	struct cw_event *event = cw_event_reserve();

	if (event) {
		cw_event_from_flow(event, before);
		if (before->connected) {
			cw_local_address(event->local, sk);
			event->local_port = cw_local_port(sk);
			event->net = cw_net(sk);
		}
		event->end = CW_END_CLOSED;
		if (before->protocol == IPPROTO_TCP) {
			event->end = CW_END_FAILED;
			event->failure = cw_read_failure(sk, before->heard);
		}
		cw_event_submit(event, false);
	}
	cw_flow_drop(before);
}

/* A connect without a slot: refused, of a socket whose release nobody sees, or where the slot is taken. */
static __always_inline void cw_connect_aside(const struct cw_caller *caller, const struct cw_target *target,
					     const struct cw_decision *decision, bool heard, bool forgotten)
{
	struct cw_flow flow = {.cookie = caller->cookie, .connected = 1};

	cw_flow_begin(&flow, caller->own, target, decision);
	flow.heard = heard;
	if (decision->verdict == CW_DENIED)
		cw_report_flow(&flow, CW_END_DENIED, true);
	else if (forgotten)
		cw_report_flow(&flow, CW_END_CLOSED, false);
	else if (!cw_flow_store_beside(&flow, caller->socket))
		cw_count(CW_COUNT_STATE_FULL);
}

/* A socket's first connect, or a further one after a failed one (TCP) or to another peer (UDP). */
static __always_inline int cw_connect(struct bpf_sock_addr *ctx, const struct cw_target *target)
{
	bool heard = false, forgotten;
	struct cw_flow *before, *slot = NULL;
	struct cw_decision decision;
	struct cw_caller caller;
	struct sock *sk;

	if (!cw_identify(ctx, &caller))
		return CW_PERMIT;
	cw_decide(caller.cgroup, caller.own, CW_EGRESS, target, &decision);
	sk = cw_object(sock, caller.socket);
	before = cw_caller_flow(&caller);
	if (before) {
		cw_connect_again(before, sk);
		heard = cw_has_heard(sk);
	}
	forgotten = cw_is_forgotten(sk);
	if (decision.verdict != CW_DENIED && !forgotten)
		slot = cw_slot_take(caller.cookie);
	if (!slot) {
		cw_connect_aside(&caller, target, &decision, heard, forgotten);
		return decision.verdict == CW_DENIED ? CW_REFUSE : CW_PERMIT;
	}
	cw_flow_begin(slot, caller.own, target, &decision);
	slot->heard = heard;
	slot->connected = 1;
	cw_slot_publish(slot, caller.cookie);
	return CW_PERMIT;
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* connect() of TCP and UDP sockets. */
#pragma once

#include <bpf/bpf_endian.h>

#include "failure.h"
#include "guard_state.h"
#include "multipath.h"

enum { CW_REFUSE = 0, CW_PERMIT = 1 };
enum { CW_ICMP_ECHO = 8, CW_ICMPV6_ECHO = 128 };

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

/* A connect without a slot: refused, of a socket whose release nobody sees, or where the slot is taken. Not inlined: its
 * stack is not needed while the policy is asked. */
static __attribute__((noinline)) int cw_connect_aside(const struct cw_caller *caller, const struct cw_target *target,
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
	return 0;
}

/* The verdict for the container that makes the call, if the socket belongs to another: rule << 8 | verdict, 0: it does not.
 * decision is only room for it: three frames have to fit into 512 bytes of stack. */
static __attribute__((noinline)) __u64 cw_decide_user(__u64 own, const struct cw_target *target, struct cw_decision *decision)
{
	struct task_struct *task = cw_current();
	struct cgroup *cgroup;
	struct css_set *set;
	__u64 id;

	if (cw_read(task, flags) & CW_PF_KTHREAD)
		return 0;
	set = cw_read(task, cgroups);
	cgroup = cw_read(set, dfl_cgrp);
	id = cw_cgroup_id(cgroup);
	if (id == own)
		return 0;
	decision->pattern = 0;
	cw_decide_again(cgroup, id, CW_EGRESS, target, decision);
	return (__u64)decision->rule << 8 | decision->verdict;
}

/* A socket was passed on to another container: the worse verdict of the two counts. */
static __always_inline void cw_decide_call(const struct cw_caller *caller, const struct cw_target *target,
					   struct cw_decision *decision)
{
	__u64 before = decision->pattern, user = 0, of = 0;

	if (cw_guarding) {
		user = cw_decide_user(caller->own, target, decision);
		of = decision->container;
		decision->pattern = before;
	}
	cw_decide(caller->cgroup, caller->own, CW_EGRESS, target, decision);
	if (!user || of == decision->container || (user & 0xff) == CW_ALLOWED || decision->verdict == CW_DENIED ||
	    decision->verdict == (user & 0xff))
		return;
	decision->verdict = user;
	decision->rule = user >> 8;
	cw_count(decision->verdict == CW_DENIED ? CW_COUNT_DENIED : CW_COUNT_AUDIT);
}

/* Sockets for pings send requests only. */
static __always_inline __u16 cw_ping_type(__u8 protocol)
{
	return protocol == IPPROTO_ICMP ? CW_ICMP_ECHO : protocol == IPPROTO_ICMPV6 ? CW_ICMPV6_ECHO : 0;
}

/* A socket's first connect, or a further one after a failed one (TCP) or to another peer (UDP). */
static __always_inline int cw_connect(struct bpf_sock_addr *ctx, struct cw_target *target)
{
	bool heard = false, forgotten;
	struct cw_flow *before, *slot = NULL;
	struct cw_decision decision = {};
	struct cw_caller caller;
	struct sock *sk;

	if (!cw_identify(ctx, &caller))
		return CW_PERMIT;
	decision.pattern = 0;
	if (cw_ping_type(target->protocol)) {
		target->port = cw_ping_type(target->protocol);
		cw_decide_call(&caller, target, &decision);
		target->port = 0;
	} else {
		cw_decide_call(&caller, target, &decision);
	}
	cw_guard_reset(caller.socket);
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

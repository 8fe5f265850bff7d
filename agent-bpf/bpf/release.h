/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The end of a socket: the one event of its connection. */
#pragma once

#include "datagram.h"
#include "multipath.h"

enum {
	CW_SOCK_RAW = 3,
	CW_TCP_SYN_SENT = 2,
	CW_TCP_FIN_WAIT1 = 4,
	CW_TCP_FIN_WAIT2 = 5,
	CW_TCP_LAST_ACK = 9,
	CW_TCP_LISTEN = 10,
	CW_TCP_CLOSING = 11,
	CW_SOCK_DONE = 1, /* bit of skc_flags: the peer's FIN was received (include/net/sock.h, enum sock_flags) */
};

static __always_inline void cw_read_local(struct cw_event *event, struct sock *sk)
{
	cw_local_address(event->local, sk);
	event->local_port = cw_local_port(sk);
}

static __always_inline void cw_read_remote(struct cw_event *event, struct sock *sk)
{
	cw_remote_address(event->remote, sk);
	event->remote_port = cw_remote_port(sk);
}

/* Read once: each load of a kernel object is checked by the kernel, and costs. */
struct cw_tcp_state {
	__u64 acked;
	__u32 written; /* these are sequence numbers */
	__u32 next;
	__u32 unacked;
	bool peer_done; /* the peer's FIN was received */
	bool fin_sent;
	__u8 state;
};

static __always_inline void cw_read_tcp_state(struct cw_tcp_state *now, struct sock *sk)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	__u8 state = cw_read(sk, __sk_common.skc_state);

	now->acked = cw_read(tcp, bytes_acked);
	now->written = cw_read(tcp, write_seq);
	now->next = cw_read(tcp, snd_nxt);
	now->unacked = cw_read(tcp, snd_una);
	now->state = state;
	now->peer_done = cw_read(sk, __sk_common.skc_flags) & (1UL << CW_SOCK_DONE);
	now->fin_sent = state == CW_TCP_FIN_WAIT1 || state == CW_TCP_FIN_WAIT2 || state == CW_TCP_CLOSING ||
			state == CW_TCP_LAST_ACK || (state == CW_TCP_CLOSE && now->peer_done);
}

/* Sequence numbers that were sent and are not payload: SYN and FIN. */
static __always_inline __u64 cw_tcp_signals(const struct cw_tcp_state *now, struct sock *sk)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	__u64 used = now->acked + (__u32)(now->next - now->unacked);

	return used - (cw_read(tcp, bytes_sent) - cw_read(tcp, bytes_retrans));
}

/* Did this end send the SYN? */
static __always_inline bool cw_tcp_began(const struct cw_tcp_state *now, struct sock *sk)
{
	return cw_tcp_signals(now, sk) - now->fin_sent == 1;
}

/* Counters of an established connection. bytes_acked counts our SYN where we began, write_seq our FIN, bytes_received the
 * peer's FIN (net/ipv4/tcp_input.c: tcp_snd_una_update, tcp_rcv_nxt_update). */
static __always_inline void cw_read_tcp(struct cw_event *event, struct sock *sk, struct cw_tcp_state *now, bool heard)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	bool began = event->direction == CW_EGRESS;

	if (began && !now->acked) {
		/* The SYN was never acknowledged. */
		event->end = CW_END_FAILED;
		event->failure = cw_read_failure(sk, heard);
		event->sent_bytes = 0;
		event->received_bytes = 0;
		return;
	}
	/* Both ends, or a reset after the peer's. */
	if (now->state == CW_TCP_CLOSE && now->peer_done)
		now->fin_sent = cw_tcp_signals(now, sk) - began == 1;
	event->end = now->state == CW_TCP_CLOSE && !(now->peer_done && now->fin_sent) ? CW_END_RESET : CW_END_CLOSED;
	event->sent_bytes = now->acked + (__u32)(now->written - now->unacked) - began - now->fin_sent;
	event->received_bytes = cw_read(tcp, bytes_received) - now->peer_done;
	event->unsent = now->written != now->next;
	event->sent_packets = cw_read(tcp, segs_out);
	event->received_packets = cw_read(tcp, segs_in);
	event->rtt_us = cw_read(tcp, srtt_us) >> 3;
	event->retransmits = cw_read(tcp, total_retrans);
}

/* Who closes an accepted connection is who served it, if it is of the same cgroup. */
static __always_inline void cw_read_process(struct cw_event *event)
{
	struct task_struct *task = cw_current();
	struct css_set *set = cw_read(task, cgroups);

	if (cw_cgroup_id(cw_read(set, dfl_cgrp)) != event->socket_cgroup)
		return;
	event->pid = cw_read(task, tgid);
	cw_read_name(event->comm, task);
}

static __always_inline bool cw_multipath_began(struct sock *sk)
{
	struct sock *first = cw_first_subflow(sk);
	struct cw_tcp_state now;

	if (!first)
		return false;
	cw_read_tcp_state(&now, first);
	return cw_tcp_began(&now, first);
}

/* Sockets of which nothing was stored when they began: accepted ones, raw ones, and those older than the programs. */
static __always_inline void cw_read_unseen(struct cw_event *event, struct sock *sk, __u64 cookie, bool began)
{
	event->socket_cgroup = cw_cgroup_id(cw_socket_cgroup(sk));
	event->cookie = cookie;
	event->direction = began ? CW_EGRESS : CW_INGRESS;
	event->verdict = CW_ALLOWED;
	cw_read_remote(event, sk);
	/* Where connects are not seen anyway, there is no peer. */
	if (began && event->remote_port && cw_read(sk, sk_type) != CW_SOCK_RAW)
		event->flags = CW_FLAG_OLDER;
}

/* Is a socket, of which nothing was stored, a flow? A raw one is, also without a peer: that it is there is worth knowing. */
static __always_inline bool cw_is_unseen_flow(struct sock *sk)
{
	__u16 protocol = cw_read(sk, sk_protocol);

	if (cw_read(sk, sk_type) == CW_SOCK_RAW)
		return true;
	if (protocol == IPPROTO_TCP || protocol == CW_IPPROTO_MPTCP)
		return cw_read(sk, __sk_common.skc_dport) && cw_read(sk, __sk_common.skc_state) != CW_TCP_LISTEN;
	if (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
		return cw_read(sk, __sk_common.skc_dport);
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

static __always_inline void cw_read_multipath(struct cw_event *event, struct sock *sk)
{
	struct mptcp_sock *multipath = cw_object(mptcp_sock, sk);
	struct sock *first = cw_read(multipath, first);
	__u8 state = cw_read(sk, __sk_common.skc_state);

	event->end = CW_END_CLOSED;
	if (event->direction == CW_EGRESS && first && (state == CW_TCP_SYN_SENT || state == CW_TCP_CLOSE)) {
		struct tcp_sock *tcp = cw_object(tcp_sock, first);

		if (!cw_read(tcp, bytes_acked)) {
			event->end = CW_END_FAILED;
			event->failure = cw_read_failure(first, false);
		}
	}
	if (!bpf_core_field_exists(multipath->bytes_sent))
		return;
	event->sent_bytes = cw_read(multipath, bytes_sent);
	event->received_bytes = cw_read(multipath, bytes_received);
}

/* Of a connection that came in, the verdict is kept by the guard. */
static __always_inline void cw_read_guarded(struct cw_event *event, void *socket)
{
	struct cw_guard *guard = bpf_sk_storage_get(&cw_guards, socket, NULL, 0);

	if (!guard || !guard->direction)
		return;
	event->verdict = guard->verdict;
	event->rule = guard->rule;
	event->generation = guard->generation;
	event->container = guard->container;
	event->direction = guard->direction;
}

/* All that is known of a flow from its state, if there is one, and from its socket. */
static __always_inline void cw_describe(struct cw_event *event, struct sock *sk, void *socket, __u64 cookie,
					const struct cw_flow *flow)
{
	__u16 protocol = cw_read(sk, sk_protocol);
	/* Not set, it is refused: the compiler moves parts of it before the test of the protocol. */
	struct cw_tcp_state now = {};
	bool began = true;

	if (protocol == IPPROTO_TCP)
		cw_read_tcp_state(&now, sk);
	if (flow) {
		cw_event_from_flow(event, flow);
	} else {
		if (protocol == IPPROTO_TCP)
			began = cw_tcp_began(&now, sk);
		else if (protocol == CW_IPPROTO_MPTCP)
			began = cw_multipath_began(sk);
		event->protocol = protocol == CW_IPPROTO_MPTCP ? IPPROTO_TCP : protocol;
		cw_read_unseen(event, sk, cookie, began);
		if (cw_guarding)
			cw_read_guarded(event, socket);
	}
	cw_read_local(event, sk);
	event->net = cw_net(sk);
	if (protocol == IPPROTO_TCP)
		cw_read_tcp(event, sk, &now, flow && flow->heard);
	else if (bpf_core_type_exists(struct mptcp_sock) && protocol == CW_IPPROTO_MPTCP)
		cw_read_multipath(event, sk);
	else
		event->end = CW_END_CLOSED;
	if (event->verdict == CW_DENIED)
		event->end = CW_END_DENIED;
}

static __attribute__((noinline)) int cw_judge_accepted(struct cw_decision *decision, struct sock *sk)
{
	struct cw_target target = {.protocol = IPPROTO_TCP};
	struct cgroup *cgroup = cw_socket_cgroup(sk);

	cw_remote_address(target.address, sk);
	target.port = cw_local_port(sk);
	cw_decide_again(cgroup, cw_cgroup_id(cgroup), CW_INGRESS, &target, decision);
	return decision->verdict;
}

/* Of a connection that came in, and was closed before a packet of it was judged: only the listening socket has seen any. */
static __always_inline void cw_read_unjudged(struct cw_event *event, struct sock *sk)
{
	struct cw_decision decision = {};

	/* What was let in before is not refused any more. The FIN, which is still to come, counts what is audited. */
	if (cw_judge_accepted(&decision, sk) == CW_DENIED || !decision.container)
		return;
	event->verdict = decision.verdict;
	event->rule = decision.rule;
	event->generation = decision.generation;
	event->container = decision.container;
}

static __always_inline void cw_release(struct bpf_sock *ctx)
{
	struct sock *sk = cw_object(sock, ctx);
	bool fresh = cw_is_fresh(sk);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct cw_flow *flow = fresh ? NULL : cw_flow_find(cookie, ctx);
	struct cw_event *event;

	if (!flow)
		flow = cw_multipath_flow(sk);
	if (!flow && !cw_is_unseen_flow(sk))
		return;
	/* All of a refused conversation may be on record already. */
	if (flow && !flow->connected && !flow->packets && !flow->received)
		goto drop;
	event = cw_event_reserve();
	if (!event)
		goto drop;
	cw_describe(event, sk, ctx, cookie, flow);
	if (!flow) {
		if (cw_guarding && !event->generation && event->direction == CW_INGRESS && event->protocol == IPPROTO_TCP)
			cw_read_unjudged(event, sk);
		cw_read_process(event);
	}
	cw_event_submit(event, false);
drop:
	if (flow)
		cw_flow_drop(flow);
}

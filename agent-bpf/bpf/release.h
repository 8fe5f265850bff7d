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
	if (cw_read(sk, __sk_common.skc_family) == AF_INET6) {
		struct in6_addr remote = cw_read(sk, __sk_common.skc_v6_daddr);

		__builtin_memcpy(event->remote, &remote, sizeof(event->remote));
	} else {
		cw_v4_mapped(event->remote, cw_read(sk, __sk_common.skc_daddr));
	}
	event->remote_port = bpf_ntohs(cw_read(sk, __sk_common.skc_dport));
}

struct cw_tcp_end {
	bool peer_done; /* the peer's FIN was received */
	bool fin_sent;
	__u8 state;
};

static __always_inline void cw_read_tcp_end(struct cw_tcp_end *end, struct sock *sk)
{
	__u8 state = cw_read(sk, __sk_common.skc_state);

	end->state = state;
	end->peer_done = cw_read(sk, __sk_common.skc_flags) & (1UL << CW_SOCK_DONE);
	end->fin_sent = state == CW_TCP_FIN_WAIT1 || state == CW_TCP_FIN_WAIT2 || state == CW_TCP_CLOSING ||
			state == CW_TCP_LAST_ACK || (state == CW_TCP_CLOSE && end->peer_done);
}

/* Sequence numbers that were sent and are not payload: SYN and FIN. */
static __always_inline __u64 cw_tcp_signals(struct tcp_sock *tcp)
{
	__u64 used = cw_read(tcp, bytes_acked) + (__u32)(cw_read(tcp, snd_nxt) - cw_read(tcp, snd_una));

	return used - (cw_read(tcp, bytes_sent) - cw_read(tcp, bytes_retrans));
}

/* Did this end send the SYN? */
static __always_inline bool cw_tcp_began(struct sock *sk)
{
	struct cw_tcp_end end;

	cw_read_tcp_end(&end, sk);
	return cw_tcp_signals(cw_object(tcp_sock, sk)) - end.fin_sent == 1;
}

/* Counters of an established connection. bytes_acked counts our SYN where we began, write_seq our FIN, bytes_received the
 * peer's FIN (net/ipv4/tcp_input.c: tcp_snd_una_update, tcp_rcv_nxt_update). */
static __always_inline void cw_read_tcp(struct cw_event *event, struct sock *sk, bool heard)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	__u64 acked = cw_read(tcp, bytes_acked), received = cw_read(tcp, bytes_received);
	__u32 written = cw_read(tcp, write_seq), unacked = written - cw_read(tcp, snd_una);
	bool began = event->direction == CW_EGRESS;
	struct cw_tcp_end end;

	if (began && !acked) {
		/* The SYN was never acknowledged. */
		event->end = CW_END_FAILED;
		event->failure = cw_read_failure(sk, heard);
		event->sent_bytes = 0;
		event->received_bytes = 0;
		return;
	}
	cw_read_tcp_end(&end, sk);
	/* Both ends, or a reset after the peer's. */
	if (end.state == CW_TCP_CLOSE && end.peer_done)
		end.fin_sent = cw_tcp_signals(tcp) - began == 1;
	event->end = end.state == CW_TCP_CLOSE && !(end.peer_done && end.fin_sent) ? CW_END_RESET : CW_END_CLOSED;
	event->sent_bytes = acked + unacked - began - end.fin_sent;
	event->received_bytes = received - end.peer_done;
	event->unsent = written != cw_read(tcp, snd_nxt);
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

/* Sockets of which nothing was stored when they began: accepted ones, raw ones, and those older than the programs. */
static __always_inline void cw_read_unseen(struct cw_event *event, struct sock *sk, __u64 cookie)
{
	__u16 protocol = cw_read(sk, sk_protocol);
	struct sock *tcp = sk;
	bool began = true;

	if (protocol == CW_IPPROTO_MPTCP) {
		tcp = cw_first_subflow(sk);
		protocol = IPPROTO_TCP;
	}
	if (protocol == IPPROTO_TCP)
		began = tcp && cw_tcp_began(tcp);
	event->socket_cgroup = cw_cgroup_id(cw_socket_cgroup(sk));
	event->cookie = cookie;
	event->protocol = protocol;
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

/* All that a socket tells about its flow. */
static __always_inline void cw_read_socket(struct cw_event *event, struct sock *sk, const struct cw_flow *flow)
{
	cw_read_local(event, sk);
	event->net = cw_net(sk);
	if (event->protocol != IPPROTO_TCP)
		event->end = event->verdict == CW_DENIED ? CW_END_DENIED : CW_END_CLOSED;
	else if (!bpf_core_type_exists(struct mptcp_sock) || cw_read(sk, sk_protocol) == IPPROTO_TCP)
		cw_read_tcp(event, sk, flow && flow->heard);
	else
		cw_read_multipath(event, sk);
}

static __always_inline void cw_release(struct bpf_sock *ctx)
{
	struct sock *sk = cw_object(sock, ctx);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct cw_flow *flow = cw_flow_find(cookie, ctx);
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
	if (flow) {
		cw_event_from_flow(event, flow);
	} else {
		cw_read_unseen(event, sk, cookie);
		cw_read_process(event);
	}
	cw_read_socket(event, sk, flow);
	cw_event_submit(event, false);
drop:
	if (flow)
		cw_flow_drop(flow);
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The end of a socket: the one event of its connection. */
#pragma once

#include "datagram.h"
#include "failure.h"

enum {
	CW_SOCK_RAW = 3,
	CW_IPPROTO_MPTCP = 262,
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

/* Did this end send the SYN? The sequence numbers that were used, less those of payload and FIN, are one then, else none. */
static __always_inline bool cw_tcp_began(struct sock *sk)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	struct cw_tcp_end end;
	__u64 used, payload;

	cw_read_tcp_end(&end, sk);
	used = cw_read(tcp, bytes_acked) + (__u32)(cw_read(tcp, snd_nxt) - cw_read(tcp, snd_una));
	payload = cw_read(tcp, bytes_sent) - cw_read(tcp, bytes_retrans);
	return used - payload - end.fin_sent == 1;
}

/* Counters of an established connection. bytes_acked counts our SYN where we began, write_seq our FIN, bytes_received the
 * peer's FIN (net/ipv4/tcp_input.c: tcp_snd_una_update, tcp_rcv_nxt_update). */
static __always_inline void cw_read_tcp(struct cw_event *event, struct sock *sk)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	__u64 acked = cw_read(tcp, bytes_acked), received = cw_read(tcp, bytes_received);
	__u32 written = cw_read(tcp, write_seq), unacked = written - cw_read(tcp, snd_una);
	bool began = event->direction == CW_EGRESS;
	struct cw_tcp_end end;

	if (began && !acked) {
		/* The SYN was never acknowledged. */
		event->end = CW_END_FAILED;
		if (!event->failure)
			event->failure = cw_unreported_failure(sk);
		event->sent_bytes = 0;
		event->received_bytes = 0;
		return;
	}
	cw_read_tcp_end(&end, sk);
	event->end = end.state == CW_TCP_CLOSE && !end.peer_done ? CW_END_RESET : CW_END_CLOSED;
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
	bool began = protocol != IPPROTO_TCP || cw_tcp_began(sk);

	event->socket_cgroup = cw_cgroup_id(cw_socket_cgroup(sk));
	event->cookie = cookie;
	event->protocol = protocol;
	event->direction = began ? CW_EGRESS : CW_INGRESS;
	event->verdict = CW_ALLOWED;
	if (began && cw_read(sk, sk_type) != CW_SOCK_RAW)
		event->flags = CW_FLAG_OLDER;
	cw_read_remote(event, sk);
}

/* Is a socket, of which nothing was stored, a flow? A raw one is, also without a peer: that it is there is worth knowing. */
static __always_inline bool cw_is_unseen_flow(struct sock *sk)
{
	__u16 protocol = cw_read(sk, sk_protocol);

	if (cw_read(sk, sk_type) == CW_SOCK_RAW)
		return true;
	if (protocol == IPPROTO_TCP)
		return cw_read(sk, __sk_common.skc_dport) && cw_read(sk, __sk_common.skc_state) != CW_TCP_LISTEN;
	if (protocol == IPPROTO_UDP || protocol == IPPROTO_UDPLITE)
		return cw_read(sk, __sk_common.skc_dport);
	return protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6;
}

/* All that a socket tells about its flow. */
static __always_inline void cw_read_socket(struct cw_event *event, struct sock *sk)
{
	cw_read_local(event, sk);
	event->net = cw_net(sk);
	/* The socket of a multipath connection is no tcp_sock; its subflows are. */
	if (event->protocol == IPPROTO_TCP && cw_read(sk, sk_protocol) == IPPROTO_TCP)
		cw_read_tcp(event, sk);
	else
		event->end = event->verdict == CW_DENIED ? CW_END_DENIED : CW_END_CLOSED;
}

static __always_inline void cw_release(struct bpf_sock *ctx)
{
	struct sock *sk = cw_object(sock, ctx);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct cw_flow *flow = cw_flow_find(cookie, ctx);
	struct cw_event *event;

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
	cw_read_socket(event, sk);
	cw_event_submit(event, false);
drop:
	if (flow)
		cw_flow_drop(flow);
}

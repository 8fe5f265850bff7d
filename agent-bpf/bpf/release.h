/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The end of a socket: the one event of its connection. */
#pragma once

#include "datagram.h"

enum {
	CW_TCP_FIN_WAIT1 = 4,
	CW_TCP_FIN_WAIT2 = 5,
	CW_TCP_CLOSE = 7,
	CW_TCP_LAST_ACK = 9,
	CW_TCP_LISTEN = 10,
	CW_TCP_CLOSING = 11,
	CW_SEND_SHUTDOWN = 2,
	CW_SOCK_DONE = 1, /* bit of skc_flags: the peer's FIN was received (include/net/sock.h, enum sock_flags) */
};

static __always_inline void cw_v4_mapped(__u8 address[16], __be32 v4)
{
	__builtin_memset(address, 0, 10);
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(address + 12, &v4, sizeof(v4));
}

static __always_inline void cw_read_local(struct cw_event *event, struct sock *sk)
{
	struct inet_sock *inet = cw_object(inet_sock, sk);

	if (cw_read(sk, __sk_common.skc_family) == AF_INET6) {
		struct in6_addr local = cw_read(sk, __sk_common.skc_v6_rcv_saddr);

		__builtin_memcpy(event->local, &local, sizeof(event->local));
	} else {
		cw_v4_mapped(event->local, cw_read(sk, __sk_common.skc_rcv_saddr));
	}
	/* Not skc_num, which is 0 once a reset has unhashed the socket. */
	event->local_port = bpf_ntohs(cw_read(inet, inet_sport));
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

/* Counters of an established connection. bytes_acked counts our SYN where we began, write_seq our FIN, bytes_received the
 * peer's FIN (net/ipv4/tcp_input.c: tcp_snd_una_update, tcp_rcv_nxt_update). */
static __always_inline void cw_read_tcp(struct cw_event *event, struct sock *sk, bool began)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	bool peer_done = cw_read(sk, __sk_common.skc_flags) & (1UL << CW_SOCK_DONE);
	__u8 state = cw_read(sk, __sk_common.skc_state);
	bool fin_sent = state == CW_TCP_FIN_WAIT1 || state == CW_TCP_FIN_WAIT2 || state == CW_TCP_CLOSING ||
			state == CW_TCP_LAST_ACK || (state == CW_TCP_CLOSE && peer_done);
	__u64 acked = cw_read(tcp, bytes_acked), received = cw_read(tcp, bytes_received);
	__u32 unacked = cw_read(tcp, write_seq) - cw_read(tcp, snd_una);

	if (began && !acked) {
		/* The SYN was never acknowledged. */
		event->end = CW_END_FAILED;
		event->sent_bytes = 0;
		event->received_bytes = 0;
		return;
	}
	event->end = state == CW_TCP_CLOSE && !peer_done ? CW_END_RESET : CW_END_CLOSED;
	event->sent_bytes = acked + unacked - began - fin_sent;
	event->received_bytes = received - peer_done;
	event->sent_packets = cw_read(tcp, segs_out);
	event->received_packets = cw_read(tcp, segs_in);
	event->rtt_us = cw_read(tcp, srtt_us) >> 3;
	event->retransmits = cw_read(tcp, total_retrans);
}

/* A socket that accepted a connection: nothing was stored when it began. */
static __always_inline void cw_read_accepted(struct cw_event *event, struct sock *sk, __u64 cookie)
{
	event->socket_cgroup = cw_cgroup_id(cw_socket_cgroup(sk));
	event->cookie = cookie;
	event->protocol = IPPROTO_TCP;
	event->direction = CW_INGRESS;
	event->verdict = CW_ALLOWED;
	cw_read_remote(event, sk);
}

static __always_inline bool cw_is_accepted(struct sock *sk)
{
	return cw_read(sk, sk_protocol) == IPPROTO_TCP && cw_read(sk, __sk_common.skc_dport) &&
	       cw_read(sk, __sk_common.skc_state) != CW_TCP_LISTEN;
}

static __always_inline void cw_release(struct bpf_sock *ctx)
{
	struct sock *sk = cw_object(sock, ctx);
	__u64 cookie = bpf_get_socket_cookie(ctx);
	struct cw_flow *flow = cw_flow_find(cookie, ctx);
	struct cw_event *event;

	if (!flow && !cw_is_accepted(sk))
		return;
	/* All of a refused conversation may be on record already. */
	if (flow && !flow->connected && !flow->packets)
		goto drop;
	event = cw_event_reserve();
	if (!event)
		goto drop;
	if (flow)
		cw_event_from_flow(event, flow);
	else
		cw_read_accepted(event, sk, cookie);
	cw_read_local(event, sk);
	if (event->protocol == IPPROTO_TCP)
		cw_read_tcp(event, sk, flow != NULL);
	else
		event->end = event->verdict == CW_DENIED ? CW_END_DENIED : CW_END_CLOSED;
	cw_event_submit(event, false);
drop:
	if (flow)
		cw_flow_drop(flow);
}

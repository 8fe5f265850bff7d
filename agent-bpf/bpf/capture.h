/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Payloads that the agent takes apart: DNS answers, and the first payload of each flow in both directions. These are the only
 * programs that run per packet, and they are attached only to containers that ask for them.
 */
#pragma once

#include "release.h"

enum {
	CW_PORT_DNS = 53,
	CW_LOOPBACK_INDEX = 1, /* of the interface, in every network namespace (LOOPBACK_IFINDEX) */
	CW_TLS_HANDSHAKE = 0x16,
	CW_IPV6_EXTENSIONS = 6, /* headers that are skipped at most */
	CW_CAPTURES_WAKE = 256 << 10, /* the reader is woken when this many bytes wait for it, not once per payload */
};

static __u64 cw_last_capture_wake_ns;

struct cw_packet {
	__u32 payload; /* offset */
	__u32 length;  /* of the payload */
	__u32 sequence;
	__u16 source_port;
	__u16 destination_port;
	__u8 protocol;
	__u8 source[16];
	__u8 destination[16];
};

static __always_inline bool cw_parse_v4(struct __sk_buff *skb, struct cw_packet *packet, __u32 *transport)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)) || ip.ihl < 5)
		return false;
	/* Of fragments, only the first has ports, and none is a whole message. */
	if (ip.frag_off & bpf_htons(0x3fff))
		return false;
	cw_v4_mapped(packet->source, ip.saddr);
	cw_v4_mapped(packet->destination, ip.daddr);
	packet->protocol = ip.protocol;
	*transport = ip.ihl * 4;
	return true;
}

static __always_inline bool cw_parse_v6(struct __sk_buff *skb, struct cw_packet *packet, __u32 *transport)
{
	struct ipv6hdr ip;
	__u8 next, header[2];
	__u32 at = sizeof(ip);

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return false;
	__builtin_memcpy(packet->source, &ip.saddr, sizeof(packet->source));
	__builtin_memcpy(packet->destination, &ip.daddr, sizeof(packet->destination));
	next = ip.nexthdr;
	for (int i = 0; i < CW_IPV6_EXTENSIONS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_ROUTING && next != IPPROTO_DSTOPTS)
			break;
		if (bpf_skb_load_bytes(skb, at, header, sizeof(header)))
			return false;
		next = header[0];
		at += (header[1] + 1) * 8;
	}
	packet->protocol = next;
	*transport = at;
	return true;
}

/* False: no TCP or UDP, or no payload. */
static __always_inline bool cw_parse(struct __sk_buff *skb, struct cw_packet *packet)
{
	bool v4 = skb->protocol == bpf_htons(ETH_P_IP);
	__u32 transport, head;

	if (v4 ? !cw_parse_v4(skb, packet, &transport) : !cw_parse_v6(skb, packet, &transport))
		return false;
	if (packet->protocol == IPPROTO_TCP) {
		struct tcphdr tcp;

		if (bpf_skb_load_bytes(skb, transport, &tcp, sizeof(tcp)))
			return false;
		packet->source_port = bpf_ntohs(tcp.source);
		packet->destination_port = bpf_ntohs(tcp.dest);
		packet->sequence = bpf_ntohl(tcp.seq);
		head = tcp.doff * 4;
	} else if (packet->protocol == IPPROTO_UDP) {
		struct udphdr udp;

		if (bpf_skb_load_bytes(skb, transport, &udp, sizeof(udp)))
			return false;
		packet->source_port = bpf_ntohs(udp.source);
		packet->destination_port = bpf_ntohs(udp.dest);
		head = sizeof(udp);
	} else {
		return false;
	}
	packet->payload = transport + head;
	if (skb->len <= packet->payload)
		return false;
	packet->length = skb->len - packet->payload;
	return true;
}

static __always_inline __u64 cw_capture_wake(void)
{
	__u64 now;

	if (bpf_ringbuf_query(&cw_captures, BPF_RB_AVAIL_DATA) < CW_CAPTURES_WAKE)
		return BPF_RB_NO_WAKEUP;
	now = bpf_ktime_get_ns();
	if (now - READ_ONCE(cw_last_capture_wake_ns) < CW_WAKE_INTERVAL_NS)
		return BPF_RB_NO_WAKEUP;
	cw_last_capture_wake_ns = now;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline void cw_capture_as(struct __sk_buff *skb, const struct cw_packet *packet, struct cw_capture *head,
					  void *record, __u32 room)
{
	struct cw_capture *capture = record;
	__u32 bytes = packet->length < room ? packet->length : room;

	/* Of a mask the verifier knows the upper bound, and from the 1 that is added that it is not zero; a comparison with
	 * zero tells it that since Linux 6.8 only (d028f87517d6). cw_parse leaves no empty payload. */
	asm volatile("" : "+r"(bytes));
	bytes = ((bytes - 1) & (room - 1)) + 1;
	*capture = *head;
	capture->bytes = bytes;
	if (bpf_skb_load_bytes(skb, packet->payload, capture + 1, bytes)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return;
	}
	bpf_ringbuf_submit(record, cw_capture_wake());
}

#define CW_CAPTURE(skb, packet, head, room)                                                                                    \
	({                                                                                                                     \
		void *record_ = bpf_ringbuf_reserve(&cw_captures, sizeof(struct cw_capture) + (room), 0);                     \
		if (record_)                                                                                                   \
			cw_capture_as(skb, packet, head, record_, room);                                                       \
		else                                                                                                           \
			cw_count(CW_COUNT_CAPTURES_FULL);                                                                      \
	})

/* Records have one of three sizes: the verifier wants to know it. */
static __always_inline void cw_capture(struct __sk_buff *skb, const struct cw_packet *packet, struct cw_capture *head,
				       bool whole)
{
	head->time_ns = bpf_ktime_get_boot_ns();
	head->protocol = packet->protocol;
	head->length = packet->length;
	if (!whole || packet->length <= CW_CAPTURE_SHORT)
		CW_CAPTURE(skb, packet, head, CW_CAPTURE_SHORT);
	else if (packet->length <= CW_CAPTURE_MIDDLE)
		CW_CAPTURE(skb, packet, head, CW_CAPTURE_MIDDLE);
	else
		CW_CAPTURE(skb, packet, head, CW_CAPTURE_LONG);
}

static __always_inline void cw_capture_ends(struct cw_capture *head, const struct cw_packet *packet)
{
	if (head->outgoing) {
		__builtin_memcpy(head->peer, packet->destination, sizeof(head->peer));
		head->peer_port = packet->destination_port;
		head->local_port = packet->source_port;
	} else {
		__builtin_memcpy(head->peer, packet->source, sizeof(head->peer));
		head->peer_port = packet->source_port;
		head->local_port = packet->destination_port;
	}
}

/* The flow in which a socket asked the name server that this packet is from. Anybody can send from port 53, so it must be a
 * server which this socket has asked; of a connected socket the kernel makes sure. */
static __always_inline struct cw_flow *cw_question(const struct cw_packet *packet, struct bpf_sock *sk, __u64 cookie)
{
	struct cw_flow *flow = cw_flow_find(cookie, sk);
	bool connected = flow && flow->connected && sk->dst_port;

	if (!flow || flow->remote_port != CW_PORT_DNS ||
	    (!connected && !cw_same_address(flow->remote, packet->source)))
		flow = cw_peer_find(cookie, packet->source, CW_PORT_DNS);
	return flow && flow->direction == CW_EGRESS ? flow : NULL;
}

/* Was the segment received before? */
static __always_inline bool cw_is_repeated(struct bpf_sock *sk, const struct cw_packet *packet)
{
	struct bpf_tcp_sock *tcp;

	if (packet->protocol != IPPROTO_TCP)
		return false;
	tcp = bpf_tcp_sock(sk);
	return !tcp || (__s32)(packet->sequence - tcp->rcv_nxt) < 0;
}

static __always_inline bool cw_over_loopback(struct __sk_buff *skb)
{
	return skb->ifindex == CW_LOOPBACK_INDEX || skb->ingress_ifindex == CW_LOOPBACK_INDEX;
}

/* What a name server answers to a socket of the container. */
static __always_inline void cw_capture_names(struct __sk_buff *skb)
{
	struct cw_capture head = {.kind = CW_CAPTURE_NAMES, .began = 1};
	struct cw_packet packet = {};
	struct bpf_sock *sk = skb->sk;
	struct cw_flow *flow;

	/* Of connected sockets the first look is enough. */
	if (!sk || (sk->dst_port && sk->dst_port != bpf_htons(CW_PORT_DNS)))
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk || !cw_parse(skb, &packet) || packet.source_port != CW_PORT_DNS || cw_is_repeated(sk, &packet))
		return;
	head.cookie = bpf_get_socket_cookie(skb);
	flow = cw_question(&packet, sk, head.cookie);
	if (!flow)
		return;
	head.socket_cgroup = flow->socket_cgroup;
	head.net = cw_net(cw_object(sock, sk));
	head.loopback = cw_over_loopback(skb);
	cw_capture_ends(&head, &packet);
	__builtin_memcpy(head.peer, flow->remote, sizeof(head.peer));
	cw_capture(skb, &packet, &head, true);
}

/* Only the hello of a TLS client, with its name, is worth more than a short record. */
static __always_inline bool cw_is_long_hello(struct __sk_buff *skb, const struct cw_packet *packet,
					     const struct cw_capture *head)
{
	__u8 first = 0;

	if (packet->length <= CW_CAPTURE_SHORT || head->began != head->outgoing || packet->protocol != IPPROTO_TCP)
		return false;
	return !bpf_skb_load_bytes(skb, packet->payload, &first, sizeof(first)) && first == CW_TLS_HANDSHAKE;
}

/* Data that follows the answer to a SYN at once (fast open) finds that answer in the backlog when the caller is not back from
 * sending the SYN. The socket does not know then what is next. */
static __always_inline bool cw_answer_waits(struct bpf_sock *sk)
{
	struct sock *socket;

	if (sk->state != CW_TCP_SYN_SENT)
		return false;
	socket = cw_object(sock, sk);
	return cw_read(socket, sk_backlog.len) != 0;
}

/* The first data of a connection can come to the listening socket: with deferred accepts, fast open, or when the client's
 * bare acknowledgement was lost. The connection gets its own socket just after. */
static __always_inline void cw_capture_tcp(struct __sk_buff *skb, struct bpf_sock *sk, struct bpf_tcp_sock *tcp, bool outgoing)
{
	struct cw_capture head = {.kind = CW_CAPTURE_PAYLOAD, .outgoing = outgoing};
	struct cw_packet packet = {};
	struct cw_flow *flow;

	sk = bpf_sk_fullsock(sk);
	if (!sk || !cw_parse(skb, &packet))
		return;
	head.socket_cgroup = bpf_sk_cgroup_id(sk);
	if (sk->state != CW_TCP_LISTEN) {
		/* Of what overtook the first segment, nothing. */
		if (!outgoing && packet.sequence != tcp->rcv_nxt && !cw_answer_waits(sk))
			return;
		head.cookie = bpf_get_socket_cookie(skb);
		flow = cw_flow_find(head.cookie, sk);
		head.began = flow && flow->direction == CW_EGRESS;
	}
	cw_capture_ends(&head, &packet);
	cw_capture(skb, &packet, &head, cw_is_long_hello(skb, &packet, &head));
}

/* Of UDP, the first datagram that the container sends in each conversation. */
static __always_inline void cw_capture_udp(struct __sk_buff *skb, struct bpf_sock *sk)
{
	struct cw_capture head = {.kind = CW_CAPTURE_PAYLOAD, .outgoing = 1};
	struct cw_packet packet = {};
	struct cw_flow *flow;

	sk = bpf_sk_fullsock(sk);
	if (!sk || sk->protocol != IPPROTO_UDP)
		return;
	head.cookie = bpf_get_socket_cookie(skb);
	flow = cw_flow_find(head.cookie, sk);
	if (flow && flow->connected && READ_ONCE(flow->captured))
		return;
	if (!cw_parse(skb, &packet))
		return;
	if (!flow || (!flow->connected && (flow->remote_port != packet.destination_port ||
					   !cw_same_address(flow->remote, packet.destination))))
		flow = cw_peer_find(head.cookie, packet.destination, packet.destination_port);
	if (!flow || __sync_val_compare_and_swap(&flow->captured, 0, 1))
		return;
	head.socket_cgroup = flow->socket_cgroup;
	head.began = flow->direction == CW_EGRESS;
	cw_capture_ends(&head, &packet);
	/* As the container asked for it: that is how its event will have it. */
	__builtin_memcpy(head.peer, flow->remote, sizeof(head.peer));
	head.peer_port = flow->remote_port;
	cw_capture(skb, &packet, &head, false);
}

/* The first payload of each direction. After it, what this costs is one helper call and one or two counters of the socket. */
static __always_inline void cw_capture_payload_in(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tcp;

	if (!sk)
		return;
	tcp = bpf_tcp_sock(sk);
	if (tcp && !tcp->bytes_received)
		cw_capture_tcp(skb, sk, tcp, false);
}

static __always_inline void cw_capture_payload_out(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk;
	struct bpf_tcp_sock *tcp;

	if (!sk)
		return;
	tcp = bpf_tcp_sock(sk);
	if (!tcp) {
		cw_capture_udp(skb, sk);
		return;
	}
	/* This packet is counted already (__tcp_transmit_skb), so the first payload is all that was sent so far, and what is
	 * sent again is not. Once it is acknowledged (the SYN counts as one byte), bare acknowledgements are told apart
	 * without reading them. */
	if (tcp->bytes_acked <= 1 && tcp->data_segs_out == skb->gso_segs)
		cw_capture_tcp(skb, sk, tcp, true);
}

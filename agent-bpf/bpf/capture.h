/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Payloads that the agent takes apart: DNS answers, and the first payload of each flow in both directions. These are the only
 * programs that run per packet, and they are attached only to containers that ask for them.
 */
#pragma once

#include "release.h"

enum {
	CW_PORT_DNS = 53,
	CW_TLS_HANDSHAKE = 0x16,
	CW_IPV6_EXTENSIONS = 6, /* headers that are skipped at most */
};

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

static __always_inline void cw_capture_as(struct __sk_buff *skb, const struct cw_packet *packet, struct cw_capture *head,
					  void *record, __u32 room)
{
	struct cw_capture *capture = record;
	/* An inclusive bound of room - 1 keeps the verifier sure of what it masks. */
	__u32 bytes = packet->length < room ? packet->length : room - 1;

	asm volatile("" : "+r"(bytes));
	bytes &= room - 1;
	*capture = *head;
	capture->bytes = bytes;
	if (!bytes || bpf_skb_load_bytes(skb, packet->payload, capture + 1, bytes)) {
		bpf_ringbuf_discard(record, BPF_RB_NO_WAKEUP);
		return;
	}
	bpf_ringbuf_submit(record, BPF_RB_NO_WAKEUP);
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
static __always_inline void cw_capture(struct __sk_buff *skb, const struct cw_packet *packet, struct cw_capture *head)
{
	head->time_ns = bpf_ktime_get_boot_ns();
	head->protocol = packet->protocol;
	if (packet->length < CW_CAPTURE_SHORT)
		CW_CAPTURE(skb, packet, head, CW_CAPTURE_SHORT);
	else if (packet->length < CW_CAPTURE_MIDDLE)
		CW_CAPTURE(skb, packet, head, CW_CAPTURE_MIDDLE);
	else
		CW_CAPTURE(skb, packet, head, CW_CAPTURE_LONG);
}

static __always_inline void cw_capture_peer(struct cw_capture *head, const __u8 address[16], __u16 port)
{
	__builtin_memcpy(head->peer, address, sizeof(head->peer));
	head->peer_port = port;
}

/* The answer of a name server to a socket that this container sent a question from. Anybody can send from port 53, so the
 * socket must have begun the flow, to just this address. */
static __always_inline void cw_capture_names(struct __sk_buff *skb)
{
	struct cw_capture head = {.kind = CW_CAPTURE_NAMES};
	struct cw_target server = {};
	struct cw_packet packet = {};
	struct cw_flow *flow;
	struct bpf_sock *sk;
	struct cw_peer key;

	if (!cw_parse(skb, &packet) || packet.source_port != CW_PORT_DNS)
		return;
	sk = skb->sk;
	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	head.cookie = bpf_get_socket_cookie(skb);
	flow = cw_flow_find(head.cookie, sk);
	if (!flow || flow->remote_port != CW_PORT_DNS || !cw_same_address(flow->remote, packet.source)) {
		__builtin_memcpy(server.address, packet.source, sizeof(server.address));
		server.port = CW_PORT_DNS;
		cw_peer_key(&key, head.cookie, &server);
		flow = bpf_map_lookup_elem(&cw_peers, &key);
	}
	if (!flow || flow->direction != CW_EGRESS)
		return;
	head.socket_cgroup = flow->socket_cgroup;
	head.began = 1;
	cw_capture_peer(&head, packet.source, packet.source_port);
	cw_capture(skb, &packet, &head);
}

/* Has nothing of the payload that flows this way been seen before this packet? After the first round trip this costs reading
 * two counters of the socket. */
static __always_inline bool cw_is_first_tcp(struct bpf_sock *sk, const struct cw_packet *packet, bool outgoing)
{
	struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);

	if (!tcp || sk->state == CW_TCP_LISTEN)
		return false;
	if (!outgoing)
		return tcp->bytes_received == 0;
	/* The SYN of who began is acknowledged by then, and counted. */
	return tcp->bytes_acked <= 1 && packet->sequence == tcp->snd_una;
}

/* Of UDP, the first datagram of the socket's conversation. */
static __always_inline bool cw_is_first_udp(struct cw_flow *flow, bool outgoing)
{
	return outgoing && flow && __sync_val_compare_and_swap(&flow->captured, 0, 1) == 0;
}

static __always_inline void cw_capture_payload(struct __sk_buff *skb, bool outgoing)
{
	struct cw_capture head = {.kind = CW_CAPTURE_PAYLOAD, .outgoing = outgoing};
	struct cw_packet packet = {};
	struct cw_flow *flow;
	struct bpf_sock *sk = skb->sk;

	if (!sk)
		return;
	sk = bpf_sk_fullsock(sk);
	if (!sk)
		return;
	/* Before anything of the packet is read. */
	if (sk->protocol == IPPROTO_TCP && !outgoing) {
		struct bpf_tcp_sock *tcp = bpf_tcp_sock(sk);

		if (!tcp || tcp->bytes_received)
			return;
	}
	if (!cw_parse(skb, &packet))
		return;
	if (packet.protocol == IPPROTO_TCP && !cw_is_first_tcp(sk, &packet, outgoing))
		return;
	head.cookie = bpf_get_socket_cookie(skb);
	flow = cw_flow_find(head.cookie, sk);
	if (packet.protocol == IPPROTO_UDP && !cw_is_first_udp(flow, outgoing))
		return;
	head.began = flow && flow->direction == CW_EGRESS;
	if (outgoing)
		cw_capture_peer(&head, packet.destination, packet.destination_port);
	else
		cw_capture_peer(&head, packet.source, packet.source_port);
	cw_capture(skb, &packet, &head);
}

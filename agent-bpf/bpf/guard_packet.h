/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the guard reads of a packet. */
#pragma once

#include "capture.h"
#include "policy_maps.h"

enum {
	CW_TCP_SYN_RECV = 3,
	CW_TCP_FLAG_FIN = 1,
	CW_TCP_FLAG_SYN = 2,
	CW_TCP_FLAG_RST = 4,
	CW_IPV6_JUMBO = 65536, /* longer packets have a header for that (large segments of TCP) */
};

struct cw_guarded {
	struct cw_target remote;  /* with the port of the peer */
	__u8 local[16];
	__u16 local_port;
	__u8 flags;               /* of TCP */
	__u8 type;                /* of ICMP */
	__u32 sequence;
	__u32 payload;
};

static __always_inline __u64 cw_changes(void)
{
	struct cw_policy_state *state;
	__u32 zero = 0;

	state = bpf_map_lookup_elem(&cw_policy, &zero);
	return state ? READ_ONCE(state->changes) : 0;
}

static __always_inline void cw_guard_ports(struct cw_guarded *packet, __u16 source, __u16 destination, bool outgoing)
{
	packet->remote.port = bpf_ntohs(outgoing ? destination : source);
	packet->local_port = bpf_ntohs(outgoing ? source : destination);
}

static __always_inline bool cw_guard_transport(struct __sk_buff *skb, struct cw_guarded *packet, __u32 at, bool outgoing)
{
	__u8 protocol = packet->remote.protocol;

	if (protocol == IPPROTO_TCP) {
		struct tcphdr tcp;

		if (bpf_skb_load_bytes(skb, at, &tcp, sizeof(tcp)))
			return false;
		cw_guard_ports(packet, tcp.source, tcp.dest, outgoing);
		packet->sequence = bpf_ntohl(tcp.seq);
		packet->flags = ((__u8 *)&tcp)[13];
		packet->payload = skb->len - at - tcp.doff * 4;
	} else if (protocol == IPPROTO_UDP) {
		struct udphdr udp;

		if (bpf_skb_load_bytes(skb, at, &udp, sizeof(udp)))
			return false;
		cw_guard_ports(packet, udp.source, udp.dest, outgoing);
	} else if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		if (bpf_skb_load_bytes(skb, at, &packet->type, sizeof(packet->type)))
			return false;
	}
	return true;
}

static __always_inline bool cw_guard_v4(struct __sk_buff *skb, struct cw_guarded *packet, __u32 *at, bool outgoing)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return false;
	cw_v4_mapped(packet->remote.address, outgoing ? ip.daddr : ip.saddr);
	cw_v4_mapped(packet->local, outgoing ? ip.saddr : ip.daddr);
	packet->remote.protocol = ip.protocol;
	*at = ip.ihl * 4;
	return !(ip.frag_off & bpf_htons(0x3fff)) && (!outgoing || ip.ihl == 5);
}

static __always_inline bool cw_guard_v6(struct __sk_buff *skb, struct cw_guarded *packet, __u32 *at, bool outgoing)
{
	struct ipv6hdr ip;
	__u8 header[2], next;

	if (bpf_skb_load_bytes(skb, 0, &ip, sizeof(ip)))
		return false;
	__builtin_memcpy(packet->remote.address, outgoing ? &ip.daddr : &ip.saddr, sizeof(packet->local));
	__builtin_memcpy(packet->local, outgoing ? &ip.saddr : &ip.daddr, sizeof(packet->local));
	next = ip.nexthdr;
	*at = sizeof(ip);
	for (int i = 0; i < CW_IPV6_EXTENSIONS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS)
			break;
		if ((outgoing && skb->len < CW_IPV6_JUMBO) || bpf_skb_load_bytes(skb, *at, header, sizeof(header)))
			return false;
		next = header[0];
		*at += (header[1] + 1) * 8;
	}
	packet->remote.protocol = next;
	return next != IPPROTO_FRAGMENT && next != IPPROTO_ROUTING && next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS;
}

/* False: it has what cannot be judged. Here and below, what is not inlined keeps the deepest stack within 512 bytes. */
static __attribute__((noinline)) bool cw_guard_parse(struct __sk_buff *skb, struct cw_guarded *packet, bool outgoing)
{
	__u32 at = 0;

	if (skb->protocol == bpf_htons(ETH_P_IP) ? !cw_guard_v4(skb, packet, &at, outgoing)
						 : !cw_guard_v6(skb, packet, &at, outgoing))
		return false;
	return cw_guard_transport(skb, packet, at, outgoing);
}

/* What a socket sends on its own has no options and no headers between IP and its protocol; those could lead it elsewhere. */
static __always_inline bool cw_is_plain(struct __sk_buff *skb, __u8 protocol)
{
	__u8 *data = (__u8 *)(long)skb->data, *end = (__u8 *)(long)skb->data_end;
	__u8 head[7];

	if (data + sizeof(head) <= end) {
		if (skb->protocol == bpf_htons(ETH_P_IP))
			return data[0] == 0x45;
		return data[6] == protocol || (data[6] == IPPROTO_HOPOPTS && skb->len > CW_IPV6_JUMBO);
	}
	if (bpf_skb_load_bytes(skb, 0, head, sizeof(head)))
		return false;
	return skb->protocol == bpf_htons(ETH_P_IP) ? head[0] == 0x45 : head[6] == protocol;
}

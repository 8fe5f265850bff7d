/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What the second wall reads of a frame: where it goes by its own header, and what there is that no address tells. */
#pragma once

#include "datagram.h"

enum {
	CW_WALL_EXTENSIONS = 6, /* IPv6 headers that are skipped at most */
	CW_WALL_ICMP_ECHO = 8,
	CW_WALL_ICMP_UNREACHABLE = 3,
	CW_WALL_ICMPV6_ECHO = 128,
	CW_WALL_NDP_FIRST = 133,
	CW_WALL_NDP_LAST = 137,
	CW_WALL_IGMP = 2,
	CW_WALL_TCP_FLAGS = 13, /* offset */
	CW_WALL_TCP_SYN = 2,
	CW_WALL_TCP_ACK = 16,
};

enum cw_wall_flag {
	CW_WALL_LINK = 1,   /* for the link alone: ARP, neighbour discovery */
	CW_WALL_ODD = 2,    /* goes where its destination does not say, or is of no protocol that has one */
	CW_WALL_PART = 4,   /* the first fragment of several */
	CW_WALL_LATER = 8,  /* a fragment without ports */
	CW_WALL_ANSWER = 16, /* TCP but the first segment, ICMP but requests: nobody begins with it */
};

struct cw_wall_packet {
	struct cw_target to; /* port: of ICMP the type */
	__u8 from[16];
	__u16 from_port;
	__u16 ethertype;
	__u32 fragment; /* its identification */
	__u8 flags;     /* enum cw_wall_flag */
	__u8 pad[7];
};

static __always_inline bool cw_wall_is_icmp_answer(const struct cw_wall_packet *packet)
{
	if (packet->to.protocol == IPPROTO_ICMPV6)
		return packet->to.port != CW_WALL_ICMPV6_ECHO;
	return packet->to.port != CW_WALL_ICMP_ECHO && packet->to.port != 13 && packet->to.port != 15 &&
	       packet->to.port != 17;
}

/* Neighbour discovery stays on the link when its destination does: a hop limit of 255 alone does not keep it there. */
static __always_inline bool cw_wall_is_ndp(const struct cw_wall_packet *packet, __u8 hop_limit)
{
	const __u8 *to = packet->to.address;

	return packet->to.port >= CW_WALL_NDP_FIRST && packet->to.port <= CW_WALL_NDP_LAST && hop_limit == 255 &&
	       ((to[0] == 0xfe && (to[1] & 0xc0) == 0x80) || (to[0] == 0xff && (to[1] & 0x0f) == 2));
}

static __always_inline void cw_wall_ports(struct __sk_buff *skb, struct cw_wall_packet *packet, __u32 at)
{
	__u8 protocol = packet->to.protocol, flags, type;
	__be16 ports[2];

	if (packet->flags & CW_WALL_LATER)
		return;
	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		if (bpf_skb_load_bytes(skb, at, &type, sizeof(type))) {
			packet->flags |= CW_WALL_ODD;
			return;
		}
		packet->to.port = type;
		if (cw_wall_is_icmp_answer(packet))
			packet->flags |= CW_WALL_ANSWER;
		return;
	}
	if (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP && protocol != IPPROTO_UDPLITE &&
	    protocol != IPPROTO_SCTP && protocol != IPPROTO_DCCP)
		return;
	if (bpf_skb_load_bytes(skb, at, ports, sizeof(ports))) {
		packet->flags |= CW_WALL_ODD;
		return;
	}
	packet->from_port = bpf_ntohs(ports[0]);
	packet->to.port = bpf_ntohs(ports[1]);
	if (protocol == IPPROTO_TCP && !bpf_skb_load_bytes(skb, at + CW_WALL_TCP_FLAGS, &flags, sizeof(flags)) &&
	    (flags & (CW_WALL_TCP_SYN | CW_WALL_TCP_ACK)) != CW_WALL_TCP_SYN)
		packet->flags |= CW_WALL_ANSWER;
}

static __always_inline bool cw_wall_v4(struct __sk_buff *skb, struct cw_wall_packet *packet, __u32 *at)
{
	struct iphdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return false;
	cw_v4_mapped(packet->from, ip.saddr);
	cw_v4_mapped(packet->to.address, ip.daddr);
	packet->to.protocol = ip.protocol;
	packet->fragment = ip.id;
	if (ip.frag_off & bpf_htons(0x1fff))
		packet->flags |= CW_WALL_LATER;
	else if (ip.frag_off & bpf_htons(0x2000))
		packet->flags |= CW_WALL_PART;
	/* A source route leads on from the destination. IGMP always has the router alert. */
	if (ip.ihl > 5 && ip.protocol != CW_WALL_IGMP)
		packet->flags |= CW_WALL_ODD;
	*at = ETH_HLEN + ip.ihl * 4;
	return true;
}

static __always_inline bool cw_wall_v6_fragment(struct __sk_buff *skb, struct cw_wall_packet *packet, __u32 at)
{
	__be16 offset;

	if (bpf_skb_load_bytes(skb, at + 2, &offset, sizeof(offset)) ||
	    bpf_skb_load_bytes(skb, at + 4, &packet->fragment, sizeof(packet->fragment)))
		return false;
	if (offset & bpf_htons(0xfff8))
		packet->flags |= CW_WALL_LATER;
	else if (offset & bpf_htons(1))
		packet->flags |= CW_WALL_PART;
	return true;
}

static __always_inline bool cw_wall_v6(struct __sk_buff *skb, struct cw_wall_packet *packet, __u32 *at)
{
	__u8 next, header[2];
	struct ipv6hdr ip;

	if (bpf_skb_load_bytes(skb, ETH_HLEN, &ip, sizeof(ip)) || ip.version != 6)
		return false;
	__builtin_memcpy(packet->from, &ip.saddr, sizeof(packet->from));
	__builtin_memcpy(packet->to.address, &ip.daddr, sizeof(packet->to.address));
	next = ip.nexthdr;
	*at = ETH_HLEN + sizeof(ip);
	for (int i = 0; i < CW_WALL_EXTENSIONS; i++) {
		if (next != IPPROTO_HOPOPTS && next != IPPROTO_DSTOPTS && next != IPPROTO_FRAGMENT)
			break;
		if (bpf_skb_load_bytes(skb, *at, header, sizeof(header)))
			return false;
		if (next == IPPROTO_FRAGMENT && !cw_wall_v6_fragment(skb, packet, *at))
			return false;
		*at += next == IPPROTO_FRAGMENT ? 8 : (header[1] + 1) * 8;
		next = header[0];
		if (packet->flags & CW_WALL_LATER)
			break;
	}
	packet->to.protocol = next;
	if (next == IPPROTO_ROUTING || next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT)
		packet->flags |= CW_WALL_ODD;
	cw_wall_ports(skb, packet, *at);
	if (next == IPPROTO_ICMPV6 && cw_wall_is_ndp(packet, ip.hop_limit))
		packet->flags |= CW_WALL_LINK;
	return true;
}

/* The ethertype is the frame's own: the receiving end of the veth has read it (eth_type_trans), and has taken a VLAN off.
 * Global, so that it is verified once. */
CW_CHECKED_ALONE int cw_wall_parse(struct __sk_buff *skb, struct cw_wall_packet *packet)
{
	bool whole = false;
	__u32 at = 0;

	if (!packet)
		return 0;
	packet->ethertype = bpf_ntohs(skb->protocol);
	if (packet->ethertype == ETH_P_ARP)
		packet->flags |= CW_WALL_LINK;
	else if (packet->ethertype == ETH_P_IPV6)
		whole = cw_wall_v6(skb, packet, &at);
	else if (packet->ethertype == ETH_P_IP)
		whole = cw_wall_v4(skb, packet, &at);
	if (!whole)
		packet->flags |= CW_WALL_ODD;
	else if (packet->ethertype == ETH_P_IP)
		cw_wall_ports(skb, packet, at);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The second wall: packets that a pod sends, at the node's end of the pod's veth. What sockets send to where they are
 * connected has been judged by the hooks of the cgroup and passes at once. Here comes what those do not see: packet sockets,
 * tunnels, addresses rewritten inside the pod. The kernel keeps the sending socket with a packet until the node's own IP
 * layer takes it (9c4c325252c5, Linux 4.19), and the socket knows its container.
 */
#pragma once

#include "wall_packet.h"

enum {
	CW_WALL_NOBODY = -2, /* no action: the socket is of no container */
	CW_WALL_PASS = -1,   /* TC_ACT_UNSPEC: others that are attached there decide */
	CW_WALL_DROP = 2,    /* TC_ACT_SHOT */
};

/* Pods of which each container is guarded. Written by the agent. Full: packets without a socket pass. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 4096);
	__type(key, __u32); /* number of the device on the node */
	__type(value, struct cw_wall_pod);
} cw_wall_pods SEC(".maps");

struct cw_wall_refusal_key {
	__u64 container;
	__u8 address[16];
	__u16 port;
	__u8 protocol;
	__u8 pad[5];
};

struct cw_wall_refusal {
	__u64 told_ns;
	__u64 packets; /* not told yet */
};

/* Full: what was refused longest ago is told again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct cw_wall_refusal_key);
	__type(value, struct cw_wall_refusal);
} cw_wall_refusals SEC(".maps");

struct cw_wall_fragment_key {
	__u8 from[16];
	__u8 to[16];
	__u32 identification;
	__u8 protocol;
	__u8 pad[3];
};

/* First fragments that passed. Full: later fragments of the oldest ones are lost. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct cw_wall_fragment_key);
	__type(value, __u8);
} cw_wall_fragments SEC(".maps");

static __always_inline void cw_wall_fragment(struct cw_wall_fragment_key *key, const struct cw_wall_packet *packet)
{
	__builtin_memset(key, 0, sizeof(*key));
	__builtin_memcpy(key->from, packet->from, sizeof(key->from));
	__builtin_memcpy(key->to, packet->to.address, sizeof(key->to));
	key->identification = packet->fragment;
	key->protocol = packet->to.protocol;
}

static __attribute__((noinline)) int cw_wall_pass_fragments(const struct cw_wall_packet *packet)
{
	struct cw_wall_fragment_key key;
	__u8 one = 1;

	cw_wall_fragment(&key, packet);
	bpf_map_update_elem(&cw_wall_fragments, &key, &one, BPF_ANY);
	return 0;
}

static __attribute__((noinline)) bool cw_wall_fragment_passed(const struct cw_wall_packet *packet)
{
	struct cw_wall_fragment_key key;

	cw_wall_fragment(&key, packet);
	return bpf_map_lookup_elem(&cw_wall_fragments, &key);
}

/* Sends of a socket to where it is connected. Of a connection that is not made yet, or not there any more, the kernel has a
 * smaller object, and only TCP has those. */
static __always_inline bool cw_wall_ordinary(struct __sk_buff *skb, struct bpf_sock *sk)
{
	void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	struct ipv6hdr *v6 = data + ETH_HLEN;
	struct iphdr *v4 = data + ETH_HLEN;
	struct bpf_sock *full;
	__be16 *ports;
	__u8 protocol;

	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		ports = (void *)(v4 + 1);
		if ((void *)(ports + 2) > end || *(__u8 *)v4 != 0x45 || (v4->frag_off & bpf_htons(0x3fff)))
			return false;
		if (v4->daddr != sk->dst_ip4 || (sk->family != AF_INET && sk->family != AF_INET6))
			return false;
		protocol = v4->protocol;
	} else if (skb->protocol == bpf_htons(ETH_P_IPV6)) {
		__u32 *to = (__u32 *)&v6->daddr;

		ports = (void *)(v6 + 1);
		if ((void *)(ports + 2) > end || sk->family != AF_INET6)
			return false;
		if (to[3] != sk->dst_ip6[3] || to[2] != sk->dst_ip6[2] || to[1] != sk->dst_ip6[1] ||
		    to[0] != sk->dst_ip6[0])
			return false;
		protocol = v6->nexthdr;
	} else {
		return false;
	}
	if (ports[1] != sk->dst_port || (protocol != IPPROTO_TCP && protocol != IPPROTO_UDP))
		return false;
	full = bpf_sk_fullsock(sk);
	return protocol == (full ? full->protocol : IPPROTO_TCP);
}

/* A datagram whose conversation the hooks know. */
static __attribute__((noinline)) bool cw_wall_conversation(struct __sk_buff *skb, struct bpf_sock *socket,
							   const struct cw_wall_packet *packet)
{
	struct cw_flow *flow = cw_conversation_of(bpf_get_socket_cookie(skb), socket, &packet->to);

	return flow && (flow->direction == CW_INGRESS || flow->verdict != CW_DENIED);
}

/* False: the first of (container, destination), or the first since a minute. */
static __always_inline bool cw_wall_told(const struct cw_wall_packet *packet, __u64 container, __u32 *packets)
{
	struct cw_wall_refusal_key key = {.container = container, .port = packet->to.port, .protocol = packet->to.protocol};
	struct cw_wall_refusal fresh = {}, *known;
	__u64 now = bpf_ktime_get_boot_ns();

	__builtin_memcpy(key.address, packet->to.address, sizeof(key.address));
	known = bpf_map_lookup_elem(&cw_wall_refusals, &key);
	*packets = 1;
	if (!known) {
		fresh.told_ns = now;
		bpf_map_update_elem(&cw_wall_refusals, &key, &fresh, BPF_ANY);
		return false;
	}
	__sync_fetch_and_add(&known->packets, 1);
	if (now - READ_ONCE(known->told_ns) < CW_DENIED_REPORT_NS)
		return true;
	known->told_ns = now;
	*packets = READ_ONCE(known->packets);
	known->packets = 0;
	return false;
}

/* net and cookie: 0 where the packet has no socket. */
static __attribute__((noinline)) int cw_wall_tell(const struct cw_wall_packet *packet, const struct cw_decision *decision,
						  __u64 own, __u64 cookie, __u32 net)
{
	struct cw_event *event;
	__u32 packets;

	if (cw_wall_told(packet, decision->container, &packets))
		return 0;
	event = cw_event_reserve();
	if (!event)
		return 0;
	event->start_ns = event->end_ns;
	event->socket_cgroup = own;
	event->container = decision->container;
	event->cookie = cookie;
	event->generation = decision->generation;
	__builtin_memcpy(event->local, packet->from, sizeof(event->local));
	__builtin_memcpy(event->remote, packet->to.address, sizeof(event->remote));
	event->sent_packets = packets;
	event->rule = decision->rule;
	event->local_port = packet->from_port;
	event->remote_port = packet->to.port;
	event->protocol = packet->to.protocol;
	event->direction = CW_EGRESS;
	event->verdict = decision->verdict;
	event->end = decision->verdict == CW_DENIED ? CW_END_DENIED : CW_END_IDLE;
	event->net = net;
	cw_event_submit(event, decision->verdict == CW_DENIED);
	return 0;
}

/* The subject has been found. */
static __always_inline void cw_wall_decide(const struct cw_wall_packet *packet, struct cw_decision *decision)
{
	decision->direction = CW_EGRESS;
	decision->pattern = 0;
	cw_judge(&packet->to, decision);
}

/* Not by its destination, but for what it is. */
static __always_inline void cw_wall_refuse(struct cw_decision *decision)
{
	if (!(decision->flags & (CW_SUBJECT_REFUSES_SOCKETS | CW_SUBJECT_STARTUP)))
		return;
	decision->verdict = CW_DENIED;
	decision->rule = CW_RULE_SOCKET;
}

static __always_inline bool cw_wall_is_inet(const struct bpf_sock *socket, const struct cw_wall_packet *packet)
{
	return (socket->family == AF_INET || socket->family == AF_INET6) && socket->protocol == packet->to.protocol;
}

/* As cw_wall_ordinary, of what that does not look into: fragments, headers that are not in one piece. */
static __always_inline bool cw_wall_is_connected(struct sock *sk, const struct cw_wall_packet *packet)
{
	__u16 port = bpf_ntohs(cw_read(sk, __sk_common.skc_dport));
	struct cw_target peer = {};

	if (!port || packet->to.port != port)
		return false;
	if (packet->ethertype == ETH_P_IP) {
		cw_v4_mapped(peer.address, cw_read(sk, __sk_common.skc_daddr));
	} else {
		struct in6_addr remote = cw_read(sk, __sk_common.skc_v6_daddr);

		__builtin_memcpy(peer.address, &remote, sizeof(remote));
	}
	return cw_same_address(peer.address, packet->to.address);
}

/* An answer to a ping, or an error: the guard lets it out where it lets the question in, and it can only come from a raw
 * socket, which the guard sees. */
static __always_inline bool cw_wall_is_answer(const struct cw_wall_packet *packet)
{
	return (packet->to.protocol == IPPROTO_ICMP || packet->to.protocol == IPPROTO_ICMPV6) &&
	       (packet->flags & CW_WALL_ANSWER);
}

static __always_inline int cw_wall_verdict(struct __sk_buff *skb, struct bpf_sock *socket, struct cw_wall_packet *packet,
					   struct cw_decision *decision)
{
	bool inet = cw_wall_is_inet(socket, packet);

	if (packet->flags & CW_WALL_LATER) {
		if (!cw_wall_fragment_passed(packet))
			cw_wall_refuse(decision);
		return decision->verdict;
	}
	if ((packet->flags & CW_WALL_ODD) && !inet) {
		cw_wall_refuse(decision);
		if (decision->verdict == CW_DENIED)
			return CW_DENIED;
	}
	if (inet && (cw_wall_is_connected(cw_object(sock, socket), packet) || cw_wall_is_answer(packet) ||
		     (packet->to.protocol == IPPROTO_UDP && !socket->dst_port && cw_wall_conversation(skb, socket, packet))))
		return CW_ALLOWED;
	cw_wall_decide(packet, decision);
	/* The hooks have recorded it. */
	if (inet && decision->verdict == CW_AUDIT)
		return CW_ALLOWED;
	return decision->verdict;
}

static __always_inline int cw_wall_judge(struct __sk_buff *skb, struct bpf_sock *socket)
{
	struct sock *sk = cw_object(sock, socket);
	struct cgroup *cgroup = cw_socket_cgroup(sk);
	struct cw_wall_packet packet = {};
	struct cw_decision decision = {};
	__u64 own;
	int verdict;

	if (!cgroup)
		return CW_WALL_PASS;
	own = cw_cgroup_id(cgroup);
	if (!cw_decide_subject(cgroup, own, &decision) && !decision.container)
		return CW_WALL_NOBODY;
	if (!(decision.flags & (CW_SUBJECT_GUARDED | CW_SUBJECT_STARTUP)))
		return CW_WALL_PASS;
	cw_wall_parse(skb, &packet);
	if (packet.flags & CW_WALL_LINK)
		return CW_WALL_PASS;
	verdict = cw_wall_verdict(skb, socket, &packet, &decision);
	if (verdict != CW_DENIED && (packet.flags & CW_WALL_PART))
		cw_wall_pass_fragments(&packet);
	if (verdict == CW_ALLOWED)
		return CW_WALL_PASS;
	cw_wall_tell(&packet, &decision, own, bpf_get_socket_cookie(skb), cw_net(sk));
	cw_count(verdict == CW_DENIED ? CW_COUNT_WALL : CW_COUNT_AUDIT);
	return verdict == CW_DENIED ? CW_WALL_DROP : CW_WALL_PASS;
}

/* May this container of the pod have sent it? Of packets without a socket nobody knows more. */
static __attribute__((noinline)) int cw_wall_decide_for(__u64 container, const struct cw_wall_packet *packet,
							struct cw_decision *decision)
{
	void *subjects = cw_in_force(decision);
	struct cw_subject *subject = subjects ? bpf_map_lookup_elem(subjects, &container) : NULL;

	if (!subject || !(subject->flags & CW_SUBJECT_GUARDED) || !subject->rule_set)
		return CW_ALLOWED;
	decision->container = container;
	cw_take_subject(subject, decision);
	if (packet->flags & (CW_WALL_ODD | CW_WALL_LATER))
		cw_wall_refuse(decision);
	else
		cw_wall_decide(packet, decision);
	return decision->verdict;
}

/*
 * Packets without a socket: the kernel's own (resets, errors, discovery), and what the pod forwards, whoever sent it. Nobody
 * begins anything with the former. The latter is judged where each container of the pod is guarded, and is refused when none
 * of them may send it.
 */
static __always_inline int cw_wall_unowned(struct __sk_buff *skb)
{
	struct cw_wall_packet packet = {};
	struct cw_decision decision = {};
	struct cw_wall_pod *pod;
	__u32 device = skb->ifindex;

	pod = bpf_map_lookup_elem(&cw_wall_pods, &device);
	if (!pod)
		return CW_WALL_PASS;
	cw_wall_parse(skb, &packet);
	if ((packet.flags & (CW_WALL_LINK | CW_WALL_ANSWER)) || packet.to.protocol == CW_WALL_IGMP)
		return CW_WALL_PASS;
	if ((packet.flags & CW_WALL_LATER) && cw_wall_fragment_passed(&packet))
		return CW_WALL_PASS;
	for (__u32 i = 0; i < CW_WALL_CONTAINERS; i++) {
		if (i >= pod->count)
			break;
		if (cw_wall_decide_for(pod->container[i], &packet, &decision) == CW_DENIED)
			continue;
		if (packet.flags & CW_WALL_PART)
			cw_wall_pass_fragments(&packet);
		return CW_WALL_PASS;
	}
	/* Whose it was is known only where there is one container. */
	if (pod->count == 1)
		cw_wall_tell(&packet, &decision, decision.container, 0, 0);
	cw_count(CW_COUNT_WALL);
	return CW_WALL_DROP;
}

static __always_inline int cw_wall(struct __sk_buff *skb)
{
	struct bpf_sock *sk = skb->sk, *socket;
	int verdict;

	if (!sk)
		return cw_wall_unowned(skb);
	if (cw_wall_ordinary(skb, sk))
		return CW_WALL_PASS;
	socket = bpf_sk_fullsock(sk);
	if (!socket)
		socket = bpf_get_listener_sock(sk);
	if (!socket)
		return CW_WALL_PASS;
	verdict = cw_wall_judge(skb, socket);
	/* Of the kernel itself: what it says to its neighbours, which a tunnel of the pod can carry further. */
	return verdict == CW_WALL_NOBODY ? cw_wall_unowned(skb) : verdict;
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Packets of guarded containers. What connect and sendmsg let through is judged again when the policy changes; what comes in
 * is judged here alone; and what no other hook sees (options of the IP header, raw packets, pings) is judged by its header.
 * The verdict of a connection is kept with its socket, so that most packets cost one look there.
 */
#pragma once

#include "capture.h"
#include "resolvers.h"
#include "datagram.h"
#include "guard_packet.h"

/* Who began a connection that no program saw begin: a count of the sequence numbers that were not payload, as at its release,
 * but for a packet that is on its way: it is in bytes_sent, and not yet in snd_nxt or bytes_retrans. 0: another CPU is
 * sending right now. */
static __always_inline __u8 cw_guard_direction(struct sock *sk, const struct cw_guarded *packet)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	struct cw_tcp_state now = {};
	__u64 used, sent;
	bool fin;

	cw_read_tcp_state(&now, sk);
	if (now.state == CW_TCP_SYN_SENT)
		return CW_EGRESS;
	if (now.state == CW_TCP_SYN_RECV)
		return CW_INGRESS;
	sent = cw_read(tcp, bytes_sent) - cw_read(tcp, bytes_retrans);
	if (packet && packet->sequence == now.next)
		now.next += packet->payload + (packet->flags & CW_TCP_FLAG_FIN);
	else if (packet)
		sent -= packet->payload;
	used = now.acked + (__u32)(now.next - now.unacked);
	fin = now.fin_sent && now.next == now.written;
	used -= sent + fin;
	return used == 1 ? CW_EGRESS : used == 0 ? CW_INGRESS : 0;
}

/* The connection of a socket: as the container asked for it when it began, or as it came in. */
static __always_inline void cw_guard_judge(struct cw_decision *decision, struct sock *sk, const struct cw_flow *flow,
					   __u8 direction, __u8 protocol)
{
	struct cgroup *cgroup = cw_socket_cgroup(sk);
	struct cw_target target = {.protocol = protocol};

	decision->pattern = 0;
	if (flow) {
		__builtin_memcpy(target.address, flow->remote, sizeof(target.address));
		target.port = flow->remote_port;
		decision->pattern = flow->pattern;
	} else {
		cw_remote_address(target.address, sk);
		target.port = direction == CW_INGRESS ? cw_local_port(sk) : cw_remote_port(sk);
	}
	cw_decide_again(cgroup, cw_cgroup_id(cgroup), direction, &target, decision);
}

static __always_inline void cw_guard_keep(struct cw_guard *guard, struct cw_flow *flow, const struct cw_decision *decision)
{
	if (guard->verdict != decision->verdict && decision->verdict != CW_ALLOWED &&
	    (!flow || flow->verdict != decision->verdict))
		cw_count(decision->verdict == CW_DENIED ? CW_COUNT_DENIED : CW_COUNT_AUDIT);
	guard->generation = decision->generation;
	guard->container = decision->container;
	guard->rule = decision->rule;
	guard->verdict = decision->verdict;
	guard->direction = decision->direction;
	if (flow) {
		flow->generation = decision->generation;
		flow->container = decision->container;
		flow->pattern = decision->pattern;
		flow->rule = decision->rule;
		flow->verdict = decision->verdict;
	}
	guard->changes = decision->changes;
}

/* Once per connection and change of the policy. */
static __attribute__((noinline)) int cw_guard_connection(struct __sk_buff *skb, struct bpf_sock *socket,
							 const struct cw_guarded *packet, struct cw_decision *decision,
							 bool outgoing)
{
	struct cw_guard *guard = bpf_sk_storage_get(&cw_guards, socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	struct sock *sk = cw_object(sock, socket);
	__u8 direction = CW_EGRESS, protocol = socket->protocol;
	struct cw_flow *flow = NULL;

	if (!cw_is_fresh(sk))
		flow = cw_flow_find(bpf_get_socket_cookie(skb), socket);
	if (flow && !flow->connected)
		flow = NULL;
	if (!flow && protocol == IPPROTO_TCP) {
		direction = guard ? guard->direction : 0;
		if (!direction)
			direction = cw_guard_direction(sk, outgoing ? packet : NULL);
	}
	/* Not known: the better verdict, for this packet. */
	cw_guard_judge(decision, sk, flow, direction ? direction : CW_EGRESS, protocol);
	if (!direction && decision->verdict == CW_DENIED)
		cw_guard_judge(decision, sk, flow, CW_INGRESS, protocol);
	if (guard && direction)
		cw_guard_keep(guard, flow, decision);
	return decision->verdict;
}

static __always_inline bool cw_is_icmp_request(const struct cw_guarded *packet)
{
	if (packet->remote.protocol == IPPROTO_ICMPV6)
		return packet->type >= CW_ICMPV6_ECHO && packet->type != CW_ICMPV6_ECHO + 1;
	return packet->type == 8 || packet->type == 13 || packet->type == 15 || packet->type == 17;
}

/* Judges a packet by its header. An answer or error of ICMP is allowed where the question of the other direction is. */
static __attribute__((noinline)) int cw_guard_by_header(struct bpf_sock *socket, const struct cw_guarded *packet,
							__u8 direction, struct cw_decision *decision)
{
	struct cgroup *cgroup = cw_socket_cgroup(cw_object(sock, socket));
	struct cw_target target = packet->remote;

	if (direction == CW_INGRESS)
		target.port = packet->local_port;
	if (target.protocol == IPPROTO_ICMP || target.protocol == IPPROTO_ICMPV6) {
		target.port = packet->type;
		if (!cw_is_icmp_request(packet)) {
			target.port = cw_ping_type(target.protocol);
			direction = direction == CW_INGRESS ? CW_EGRESS : CW_INGRESS;
		}
	}
	decision->pattern = 0;
	cw_decide_again(cgroup, cw_cgroup_id(cgroup), direction, &target, decision);
	return decision->verdict;
}

static __attribute__((noinline)) int cw_guard_refused(struct __sk_buff *skb, struct bpf_sock *socket,
						      const struct cw_guarded *packet, __u8 direction,
						      const struct cw_decision *decision)
{
	struct cw_refused refused = {.key = {.direction = direction}};
	struct sock *sk = cw_object(sock, socket);

	refused.key.cookie = bpf_get_socket_cookie(skb);
	__builtin_memcpy(refused.key.remote, packet->remote.address, sizeof(refused.key.remote));
	refused.key.remote_port = packet->remote.port;
	refused.key.port = packet->type ? packet->type : packet->local_port;
	refused.key.protocol = packet->remote.protocol;
	refused.socket_cgroup = cw_cgroup_id(cw_socket_cgroup(sk));
	refused.container = decision->container;
	refused.generation = decision->generation;
	__builtin_memcpy(refused.local, packet->local, sizeof(refused.local));
	refused.rule = decision->rule;
	refused.net = cw_net(sk);
	refused.sequence = packet->sequence;
	refused.local_port = packet->local_port;
	cw_report_refused(&refused);
	return 0;
}

/* Options of the IP header, extension headers, fragments. */
static __always_inline int cw_guard_odd(struct __sk_buff *skb, struct bpf_sock *socket, struct cw_guarded *packet,
					struct cw_decision *decision)
{
	cw_guard_parse(skb, packet, true);
	cw_guard_by_header(socket, packet, CW_EGRESS, decision);
	if (!(decision->flags & CW_SUBJECT_REFUSES_SOCKETS))
		return decision->verdict == CW_DENIED ? CW_REFUSE : CW_PERMIT;
	decision->rule = CW_RULE_SOCKET;
	packet->remote.protocol = socket->protocol;
	cw_guard_refused(skb, socket, packet, CW_EGRESS, decision);
	return CW_REFUSE;
}

/* A socket that is not connected, or of which packets can be of any kind. */
static __always_inline int cw_guard_packet(struct __sk_buff *skb, struct bpf_sock *socket, struct cw_guarded *packet,
					   __u8 direction, struct cw_decision *decision)
{
	if (cw_guard_by_header(socket, packet, direction, decision) != CW_DENIED)
		return CW_PERMIT;
	cw_guard_refused(skb, socket, packet, direction, decision);
	return CW_REFUSE;
}

static __always_inline bool cw_is_stream(const struct bpf_sock *socket)
{
	return socket->protocol == IPPROTO_TCP && socket->type != CW_SOCK_RAW;
}

static __always_inline bool cw_is_udp(const struct bpf_sock *socket)
{
	return socket->protocol == IPPROTO_UDP && socket->type != CW_SOCK_RAW;
}

/* So that the other end hears of the end, too: a reset without payload tells it nothing else. */
static __always_inline bool cw_is_bare_reset(const struct cw_guarded *packet)
{
	return (packet->flags & CW_TCP_FLAG_RST) && !packet->payload;
}

/* The conversation of a UDP socket with the peer of this packet. */
static __attribute__((noinline)) struct cw_flow *cw_guard_conversation(struct __sk_buff *skb, struct bpf_sock *socket,
								       const struct cw_guarded *packet)
{
	return cw_conversation_of(bpf_get_socket_cookie(skb), socket, &packet->remote);
}

/* sendmsg has not let it through under the policy that is in force. */
static __always_inline int cw_guard_send(struct __sk_buff *skb, struct bpf_sock *socket, struct cw_guarded *packet,
					 struct cw_decision *decision)
{
	struct cw_flow *flow;

	if (!cw_guard_parse(skb, packet, true))
		return CW_REFUSE;
	flow = cw_guard_conversation(skb, socket, packet);
	if (flow && flow->direction == CW_INGRESS &&
	    cw_guard_by_header(socket, packet, CW_INGRESS, decision) != CW_DENIED)
		return CW_PERMIT;
	return cw_guard_packet(skb, socket, packet, CW_EGRESS, decision);
}

/* Of a connected socket whose peer is refused: sendmsg may have let it go elsewhere. */
static __always_inline int cw_guard_elsewhere(struct __sk_buff *skb, struct bpf_sock *socket, struct cw_guarded *packet)
{
	struct cw_guard *guard = bpf_sk_storage_get(&cw_guards, socket, NULL, 0);

	if (!guard || !cw_guard_parse(skb, packet, true) || packet->remote.port != guard->asked_port)
		return CW_REFUSE;
	return cw_same_address(packet->remote.address, guard->asked) ? CW_PERMIT : CW_REFUSE;
}

static __always_inline int cw_guard_slow_out(struct __sk_buff *skb, struct bpf_sock *socket, bool odd)
{
	struct cw_decision decision = {};
	struct cw_guarded packet = {};

	if (odd)
		return cw_guard_odd(skb, socket, &packet, &decision);
	if (cw_is_stream(socket)) {
		if (!cw_guard_parse(skb, &packet, true))
			return CW_REFUSE;
		if (cw_guard_connection(skb, socket, &packet, &decision, true) != CW_DENIED)
			return CW_PERMIT;
		return cw_is_bare_reset(&packet) ? CW_PERMIT : CW_REFUSE;
	}
	if (cw_is_udp(socket)) {
		if (!socket->dst_port)
			return cw_guard_send(skb, socket, &packet, &decision);
		if (cw_guard_connection(skb, socket, &packet, &decision, true) != CW_DENIED)
			return CW_PERMIT;
		return cw_guard_elsewhere(skb, socket, &packet);
	}
	if (!cw_guard_parse(skb, &packet, true))
		return cw_guard_odd(skb, socket, &packet, &decision);
	return cw_guard_packet(skb, socket, &packet, CW_EGRESS, &decision);
}

/* A packet that looks like an answer of a name server which others learn from. It is counted, not told: with an event the
 * stack would be too deep. */
static __attribute__((noinline)) bool cw_guard_forges(struct __sk_buff *skb, struct bpf_sock *socket)
{
	struct sock *sk = cw_object(sock, socket);
	struct cw_decision decision = {};
	struct cw_guarded packet = {};
	struct cgroup *cgroup;

	cw_guard_parse(skb, &packet, true);
	if (packet.local_port != CW_PORT_DNS)
		return false;
	cgroup = cw_socket_cgroup(sk);
	cw_decide_subject(cgroup, cw_cgroup_id(cgroup), &decision);
	if (cw_may_send_from(sk, decision.flags, packet.local, packet.local_port))
		return false;
	cw_count(CW_COUNT_DENIED);
	return true;
}

static __always_inline int cw_guard_out(struct __sk_buff *skb)
{
	struct bpf_sock *socket = skb->sk;
	struct cw_guard *guard;
	bool odd = false;

	if (!socket)
		return CW_PERMIT;
	socket = bpf_sk_fullsock(socket);
	if (!socket)
		return CW_PERMIT;
	if ((socket->src_port == CW_PORT_DNS || socket->type == CW_SOCK_RAW) && cw_guard_forges(skb, socket))
		return CW_REFUSE;
	if (cw_is_stream(socket) || cw_is_udp(socket)) {
		odd = !cw_is_plain(skb, socket->protocol);
		/* Of a listening socket: the answer to a SYN that was let in. */
		if (!odd && cw_is_stream(socket) && socket->state == CW_TCP_LISTEN)
			return CW_PERMIT;
		guard = bpf_sk_storage_get(&cw_guards, socket, NULL, 0);
		if (!odd && guard && guard->verdict != CW_DENIED && guard->changes == cw_changes())
			return CW_PERMIT;
	}
	return cw_guard_slow_out(skb, socket, odd);
}

/* What comes to a listening socket: SYNs, and the acknowledgement that makes a connection of it. */
static __always_inline int cw_guard_listener(struct __sk_buff *skb, struct bpf_sock *socket, struct cw_guarded *packet,
					     struct cw_decision *decision)
{
	if (cw_guard_by_header(socket, packet, CW_INGRESS, decision) != CW_DENIED)
		return CW_PERMIT;
	if (packet->flags & CW_TCP_FLAG_SYN)
		cw_guard_refused(skb, socket, packet, CW_INGRESS, decision);
	return CW_REFUSE;
}

static __always_inline bool cw_was_judged(const struct cw_guard *guard, const struct cw_guarded *packet, __u64 changes)
{
	return guard && guard->in_changes == changes && guard->in_port == packet->remote.port &&
	       cw_same_address(guard->in_address, packet->remote.address);
}

static __always_inline void cw_guard_received(struct cw_guard *guard, const struct cw_guarded *packet, __u64 changes,
					      __u8 verdict)
{
	__builtin_memcpy(guard->in_address, packet->remote.address, sizeof(guard->in_address));
	guard->in_port = packet->remote.port;
	guard->in_verdict = verdict;
	guard->in_changes = changes;
}

static __always_inline int cw_guard_receive(struct __sk_buff *skb, struct bpf_sock *socket, struct cw_guarded *packet,
					    struct cw_decision *decision)
{
	struct cw_guard *guard = bpf_sk_storage_get(&cw_guards, socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	__u64 changes = cw_changes();
	struct cw_flow *flow;
	int passed;

	if (cw_was_judged(guard, packet, changes) && guard->in_verdict != CW_DENIED)
		return CW_PERMIT;
	/* An answer. sendmsg judges each question. */
	flow = cw_guard_conversation(skb, socket, packet);
	if (flow && flow->direction == CW_EGRESS && flow->verdict != CW_DENIED)
		return CW_PERMIT;
	passed = cw_guard_packet(skb, socket, packet, CW_INGRESS, decision);
	if (guard)
		cw_guard_received(guard, packet, changes, decision->verdict);
	return passed;
}

static __always_inline int cw_guard_slow_in(struct __sk_buff *skb, struct bpf_sock *socket)
{
	struct cw_decision decision = {};
	struct cw_guarded packet = {};

	if (!cw_guard_parse(skb, &packet, false))
		return CW_REFUSE;
	if (cw_is_stream(socket) && socket->state == CW_TCP_LISTEN)
		return cw_guard_listener(skb, socket, &packet, &decision);
	if (cw_is_udp(socket) && !socket->dst_port)
		return cw_guard_receive(skb, socket, &packet, &decision);
	if (!cw_is_udp(socket) && !cw_is_stream(socket))
		return cw_guard_packet(skb, socket, &packet, CW_INGRESS, &decision);
	if (cw_guard_connection(skb, socket, &packet, &decision, false) != CW_DENIED)
		return CW_PERMIT;
	return cw_is_bare_reset(&packet) ? CW_PERMIT : CW_REFUSE;
}

static __always_inline int cw_guard_in(struct __sk_buff *skb)
{
	struct bpf_sock *socket = skb->sk;
	struct cw_guard *guard;

	if (!socket)
		return CW_PERMIT;
	socket = bpf_sk_fullsock(socket);
	if (!socket)
		return CW_PERMIT;
	if ((cw_is_udp(socket) && socket->dst_port) || (cw_is_stream(socket) && socket->state != CW_TCP_LISTEN)) {
		guard = bpf_sk_storage_get(&cw_guards, socket, NULL, 0);
		if (guard && guard->verdict != CW_DENIED && guard->changes == cw_changes())
			return CW_PERMIT;
	}
	return cw_guard_slow_in(skb, socket);
}

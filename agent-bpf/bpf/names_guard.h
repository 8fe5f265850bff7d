/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Who may teach a container names. Port 53 and a resolver's address are no identity: on loopback, any program may take any
 * address, and in a network namespace of its own, too. So the answer must have been asked for by the socket that gets it, of
 * a resolver, in the container's own network namespace, and must not have come over loopback, unless the resolver of that
 * namespace is there. An answer that nobody may have forged, but for which there is no room, is dropped: the container asks
 * again.
 */
#pragma once

#include "capture.h"
#include "names.h"
#include "resolvers.h"

enum {
	CW_SEGMENT_MESSAGES = 8, /* of one TCP segment; further ones are not learned, and none after them */
	CW_STREAM_PREFIX = 2,	 /* the length before a message (RFC 1035, section 4.2.2) */
};

/* How far the answers of a TCP connection were read. Where a message begins has to be known: what else stands at the
 * beginning of a segment can be data that somebody wrote to look like a message. */
struct cw_stream {
	__u32 next; /* sequence number: a message begins there */
	__u32 seen; /* all before it came by */
	__u32 lost; /* 1: it is not known any more where messages begin */
};

/* Lives and dies with its socket. Out of memory: the segment is dropped and comes again. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cw_stream);
} cw_streams SEC(".maps");

/* asked: the server, as the container asked for it. */
static __always_inline bool cw_may_teach(struct __sk_buff *skb, struct sock *sk, __u64 container, const __u8 asked[16])
{
	struct cw_learner *learner = bpf_map_lookup_elem(&cw_learners, &container);
	__u32 net = learner ? learner->net : 0;

	if (!net || cw_net(sk) != net)
		return false;
	if (cw_is_resolver(net, asked))
		return true;
	return !cw_over_loopback(skb) && cw_is_resolver(0, asked);
}

/* One message of a segment. 0: drop the segment, 1: go on, 2: nothing more to read. */
CW_CHECKED_ALONE int cw_stream_message(struct __sk_buff *skb, struct cw_lesson *lesson)
{
	__u32 offset, size;
	__u8 prefix[CW_STREAM_PREFIX];

	if (!lesson)
		return 2;
	offset = lesson->next - lesson->sequence;
	if (offset >= lesson->length)
		return 2;
	if (offset + CW_STREAM_PREFIX > lesson->length ||
	    bpf_skb_load_bytes(skb, lesson->payload + offset, prefix, sizeof(prefix)))
		return 2;
	size = prefix[0] << 8 | prefix[1];
	offset += CW_STREAM_PREFIX;
	if (offset + size > lesson->length)
		cw_count(CW_COUNT_NAMES_PARTIAL);
	else if (size && !cw_lesson_read(skb, lesson, lesson->payload + offset, size))
		return 0;
	lesson->next += CW_STREAM_PREFIX + size;
	return 1;
}

static __always_inline struct cw_stream *cw_stream_find(struct bpf_sock *sk, __u32 sequence)
{
	struct cw_stream *stream = bpf_sk_storage_get(&cw_streams, sk, NULL, 0);
	struct cw_stream fresh = {.next = sequence, .seen = sequence};
	struct bpf_tcp_sock *tcp;

	if (stream)
		return stream;
	tcp = bpf_tcp_sock(sk);
	/* Only the very first payload begins with a message for sure. */
	fresh.lost = !tcp || tcp->bytes_received || tcp->rcv_nxt != sequence;
	return bpf_sk_storage_get(&cw_streams, sk, &fresh, BPF_SK_STORAGE_GET_F_CREATE);
}

/* False: the segment must come again. */
static __always_inline bool cw_stream_read(struct __sk_buff *skb, struct bpf_sock *sk, const struct cw_packet *packet,
					   struct cw_lesson *lesson)
{
	struct cw_stream *stream = cw_stream_find(sk, packet->sequence);
	__u32 end = packet->sequence + packet->length;
	int more = 1;

	if (!stream)
		return false;
	if (stream->lost) {
		cw_count(CW_COUNT_NAMES_PARTIAL);
		return true;
	}
	/* It overtook another one, which would come by unread when this one has been: in order, both are read. */
	if ((__s32)(packet->sequence - stream->seen) > 0)
		return false;
	lesson->payload = packet->payload;
	lesson->length = packet->length;
	lesson->sequence = packet->sequence;
	lesson->next = stream->next;
	for (int i = 0; i < CW_SEGMENT_MESSAGES && more == 1; i++)
		more = cw_stream_message(skb, lesson);
	stream->next = lesson->next;
	if (!more)
		return false;
	if ((__s32)(lesson->next - end) < 0) {
		/* More messages than are read, or half the length of one. */
		cw_count(CW_COUNT_NAMES_PARTIAL);
		stream->lost = 1;
	}
	if ((__s32)(end - stream->seen) > 0)
		stream->seen = end;
	return true;
}

static __always_inline bool cw_names_learn(struct __sk_buff *skb, struct bpf_sock *sk, const struct cw_packet *packet,
					   const struct cw_decision *who)
{
	struct cw_lesson *lesson = cw_lesson_begin(CW_LESSON_PACKET);
	bool learned;

	if (!lesson) {
		cw_count(CW_COUNT_NAMES_FULL);
		return false;
	}
	lesson->slot = who->slot;
	lesson->container = who->container;
	lesson->now_ns = bpf_ktime_get_boot_ns();
	lesson->answer.key.rule_set = who->rule_set;
	if (packet->protocol == IPPROTO_TCP)
		learned = cw_stream_read(skb, sk, packet, lesson);
	else
		learned = cw_lesson_read(skb, lesson, packet->payload, packet->length);
	cw_lesson_end(lesson);
	return learned;
}

/* Most packets end here: their port is read in place, as far as the packet is in one piece. */
static __always_inline bool cw_is_surely_other(struct __sk_buff *skb)
{
	__u8 *data = (__u8 *)(long)skb->data, *end = (__u8 *)(long)skb->data_end;
	__u32 transport = sizeof(struct ipv6hdr);
	__u8 protocol;

	if (data + sizeof(struct ipv6hdr) + sizeof(__be16) > end)
		return false;
	if (skb->protocol == bpf_htons(ETH_P_IP)) {
		transport = (data[0] & 0xf) * 4;
		protocol = data[9];
	} else {
		protocol = data[6];
	}
	if (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP)
		return false;
	data += transport;
	return data + sizeof(__be16) <= end && (data[0] << 8 | data[1]) != CW_PORT_DNS;
}

/* False: drop the packet. */
static __always_inline bool cw_names_packet(struct __sk_buff *skb)
{
	struct cw_decision who;
	struct cw_packet packet = {};
	struct bpf_sock *sk = skb->sk;
	struct cw_flow *flow;
	struct cgroup *cgroup;
	struct sock *object;

	/* Of connected sockets the first look is enough. */
	if (!sk || (sk->dst_port && sk->dst_port != bpf_htons(CW_PORT_DNS)))
		return true;
	if (cw_is_surely_other(skb))
		return true;
	sk = bpf_sk_fullsock(sk);
	if (!sk || !cw_parse(skb, &packet) || packet.source_port != CW_PORT_DNS)
		return true;
	flow = cw_question(&packet, sk, bpf_get_socket_cookie(skb));
	if (!flow)
		return true;
	object = cw_object(sock, sk);
	cgroup = cw_socket_cgroup(object);
	if (!cw_decide_subject(cgroup, cw_cgroup_id(cgroup), &who) || !(who.flags & CW_SUBJECT_NAMES))
		return true;
	if (!cw_may_teach(skb, object, who.container, flow->remote)) {
		cw_count(CW_COUNT_NAMES_UNTRUSTED);
		return true;
	}
	return cw_names_learn(skb, sk, &packet, &who);
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What is kept with each socket of a guarded container, and what is told of packets that were refused. */
#pragma once

#include "flow.h"

/* Nobody can forge it: it lives and dies with its socket. */
struct cw_guard {
	__u64 changes;    /* the verdict holds while cw_policy_state.changes is this, 0: none yet */
	__u64 generation; /* these: of the connection; of unconnected UDP, of what sendmsg let through last */
	__u64 container;
	__u32 rule;
	__u8 verdict;
	__u8 direction;   /* of the connection, 0: not known yet */
	__u16 asked_port; /* where sendmsg let a datagram go last */
	__u8 asked[16];
	__u8 in_address[16]; /* the sender whose datagram was judged last */
	__u64 in_changes;
	__u16 in_port;    /* of the sender */
	__u8 in_verdict;
	__u8 pad;
	__u16 bound_port; /* that bind asked for */
	__u8 pad2[2];
};

/* Out of memory: each packet is judged anew. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cw_guard);
} cw_guards SEC(".maps");

struct cw_refusal_key {
	__u64 cookie;
	__u8 remote[16];
	__u16 remote_port;
	__u16 port; /* of the destination, or the type of ICMP */
	__u8 protocol;
	__u8 direction;
	__u8 pad[2];
};

struct cw_refusal {
	__u64 reported_ns;
	__u32 sequence; /* of TCP, which tells a new attempt from a SYN that is sent again */
	__u32 packets;  /* since it was reported */
};

/* Full: what was reported longest ago is reported again. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 4096);
	__type(key, struct cw_refusal_key);
	__type(value, struct cw_refusal);
} cw_refusals SEC(".maps");

struct cw_refused {
	struct cw_refusal_key key;
	__u64 socket_cgroup;
	__u64 container;
	__u64 generation;
	__u8 local[16];
	__u32 rule;
	__u32 net;
	__u32 sequence;
	__u32 pid; /* of who asked for it, 0: a packet */
	__u16 local_port;
	__u8 pad[6];
	char comm[CW_COMM_BYTES];
};

/* A socket that connects anew is judged anew. */
static __always_inline void cw_guard_reset(struct bpf_sock *socket)
{
	struct cw_guard *guard;

	if (!cw_guarding)
		return;
	guard = bpf_sk_storage_get(&cw_guards, socket, NULL, 0);
	if (guard) {
		guard->changes = 0;
		guard->direction = 0;
	}
}

/* Is it time to tell? Of a TCP connection each attempt is told once, of others the first packet and then one a minute. */
static __always_inline bool cw_refusal_due(const struct cw_refusal_key *key, const struct cw_refused *refused,
					   struct cw_refusal *now)
{
	struct cw_refusal *known = bpf_map_lookup_elem(&cw_refusals, key);

	now->reported_ns = bpf_ktime_get_boot_ns();
	now->sequence = refused->sequence;
	now->packets = 1;
	if (!known)
		return true;
	if (refused->key.protocol == IPPROTO_TCP)
		return known->sequence != refused->sequence;
	now->packets = __sync_fetch_and_add(&known->packets, 1) + 1;
	return now->reported_ns - known->reported_ns > CW_DENIED_REPORT_NS;
}

static __always_inline void cw_refused_event(struct cw_event *event, const struct cw_refused *refused, __u32 packets)
{
	event->start_ns = event->end_ns;
	event->socket_cgroup = refused->socket_cgroup;
	event->container = refused->container;
	event->generation = refused->generation;
	__builtin_memcpy(event->local, refused->local, sizeof(event->local));
	__builtin_memcpy(event->remote, refused->key.remote, sizeof(event->remote));
	event->rule = refused->rule;
	event->local_port = refused->local_port;
	event->remote_port = refused->key.remote_port;
	event->protocol = refused->key.protocol;
	event->direction = refused->key.direction;
	event->verdict = CW_DENIED;
	event->end = CW_END_DENIED;
	event->net = refused->net;
	event->pid = refused->pid;
	__builtin_memcpy(event->comm, refused->comm, sizeof(event->comm));
	if (refused->pid)
		return;
	if (event->direction == CW_INGRESS)
		event->received_packets = packets;
	else
		event->sent_packets = packets;
}

/* Global, so that it is verified once. */
CW_CHECKED_ALONE int cw_report_refused(const struct cw_refused *refused)
{
	struct cw_refusal_key key;
	struct cw_refusal now;
	struct cw_event *event;
	bool due;

	if (!refused)
		return 0;
	/* On the stack: Linux 6.1 refuses a key in the memory of an argument. */
	key = refused->key;
	due = cw_refusal_due(&key, refused, &now);
	if (due || refused->key.protocol != IPPROTO_TCP)
		cw_count(CW_COUNT_DENIED);
	if (!due)
		return 0;
	event = cw_event_reserve();
	if (event) {
		cw_refused_event(event, refused, now.packets);
		cw_event_submit(event, true);
	}
	now.packets = 0;
	bpf_map_update_elem(&cw_refusals, &key, &now, BPF_ANY);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The state of flows which sockets began, and the events that leave the kernel. */
#pragma once

#include <bpf/bpf_endian.h>

#include "compat.h"
#include "maps.h"
#include "policy.h"

static __u64 cw_last_wake_ns;

enum { CW_WAKE_LOOK = 8 }; /* how much waits is looked at for one socket in so many */

/* Wakes the reader for denials and when much waits, never per event. */
static __always_inline __u64 cw_wake_flag(__u64 cookie, bool urgent)
{
	__u32 zero = 0;
	__u64 *reader, now;

	if (!urgent) {
		if (cookie % CW_WAKE_LOOK)
			return BPF_RB_NO_WAKEUP;
		reader = bpf_map_lookup_elem(&cw_reader, &zero);
		if (!reader || bpf_ringbuf_query(&cw_events, BPF_RB_PROD_POS) - READ_ONCE(*reader) < cw_wake_bytes)
			return BPF_RB_NO_WAKEUP;
	}
	now = bpf_ktime_get_ns();
	if (now - READ_ONCE(cw_last_wake_ns) < CW_WAKE_INTERVAL_NS)
		return BPF_RB_NO_WAKEUP;
	cw_last_wake_ns = now;
	return BPF_RB_FORCE_WAKEUP;
}

static __always_inline struct cw_event *cw_event_reserve(void)
{
	struct cw_event *event = bpf_ringbuf_reserve(&cw_events, sizeof(*event), 0);

	if (!event) {
		cw_count(CW_COUNT_RING_FULL);
		return NULL;
	}
	__builtin_memset(event, 0, sizeof(*event));
	event->end_ns = bpf_ktime_get_boot_ns();
	event->sent_bytes = CW_UNKNOWN_BYTES;
	event->received_bytes = CW_UNKNOWN_BYTES;
	return event;
}

static __always_inline void cw_event_submit(struct cw_event *event, bool urgent)
{
	bpf_ringbuf_submit(event, cw_wake_flag(event->cookie, urgent));
}

static __always_inline void cw_v4_mapped(__u8 address[16], __be32 v4)
{
	__builtin_memset(address, 0, 10);
	address[10] = 0xff;
	address[11] = 0xff;
	__builtin_memcpy(address + 12, &v4, sizeof(v4));
}

static __always_inline void cw_remote_address(__u8 address[16], struct sock *sk)
{
	if (cw_read(sk, __sk_common.skc_family) == AF_INET6) {
		struct in6_addr remote = cw_read(sk, __sk_common.skc_v6_daddr);

		__builtin_memcpy(address, &remote, sizeof(remote));
	} else {
		cw_v4_mapped(address, cw_read(sk, __sk_common.skc_daddr));
	}
}

static __always_inline __u16 cw_remote_port(struct sock *sk)
{
	return bpf_ntohs(cw_read(sk, __sk_common.skc_dport));
}

static __always_inline void cw_local_address(__u8 address[16], struct sock *sk)
{
	if (cw_read(sk, __sk_common.skc_family) == AF_INET6) {
		struct in6_addr local = cw_read(sk, __sk_common.skc_v6_rcv_saddr);

		__builtin_memcpy(address, &local, sizeof(local));
	} else {
		cw_v4_mapped(address, cw_read(sk, __sk_common.skc_rcv_saddr));
	}
}

/* Not skc_num, which is 0 once a reset has unhashed the socket. */
static __always_inline __u16 cw_local_port(struct sock *sk)
{
	struct inet_sock *inet = cw_object(inet_sock, sk);

	return bpf_ntohs(cw_read(inet, inet_sport));
}

/* The number of the network namespace. */
static __always_inline __u32 cw_net(struct sock *sk)
{
	struct net *net = cw_read(sk, __sk_common.skc_net.net);

	return cw_read(net, ns.inum);
}

static __always_inline void cw_event_from_flow(struct cw_event *event, const struct cw_flow *flow)
{
	event->start_ns = flow->start_ns;
	event->socket_cgroup = flow->socket_cgroup;
	event->container = flow->container;
	event->cookie = flow->cookie;
	event->generation = flow->generation;
	__builtin_memcpy(event->remote, flow->remote, sizeof(event->remote));
	event->rule = flow->rule;
	event->pid = flow->pid;
	event->remote_port = flow->remote_port;
	event->protocol = flow->protocol;
	event->direction = flow->direction;
	event->verdict = flow->verdict;
	__builtin_memcpy(event->comm, flow->comm, sizeof(event->comm));
	if (!flow->connected) {
		event->sent_packets = flow->packets;
		event->received_packets = flow->received;
		event->local_port = flow->local_port;
		event->net = flow->net;
		__builtin_memcpy(event->local, flow->local, sizeof(event->local));
	}
}

/* A flow that has ended and whose socket tells nothing about it (any more). */
static __always_inline void cw_report_flow(const struct cw_flow *flow, __u8 end, bool urgent)
{
	struct cw_event *event = cw_event_reserve();

	if (!event)
		return;
	cw_event_from_flow(event, flow);
	event->end = end;
	cw_event_submit(event, urgent);
}

static __always_inline struct task_struct *cw_current(void)
{
	return cw_object(task_struct, (void *)bpf_get_current_task());
}

/* The name of a process is that of its first thread. */
static __always_inline void cw_read_name(char comm[CW_COMM_BYTES], struct task_struct *task)
{
	struct task_struct *leader = cw_read(task, group_leader);
	__u64 name[2];

	if (cw_plain_loads) {
		const __u64 *words = (const __u64 *)&leader->comm;

		name[0] = words[0];
		name[1] = words[1];
	} else {
		bpf_core_read(name, sizeof(name), &leader->comm);
	}
	__builtin_memcpy(comm, name, sizeof(name));
}

/* Fills in what all flows have, but for the cookie: a slot gets that last. */
static __always_inline void cw_flow_begin(struct cw_flow *flow, __u64 own, const struct cw_target *target,
					  const struct cw_decision *decision)
{
	struct task_struct *task = cw_current();

	flow->start_ns = bpf_ktime_get_boot_ns();
	flow->socket_cgroup = own;
	flow->container = decision->container;
	flow->generation = decision->generation;
	flow->pattern = decision->pattern;
	__builtin_memcpy(flow->remote, target->address, sizeof(flow->remote));
	flow->rule = decision->rule;
	flow->pid = cw_read(task, tgid);
	flow->remote_port = target->port;
	flow->protocol = target->protocol;
	flow->direction = CW_EGRESS;
	flow->verdict = decision->verdict;
	flow->heard = 0;
	flow->captured = 0;
	cw_read_name(flow->comm, task);
}

static __always_inline struct cw_flow *cw_slot(__u64 cookie)
{
	__u32 index = cookie & cw_slot_mask;

	return bpf_map_lookup_elem(&cw_slots, &index);
}

/* Nobody has asked for the cookie of this socket yet, so no program of ours has seen it. Accepted sockets are like that
 * until their end, and most others until they connect. Ask before bpf_get_socket_cookie. */
static __always_inline bool cw_is_fresh(struct sock *sk)
{
	return !cw_read(sk, __sk_common.skc_cookie.counter);
}

/* The socket's own flow: in its slot, or beside the socket. */
static __always_inline struct cw_flow *cw_flow_find(__u64 cookie, void *socket)
{
	struct cw_flow *flow = cw_slot(cookie);

	if (flow && READ_ONCE(flow->cookie) == cookie)
		return flow;
	flow = bpf_sk_storage_get(&cw_overflow, socket, NULL, 0);
	return flow && flow->cookie ? flow : NULL;
}

static __always_inline void cw_flow_copy(struct cw_flow *to, const struct cw_flow *from)
{
	__builtin_memcpy((char *)to + sizeof(to->cookie), (const char *)from + sizeof(from->cookie),
			 sizeof(*from) - sizeof(from->cookie));
}

/* Takes the slot of a cookie; NULL: it is taken. Until cw_slot_publish it belongs to nobody else, and to no flow. */
static __always_inline struct cw_flow *cw_slot_take(__u64 cookie)
{
	struct cw_flow *slot = cw_slot(cookie);

	return slot && __sync_val_compare_and_swap(&slot->cookie, 0, CW_SLOT_BUSY) == 0 ? slot : NULL;
}

static __always_inline void cw_slot_publish(struct cw_flow *slot, __u64 cookie)
{
	/* A full barrier: who sees the cookie sees the rest. */
	__sync_lock_test_and_set(&slot->cookie, cookie);
}

static __always_inline void cw_slot_fill(struct cw_flow *slot, const struct cw_flow *flow)
{
	cw_flow_copy(slot, flow);
	cw_slot_publish(slot, flow->cookie);
}

/* False: no memory. */
static __always_inline bool cw_flow_store_beside(const struct cw_flow *flow, void *socket)
{
	struct cw_flow *stored = bpf_sk_storage_get(&cw_overflow, socket, (void *)flow, BPF_SK_STORAGE_GET_F_CREATE);

	if (!stored)
		return false;
	if (!stored->cookie) {
		/* Left by an earlier flow of this socket: programs of cgroup/sock cannot delete, so they clear. */
		cw_flow_copy(stored, flow);
		stored->cookie = flow->cookie;
	}
	return true;
}

static __always_inline void cw_flow_drop(struct cw_flow *flow)
{
	__sync_lock_test_and_set(&flow->cookie, 0);
}

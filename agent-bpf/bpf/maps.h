/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Maps and settings. Sizes are set by the agent before load; the numbers here are what the kernel tests use. */
#pragma once

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "cellwall/events.h"

/* Attach point: cgroups below it are ours. */
const volatile __u64 cw_attach_id = 0;
const volatile __s32 cw_attach_level = 0;
/* Slots are indexed by the low bits of the socket cookie. */
const volatile __u32 cw_slot_mask = 1023;
const volatile __u64 cw_udp_idle_ns = 30000000000ULL;
/* The reader is woken early when this much waits for it. */
const volatile __u64 cw_wake_bytes = 256 * 1024;

enum {
	/* A wake-up costs 15 to 40 us; denials and a filling ring cause one at most this often. */
	CW_WAKE_INTERVAL_NS = 5000000,
	/* Sub-cgroups below a container: docker in docker in a pod uses 5. Deeper ones belong to no container. */
	CW_MAX_DEPTH = 12,
};
#define CW_DENIED_REPORT_NS 60000000000ULL
/* Cookie of a slot that is being filled. Cookies count from 1 and never get there. */
#define CW_SLOT_BUSY (~0ULL)

/* Flow that a socket began, or UDP conversation that a peer began: from connect or the first datagram until the socket is
 * released. */
struct cw_flow {
	__u64 cookie; /* 0: free, CW_SLOT_BUSY: being filled */
	__u64 start_ns;
	__u64 socket_cgroup;
	__u64 container;
	__u64 generation;
	__u64 pattern; /* the name that the verdict hangs on, 0: on none */
	__u8 remote[16];
	char comm[CW_COMM_BYTES];
	__u32 rule;
	__u32 pid;
	__u16 remote_port;
	__u8 protocol;
	__u8 verdict;
	__u8 connected;
	__u8 direction;
	__u8 heard; /* 1: the TCP socket received something at an attempt before */
	__u8 pad;
	__u32 captured; /* 1: the first payload was captured, if that is asked for */
	__u32 net;
	/* This and what follows, and net: of unconnected UDP only. Else it is what an earlier flow left in the slot. */
	__u64 last_ns;
	__u32 packets; /* datagrams which are not in a record yet */
	__u32 received;
	__u8 local[16];
	__u16 local_port;
	__u8 pad2[6];
};

struct cw_peer {
	__u64 cookie;
	__u8 remote[16];
	__u16 remote_port;
	__u8 pad[6];
};

/* Full: the event is lost and counted (CW_COUNT_RING_FULL). */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4 << 20);
} cw_events SEC(".maps");

/* Full: counted (CW_COUNT_LIFECYCLE_FULL), the agent reads the cgroup tree again. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 256 << 10);
} cw_lifecycles SEC(".maps");

/* Full: counted (CW_COUNT_CAPTURES_FULL). */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20);
} cw_captures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CW_COUNT_MAX);
	__type(key, __u32);
	__type(value, __u64);
} cw_counters SEC(".maps");

/* Written by the agent through a mapping: how far it has read the ring of events (bytes since the ring was made). */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} cw_reader SEC(".maps");

/* A slot that is taken sends the next flow to cw_overflow. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, struct cw_flow);
} cw_slots SEC(".maps");

/* Lives and dies with its socket, so nothing can be left behind. Out of memory: CW_COUNT_STATE_FULL. */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct cw_flow);
} cw_overflow SEC(".maps");

/* Second and further peers of unconnected UDP sockets. Full: the conversation is judged, not recorded
 * (CW_COUNT_PEERS_FULL). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct cw_peer);
	__type(value, struct cw_flow);
} cw_peers SEC(".maps");

/* Set by the agent: some container is guarded. What only those need costs nobody else anything. */
volatile __u32 cw_guarding = 0;

#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

static __always_inline void cw_count(__u32 counter)
{
	__u64 *value = bpf_map_lookup_elem(&cw_counters, &counter);

	/* Per CPU, yet atomic: a program can be preempted by another one on the same CPU. */
	if (value)
		__sync_fetch_and_add(value, 1);
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Run by the agent each second: ends the conversations of unconnected UDP sockets that are idle. */
#pragma once

#include "datagram.h"

struct bpf_map;

struct cw_sweep {
	__u64 now;
};

static __always_inline bool cw_is_idle(const struct cw_flow *flow, const struct cw_sweep *sweep)
{
	/* last_ns can be ahead of now: datagrams go on while we sweep. */
	return !flow->connected && (__s64)(sweep->now - flow->last_ns) > (__s64)cw_udp_idle_ns;
}

static long cw_sweep_slot(struct bpf_map *map, __u32 *index, struct cw_flow *flow, struct cw_sweep *sweep)
{
	__u64 cookie = READ_ONCE(flow->cookie);

	if (!cookie || cookie == CW_SLOT_BUSY || !cw_is_idle(flow, sweep))
		return 0;
	cw_conversation_end(flow, CW_END_IDLE);
	cw_flow_drop(flow);
	return 0;
}

static long cw_sweep_peer(struct bpf_map *map, struct cw_peer *peer, struct cw_flow *flow, struct cw_sweep *sweep)
{
	if (!cw_is_idle(flow, sweep))
		return 0;
	cw_conversation_end(flow, CW_END_IDLE);
	bpf_map_delete_elem(map, peer);
	return 0;
}

static __always_inline void cw_sweep_all(void)
{
	struct cw_sweep sweep = {.now = bpf_ktime_get_boot_ns()};

	bpf_for_each_map_elem(&cw_slots, cw_sweep_slot, &sweep, 0);
	bpf_for_each_map_elem(&cw_peers, cw_sweep_peer, &sweep, 0);
}

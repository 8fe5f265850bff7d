/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The name servers that containers learn from. */
#pragma once

#include "capture.h"

/* Full: the agent refuses the list. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct cw_resolver_key);
	__type(value, __u8);
} cw_resolvers SEC(".maps");

static __always_inline bool cw_is_resolver(__u32 net, const __u8 address[16])
{
	struct cw_resolver_key key = {.net = net};

	__builtin_memcpy(key.address, address, sizeof(key.address));
	return bpf_map_lookup_elem(&cw_resolvers, &key);
}

/* For packets which a guarded container sends from port 53: none may look like an answer of a name server that its neighbours
 * learn from. */
static __always_inline bool cw_may_send_from(struct sock *sk, __u32 subject_flags, const __u8 source[16], __u16 source_port)
{
	if (source_port != CW_PORT_DNS || (subject_flags & CW_SUBJECT_RESOLVER))
		return true;
	return !cw_is_resolver(0, source) && !cw_is_resolver(cw_net(sk), source);
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Connections that are open now, found through the files of all tasks: the tcp iterator sees one network namespace only,
 * this one sees all. A socket that several tasks hold is written several times; the reader drops doubles by cookie.
 */
#pragma once

#include "release.h"

static __always_inline bool cw_is_ours(struct cgroup *cgroup)
{
	return cw_read(cgroup, level) > cw_attach_level && cw_ancestor_id(cgroup, cw_attach_level) == cw_attach_id;
}

static __always_inline void cw_open_flow(struct bpf_iter__task_file *ctx)
{
	struct file *file = ctx->file;
	struct cw_event event = {};
	struct socket *socket;
	struct cw_flow *flow;
	struct sock *sk;
	__u16 family;

	if (!file)
		return;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return;
	sk = socket->sk;
	if (!sk)
		return;
	family = sk->__sk_common.skc_family;
	if ((family != AF_INET && family != AF_INET6) || !cw_is_ours(cw_socket_cgroup(sk)))
		return;
	event.cookie = bpf_get_socket_cookie(sk);
	flow = cw_flow_find(event.cookie, sk);
	if (flow && flow->verdict == CW_DENIED)
		return;
	if (!flow && !cw_is_accepted(sk))
		return;
	event.end_ns = bpf_ktime_get_boot_ns();
	event.sent_bytes = CW_UNKNOWN_BYTES;
	event.received_bytes = CW_UNKNOWN_BYTES;
	if (flow)
		cw_event_from_flow(&event, flow);
	else
		cw_read_accepted(&event, sk, event.cookie);
	cw_read_local(&event, sk);
	if (event.protocol == IPPROTO_TCP)
		cw_read_tcp(&event, sk, flow != NULL);
	event.end = CW_END_OPEN;
	bpf_seq_write(ctx->meta->seq, &event, sizeof(event));
}

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Multipath TCP. The container's socket is no tcp_sock and never connects itself: its subflows do, and they are sockets of
 * the kernel's own, whose release no program sees. A connection is one flow: it begins when the first subflow connects, is
 * kept under the cookie of that one, and ends when the container's socket is released. Further subflows connect from a
 * kernel thread, perhaps to other addresses; each is judged and recorded as it connects.
 */
#pragma once

#include "flow.h"

enum {
	CW_IPPROTO_MPTCP = 262,
	CW_PF_KTHREAD = 0x200000,
};

/* The first subflow, which can be gone before the connection is. */
static __always_inline struct sock *cw_first_subflow(struct sock *sk)
{
	struct mptcp_sock *multipath;

	if (!bpf_core_type_exists(struct mptcp_sock) || cw_read(sk, sk_protocol) != CW_IPPROTO_MPTCP)
		return NULL;
	multipath = cw_object(mptcp_sock, sk);
	return cw_read(multipath, first);
}

static __always_inline struct cw_flow *cw_multipath_flow(struct sock *sk)
{
	struct sock *first = cw_first_subflow(sk);
	struct cw_flow *flow;
	__u64 cookie;

	if (!first)
		return NULL;
	cookie = cw_read(first, __sk_common.skc_cookie.counter);
	if (!cookie)
		return NULL;
	flow = cw_slot(cookie);
	return flow && READ_ONCE(flow->cookie) == cookie ? flow : NULL;
}

/* Will nobody see the release of this socket? */
static __always_inline bool cw_is_forgotten(struct sock *sk)
{
	struct task_struct *task;

	if (!cw_read_bits(sk, sk_kern_sock))
		return false;
	task = cw_current();
	if (cw_read(task, flags) & CW_PF_KTHREAD)
		return true;
	if (!bpf_core_field_exists(((struct tcp_sock *)0)->is_mptcp) || cw_read(sk, sk_protocol) != IPPROTO_TCP)
		return true;
	return !cw_read(((struct tcp_sock *)cw_object(tcp_sock, sk)), is_mptcp);
}

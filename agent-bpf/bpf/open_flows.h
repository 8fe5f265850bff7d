/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Connections that are open now, and sockets that wait for some, found through the files of all tasks: the tcp iterator
 * sees one network namespace only, this one sees all. A socket that several tasks hold is written several times; the reader drops doubles by cookie.
 */
#pragma once

#include "release.h"

static __always_inline bool cw_is_ours(struct cgroup *cgroup)
{
	return cw_read(cgroup, level) > cw_attach_level && cw_ancestor_id(cgroup, cw_attach_level) == cw_attach_id;
}

/* The socket of a task's file, of the internet and below the attach point; NULL: it is something else. */
static __always_inline struct sock *cw_our_socket(struct task_struct *task, struct file *file)
{
	struct socket *socket;
	struct sock *sk;
	__u16 family;

	/* After the last task, the iterator comes once more with none. */
	if (!task || !file)
		return NULL;
	socket = bpf_sock_from_file(file);
	if (!socket)
		return NULL;
	sk = socket->sk;
	if (!sk)
		return NULL;
	family = sk->__sk_common.skc_family;
	if ((family != AF_INET && family != AF_INET6) || !cw_is_ours(cw_socket_cgroup(sk)))
		return NULL;
	return sk;
}

enum { CW_SOCK_BINDPORT_LOCK = 8 }; /* the port was asked for (include/net/sock.h) */

static __always_inline bool cw_is_listener(struct sock *sk)
{
	__u16 protocol = cw_read(sk, sk_protocol);

	if (protocol == IPPROTO_TCP || protocol == CW_IPPROTO_MPTCP)
		return cw_read(sk, __sk_common.skc_state) == CW_TCP_LISTEN;
	return protocol == IPPROTO_UDP && !cw_read(sk, __sk_common.skc_dport) &&
	       (cw_read_bits(sk, sk_userlocks) & CW_SOCK_BINDPORT_LOCK);
}

static __always_inline void cw_read_holder(struct cw_event *event, struct task_struct *task)
{
	event->pid = task->tgid;
	cw_read_name(event->comm, task);
}

static __always_inline void cw_read_listener(struct cw_event *event, struct sock *sk)
{
	event->socket_cgroup = cw_cgroup_id(cw_socket_cgroup(sk));
	event->protocol = cw_read(sk, sk_protocol) == IPPROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	event->direction = CW_INGRESS;
	event->verdict = CW_ALLOWED;
	event->end = CW_END_LISTENING;
	cw_read_local(event, sk);
	event->net = cw_net(sk);
}

static __always_inline void cw_open_flow(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct cw_event event = {};
	struct cw_flow *flow = NULL;
	struct sock *sk;

	sk = cw_our_socket(task, ctx->file);
	if (!sk)
		return;
	event.cookie = bpf_get_socket_cookie(sk);
	event.end_ns = bpf_ktime_get_boot_ns();
	event.sent_bytes = CW_UNKNOWN_BYTES;
	event.received_bytes = CW_UNKNOWN_BYTES;
	if (cw_is_listener(sk)) {
		cw_read_listener(&event, sk);
		cw_read_holder(&event, task);
		bpf_seq_write(ctx->meta->seq, &event, sizeof(event));
		/* It can be in conversation, too. */
	}
	flow = cw_flow_find(event.cookie, sk);
	if (!flow)
		flow = cw_multipath_flow(sk);
	if (flow && flow->verdict == CW_DENIED)
		return;
	if (!flow && !cw_is_unseen_flow(sk))
		return;
	cw_describe(&event, sk, sk, event.cookie, flow);
	if (!flow)
		cw_read_holder(&event, task);
	event.end = CW_END_OPEN;
	event.failure = 0;
	bpf_seq_write(ctx->meta->seq, &event, sizeof(event));
}

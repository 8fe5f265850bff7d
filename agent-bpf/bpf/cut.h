/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Open connections of guarded containers which the policy in force refuses. */
#pragma once

#include "guard.h"
#include "open_flows.h"

static __always_inline void cw_cut_describe(struct cw_cut *cut, struct sock *sk, struct task_struct *task)
{
	cw_remote_address(cut->remote, sk);
	cut->remote_port = cw_remote_port(sk);
	cw_local_address(cut->local, sk);
	cut->local_port = cw_local_port(sk);
	cut->net = cw_net(sk);
	cut->pid = task->tgid;
	cut->protocol = cw_read(sk, sk_protocol);
	cut->v6 = cw_read(sk, __sk_common.skc_family) == AF_INET6;
}

static __always_inline bool cw_can_be_cut(struct sock *sk)
{
	__u16 protocol = cw_read(sk, sk_protocol);
	__u8 state = cw_read(sk, __sk_common.skc_state);

	if (cw_read(sk, sk_type) == CW_SOCK_RAW || !cw_read(sk, __sk_common.skc_dport))
		return false;
	if (protocol == IPPROTO_TCP)
		return state != CW_TCP_LISTEN && state != CW_TCP_CLOSE;
	return protocol == IPPROTO_UDP;
}

/* Judges the connection as the guard would with the next packet. */
static __always_inline bool cw_cut_judge(struct sock *sk, struct cw_flow *flow, struct cw_decision *decision)
{
	struct cw_guard *guard = bpf_sk_storage_get(&cw_guards, sk, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	__u8 direction = CW_EGRESS;

	if (!flow && cw_read(sk, sk_protocol) == IPPROTO_TCP) {
		direction = guard ? guard->direction : 0;
		if (!direction)
			direction = cw_guard_direction(sk, NULL);
		if (!direction)
			return false;
	}
	cw_guard_judge(decision, sk, flow, direction, cw_read(sk, sk_protocol));
	if (!(decision->flags & CW_SUBJECT_GUARDED))
		return false;
	if (guard)
		cw_guard_keep(guard, flow, decision);
	return decision->verdict == CW_DENIED;
}

/* A multipath connection ends with its first subflow, a socket of the kernel's own in which no state can be kept. */
static __always_inline bool cw_cut_judge_multipath(struct sock *sk, struct sock *first, struct cw_decision *decision)
{
	struct cw_flow *flow = cw_multipath_flow(sk);

	if (!cw_can_be_cut(first))
		return false;
	cw_guard_judge(decision, first, flow, flow || cw_multipath_began(sk) ? CW_EGRESS : CW_INGRESS, IPPROTO_TCP);
	return (decision->flags & CW_SUBJECT_GUARDED) && decision->verdict == CW_DENIED;
}

static __always_inline bool cw_cut_judge_any(struct sock *sk, struct cw_decision *decision)
{
	struct cw_flow *flow = NULL;

	if (!cw_can_be_cut(sk))
		return false;
	if (!cw_is_fresh(sk))
		flow = cw_flow_find(bpf_get_socket_cookie(sk), sk);
	if (flow && !flow->connected)
		flow = NULL;
	return cw_cut_judge(sk, flow, decision);
}

static __always_inline void cw_refused_flow(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct cw_decision decision = {};
	struct cw_cut cut = {};
	struct sock *sk, *first;

	sk = cw_our_socket(task, ctx->file);
	if (!sk)
		return;
	first = cw_first_subflow(sk);
	if (first ? !cw_cut_judge_multipath(sk, first, &decision) : !cw_cut_judge_any(sk, &decision))
		return;
	/* The kernel's own socket is found without it. */
	cut.cookie = first ? 0 : bpf_get_socket_cookie(sk);
	cw_cut_describe(&cut, first ? first : sk, task);
	bpf_seq_write(ctx->meta->seq, &cut, sizeof(cut));
}

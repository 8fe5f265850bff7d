/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What guarded containers may not do with sockets: kinds and options that cannot be judged, and ports of others. */
#pragma once

#include "guard_state.h"
#include "release.h"

enum {
	CW_SOCK_STREAM = 1,
	CW_SOCK_DGRAM = 2,
	CW_SOL_IPV6 = 41,
	CW_SOL_XDP = 283,
	CW_IP_OPTIONS = 4,
	CW_PAGE_BYTES = 4096, /* what a program sees of an option at most; pages are this large, or larger */
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 65536);
	__type(key, struct cw_port_owner_key);
	__type(value, __u64);
} cw_port_owners SEC(".maps");

/* Tells of a refused call. cookie: what is the same for calls that are told as one. */
static __attribute__((noinline)) int cw_call_refused(struct sock *sk, const struct cw_decision *decision, __u64 cookie,
						     __u32 what)
{
	struct cw_refused refused = {.key = {.cookie = cookie, .port = what}};
	struct task_struct *task = cw_current();

	refused.key.protocol = cw_read(sk, sk_protocol);
	refused.key.direction = decision->direction;
	refused.socket_cgroup = cw_cgroup_id(cw_socket_cgroup(sk));
	refused.container = decision->container;
	refused.generation = decision->generation;
	refused.rule = decision->rule;
	refused.net = cw_net(sk);
	refused.pid = cw_read(task, tgid);
	cw_read_name(refused.comm, task);
	if (decision->direction == CW_INGRESS) {
		cw_local_address(refused.local, sk);
		refused.local_port = what;
	}
	/* Of TCP sockets only another sequence number would be told. */
	refused.sequence = bpf_ktime_get_boot_ns() / CW_DENIED_REPORT_NS;
	cw_report_refused(&refused);
	return 0;
}

static __always_inline bool cw_refuses(struct sock *sk, struct cw_decision *decision)
{
	struct cgroup *cgroup = cw_socket_cgroup(sk);

	decision->direction = CW_EGRESS;
	cw_decide_subject(cgroup, cw_cgroup_id(cgroup), decision);
	decision->rule = CW_RULE_SOCKET;
	return decision->flags & CW_SUBJECT_REFUSES_SOCKETS;
}

static __always_inline bool cw_is_usual(__u32 type, __u32 protocol)
{
	if (type == CW_SOCK_STREAM)
		return protocol == IPPROTO_TCP || protocol == CW_IPPROTO_MPTCP;
	return type == CW_SOCK_DGRAM &&
	       (protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6);
}

static __always_inline int cw_create(struct bpf_sock *ctx)
{
	struct cw_decision decision = {};
	struct sock *sk;

	if (!cw_guarding || cw_is_usual(ctx->type, ctx->protocol))
		return 1;
	sk = cw_object(sock, ctx);
	if (!cw_refuses(sk, &decision) || (ctx->type == CW_SOCK_RAW && (decision.flags & CW_SUBJECT_RAW_SOCKETS)))
		return 1;
	cw_call_refused(sk, &decision, decision.container, ctx->type);
	return 0;
}

/* Those that lead packets elsewhere than to their destination, or around the guard. */
static __always_inline bool cw_is_odd_option(int level, int name, int bytes)
{
	if (level == CW_SOL_XDP)
		return true;
	if (level == IPPROTO_IP)
		return name == CW_IP_OPTIONS && bytes > 0;
	if (level != CW_SOL_IPV6)
		return false;
	/* 3: IPV6_2292HOPOPTS, 4: 2292DSTOPTS, 5: 2292RTHDR, 6: 2292PKTOPTIONS, 54: HOPOPTS, 55: RTHDRDSTOPTS, 57: RTHDR,
	 * 59: DSTOPTS. */
	return (name >= 3 && name <= 6) || name == 54 || name == 55 || name == 57 || name == 59;
}

static __always_inline int cw_set_option(struct bpf_sockopt *ctx)
{
	struct cw_decision decision = {};
	struct bpf_sock *socket = ctx->sk;
	struct sock *sk;

	if (socket && cw_is_odd_option(ctx->level, ctx->optname, ctx->optlen)) {
		sk = cw_object(sock, socket);
		if (cw_refuses(sk, &decision)) {
			cw_call_refused(sk, &decision, decision.container, ctx->level << 8 | ctx->optname);
			return 0;
		}
	}
	/* Of a longer one the kernel must be told to take the caller's, or it fails (EFAULT). */
	if (ctx->optlen > CW_PAGE_BYTES)
		ctx->optlen = 0;
	return 1;
}

/* Ports which the kernel chose are nobody's: the next one gets them by chance. */
static __always_inline void cw_bind_asked(struct bpf_sock_addr *ctx)
{
	struct bpf_sock *socket = ctx->sk;
	struct cw_guard *guard;

	if (!cw_guarding || !socket)
		return;
	guard = bpf_sk_storage_get(&cw_guards, socket, NULL, BPF_SK_STORAGE_GET_F_CREATE);
	if (guard)
		guard->bound_port = bpf_ntohs(ctx->user_port);
}

static __always_inline bool cw_is_kept_from(__u64 owner, const struct cw_decision *decision, bool *dead)
{
	__u32 slot = decision->slot;
	void *subjects = bpf_map_lookup_elem(&cw_subjects, &slot);
	struct cw_subject *other = subjects ? bpf_map_lookup_elem(subjects, &owner) : NULL;

	*dead = !other;
	return other && ((other->flags | decision->flags) & CW_SUBJECT_GUARDED);
}

/* 0: the port belongs to another container of the pod. */
static __always_inline int cw_bound(struct bpf_sock *ctx)
{
	struct cw_port_owner_key key = {.port = ctx->src_port};
	struct cw_decision decision = {};
	struct cw_guard *guard;
	struct cgroup *cgroup;
	struct sock *sk;
	bool dead;
	__u64 *owner;

	if (!cw_guarding)
		return 1;
	guard = bpf_sk_storage_get(&cw_guards, ctx, NULL, 0);
	if (!guard || !guard->bound_port || guard->bound_port != key.port)
		return 1;
	sk = cw_object(sock, ctx);
	cgroup = cw_socket_cgroup(sk);
	cw_decide_subject(cgroup, cw_cgroup_id(cgroup), &decision);
	if (!decision.container)
		return 1;
	key.net = cw_net(sk);
	key.protocol = ctx->protocol == IPPROTO_UDP ? IPPROTO_UDP : IPPROTO_TCP;
	owner = bpf_map_lookup_elem(&cw_port_owners, &key);
	if (!owner) {
		if (bpf_map_update_elem(&cw_port_owners, &key, &decision.container, BPF_NOEXIST))
			cw_count(CW_COUNT_PORTS_FULL);
		return 1;
	}
	if (*owner == decision.container)
		return 1;
	if (!cw_is_kept_from(*owner, &decision, &dead)) {
		if (dead)
			*owner = decision.container;
		return 1;
	}
	decision.direction = CW_INGRESS;
	decision.rule = CW_RULE_PORT_TAKEN;
	cw_call_refused(sk, &decision, decision.container, key.port);
	return 0;
}

/* A container that died keeps no port, also while there is no agent. */
static __always_inline void cw_forget(struct cgroup *cgroup)
{
	struct cw_policy_state *state;
	__u32 zero = 0, slot;
	void *subjects;
	__u64 id;

	if (BPF_CORE_READ(cgroup, root, hierarchy_id) != 0)
		return;
	state = bpf_map_lookup_elem(&cw_policy, &zero);
	if (!state || !state->selector)
		return;
	slot = state->selector & 1;
	id = BPF_CORE_READ(cgroup, kn, id);
	subjects = bpf_map_lookup_elem(&cw_subjects, &slot);
	if (subjects)
		bpf_map_delete_elem(subjects, &id);
}

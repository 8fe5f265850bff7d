/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* container -> rule set; address -> identity, or the longest prefix -> class; class, protocol and port -> verdict and rule. */
#pragma once

#include <bpf/bpf_endian.h>

#include "compat.h"
#include "policy_maps.h"

struct cw_decision {
	__u64 container;
	__u64 generation;
	__u64 changes;   /* the verdict holds while cw_policy_state.changes is this */
	__u64 pattern;   /* the name that lifted the verdict, 0: none. Set before: lifts it also when it is not learned any more */
	__u32 rule;
	__u32 flags;     /* enum cw_subject_flag */
	__u32 rule_set;
	__u8 verdict;
	__u8 slot;
	__u8 direction;  /* enum cw_direction */
	__u8 pad;
};

/* Without holes: it is given to a global function, and kernels before 6.3 want all of it written then. */
struct cw_target {
	__u8 address[16] __attribute__((aligned(8)));
	__u16 port; /* that of the destination; the type of ICMP */
	__u8 protocol;
	__u8 pad[5];
};

/* The nearest cgroup above one that is a container: its id, 0: none. Global, so that it is verified once; it takes the address
 * of the cgroup, because global functions take no pointers into the kernel. */
CW_CHECKED_ALONE __u64 cw_find_above(__u64 cgroup, __u32 slot)
{
	void *subjects = bpf_map_lookup_elem(&cw_subjects, &slot);
	__u64 container;
	int level = 0;

	if (!subjects)
		return 0;
	bpf_core_read(&level, sizeof(level), &((struct cgroup *)cgroup)->level);
	for (int i = 0; i < CW_MAX_DEPTH; i++) {
		level--;
		if (level <= cw_attach_level)
			break;
		container = cw_ancestor_at(cgroup, level);
		if (bpf_map_lookup_elem(subjects, &container))
			return container;
	}
	return 0;
}

/* The nearest cgroup, from the socket's own upwards, which is a container. */
static __always_inline struct cw_subject *cw_find_subject(void *subjects, __u32 slot, struct cgroup *cgroup, __u64 own,
							  __u64 *container)
{
	struct cw_subject *subject = bpf_map_lookup_elem(subjects, &own);

	*container = own;
	if (subject)
		return subject;
	*container = cw_find_above((__u64)cw_address(cgroup), slot);
	return *container ? bpf_map_lookup_elem(subjects, container) : NULL;
}

static __always_inline struct cw_port_value *cw_find_port(void *ports, __u32 class_id, const struct cw_target *target)
{
	struct cw_port_key key = {.prefix_length = 56, .class_id = class_id, .protocol = target->protocol};

	key.port[0] = target->port >> 8;
	key.port[1] = target->port & 0xff;
	return bpf_map_lookup_elem(ports, &key);
}

/* clang makes a call of a 16-byte memcmp. */
static __always_inline bool cw_same_address(const __u8 *one, const __u8 *other)
{
	__u64 a[2], b[2];

	__builtin_memcpy(a, one, sizeof(a));
	__builtin_memcpy(b, other, sizeof(b));
	return a[0] == b[0] && a[1] == b[1];
}

static __always_inline bool cw_is_own(const struct cw_decision *decision, const __u8 address[16])
{
	__u32 slot = decision->slot;
	__u64 container = decision->container;
	void *subjects = bpf_map_lookup_elem(&cw_subjects, &slot);
	struct cw_subject *subject = subjects ? bpf_map_lookup_elem(subjects, &container) : NULL;

	return subject && (cw_same_address(subject->own[0], address) || cw_same_address(subject->own[1], address));
}

/* *shared: the class is that of every container with this rule set. */
static __always_inline __u32 *cw_find_class(const struct cw_target *target, const struct cw_decision *decision, bool *shared)
{
	__u32 slot = decision->slot, rules = CW_RULES_OF(decision->rule_set, decision->direction);
	void *addresses = bpf_map_lookup_elem(&cw_addresses, &slot);
	void *identities = bpf_map_lookup_elem(&cw_rule_identities, &slot);
	void *peers = bpf_map_lookup_elem(&cw_rule_peers, &slot);
	struct cw_identity_key known = {.rules = rules};
	struct cw_peer_key peer = {.prefix_length = 160, .rules = rules};
	__u32 *identity, *class_id;

	if (!addresses || !identities || !peers)
		return NULL;
	/* Linux 6.1 takes no key from memory that a global function was given. */
	__builtin_memcpy(peer.address, target->address, sizeof(peer.address));
	identity = bpf_map_lookup_elem(addresses, peer.address);
	if (identity) {
		known.identity = *identity | CW_OWN_POD;
		class_id = bpf_map_lookup_elem(identities, &known);
		*shared = !class_id;
		if (class_id && cw_is_own(decision, peer.address))
			return class_id;
		known.identity = *identity;
		class_id = bpf_map_lookup_elem(identities, &known);
		if (class_id)
			return class_id;
	}
	return bpf_map_lookup_elem(peers, &peer);
}

/* Does a name that the rule set accepts lift the verdict? */
static __always_inline bool cw_lifts(__u32 slot, const struct cw_target *target, const struct cw_port_value *value,
				     __u64 pattern, struct cw_decision *decision)
{
	struct cw_pattern_key key = {.rule_set = decision->rule_set, .pattern = pattern};
	void *patterns = bpf_map_lookup_elem(&cw_rule_patterns, &slot);
	void *ports = bpf_map_lookup_elem(&cw_rule_ports, &slot);
	struct cw_port_value *named;
	__u32 *class_id;

	if (!pattern || !patterns || !ports)
		return false;
	class_id = bpf_map_lookup_elem(patterns, &key);
	if (!class_id)
		return false;
	named = cw_find_port(ports, *class_id, target);
	if (!named || (named->verdict != CW_ALLOWED && value->lift != CW_LIFT_AUDIT))
		return false;
	decision->verdict = value->lifted_rule ? CW_AUDIT : CW_ALLOWED;
	decision->rule = value->lifted_rule ? value->lifted_rule : named->rule;
	decision->pattern = pattern;
	return true;
}

static __always_inline void cw_lift(__u32 slot, const struct cw_target *target, const struct cw_port_value *value,
				    struct cw_decision *decision)
{
	struct cw_learned_key key = {.container = decision->container};
	__u64 before = decision->pattern, now;
	struct cw_learned *learned;

	decision->pattern = 0;
	__builtin_memcpy(key.address, target->address, sizeof(key.address));
	learned = bpf_map_lookup_elem(&cw_learned, &key);
	now = learned ? bpf_ktime_get_boot_ns() : 0;
	for (int i = 0; learned && i < CW_LEARNED_PATTERNS; i++) {
		if (learned->until_ns[i] > now && cw_lifts(slot, target, value, learned->pattern[i], decision))
			return;
	}
	cw_lifts(slot, target, value, before, decision);
}

static __always_inline bool cw_same_key(const struct cw_result_key *one, const struct cw_result_key *other)
{
	return one->address[0] == other->address[0] && one->address[1] == other->address[1] &&
	       one->rules == other->rules && one->port == other->port && one->protocol == other->protocol;
}

/* The key is filled in. */
static __always_inline bool cw_find_result(struct cw_result *result, __u64 changes)
{
	struct cw_result *known = bpf_map_lookup_elem(&cw_results, &result->key);

	if (!known)
		return false;
	result->value = known->value;
	result->changes = READ_ONCE(known->changes);
	/* The key is written before the value: if the value is another's, so is the key. */
	return result->changes == changes && cw_same_key(&known->key, &result->key);
}

/* False: the rule set has a hole there. */
static __always_inline bool cw_find_value(const struct cw_target *target, const struct cw_decision *decision,
					  struct cw_result *result)
{
	struct cw_port_value *value;
	__u32 slot = decision->slot, *class_id;
	bool shared = true;
	void *ports;

	__builtin_memcpy(result->key.address, target->address, sizeof(result->key.address));
	result->key.rules = CW_RULES_OF(decision->rule_set, decision->direction);
	result->key.port = target->port;
	result->key.protocol = target->protocol;
	if (cw_find_result(result, decision->changes))
		return true;
	ports = bpf_map_lookup_elem(&cw_rule_ports, &slot);
	class_id = cw_find_class(target, decision, &shared);
	value = ports && class_id ? cw_find_port(ports, *class_id, target) : NULL;
	if (!value)
		return false;
	result->changes = decision->changes;
	result->value = *value;
	if (shared)
		bpf_map_update_elem(&cw_results, &result->key, result, BPF_ANY);
	return true;
}

/* Global, so that it is verified once and not in each program. */
CW_CHECKED_ALONE int cw_match(const struct cw_target *target, struct cw_decision *decision)
{
	struct cw_result result = {};

	if (!target || !decision)
		return 0;
	if (!cw_find_value(target, decision, &result)) {
		/* A rule set covers every address; a hole in it is an error, and must not let anything through. */
		decision->verdict = CW_DENIED;
		decision->rule = CW_RULE_INCOMPLETE;
		cw_count(CW_COUNT_INCOMPLETE);
		return 0;
	}
	decision->verdict = result.value.verdict;
	decision->rule = result.value.rule;
	if (result.value.lift != CW_LIFT_NONE && (decision->flags & CW_SUBJECT_NAMES))
		cw_lift(decision->slot, target, &result.value, decision);
	else
		decision->pattern = 0;
	return 0;
}

static __always_inline bool cw_is_loopback(const struct cw_target *target)
{
	__u64 high, low;

	__builtin_memcpy(&high, target->address, sizeof(high));
	__builtin_memcpy(&low, target->address + 8, sizeof(low));
	if (high)
		return false;
	return low == bpf_cpu_to_be64(1) ||
	       (low & bpf_cpu_to_be64(0xffffffffff000000ULL)) == bpf_cpu_to_be64(0x0000ffff7f000000ULL);
}

/* A container that nobody knows yet. */
static __always_inline void cw_decide_startup(const struct cw_target *target, struct cw_decision *decision)
{
	struct cw_startup_key key = {.port = target->port, .protocol = target->protocol};
	bool allowed = cw_is_loopback(target);

	decision->pattern = 0;
	decision->rule = CW_RULE_STARTUP;
	if (!allowed && decision->direction == CW_EGRESS) {
		allowed = bpf_map_lookup_elem(&cw_startup_allows, &key);
		__builtin_memcpy(key.address, target->address, sizeof(key.address));
		allowed = allowed || bpf_map_lookup_elem(&cw_startup_allows, &key);
	}
	decision->verdict = allowed ? CW_ALLOWED : CW_DENIED;
}

/* The subjects of the policy in force; NULL: there is none. decision->pattern stays. */
static __always_inline void *cw_in_force(struct cw_decision *decision)
{
	struct cw_policy_state *state;
	__u32 zero = 0, slot;
	__u64 selector;

	decision->container = 0;
	decision->generation = 0;
	decision->changes = 0;
	decision->rule = CW_RULE_NO_POLICY;
	decision->flags = 0;
	decision->rule_set = 0;
	decision->verdict = CW_ALLOWED;
	decision->slot = 0;
	decision->pad = 0;
	state = bpf_map_lookup_elem(&cw_policy, &zero);
	if (!state)
		return NULL;
	/* Before the selector: results must not get the number of what comes after them. */
	decision->changes = READ_ONCE(state->changes);
	selector = READ_ONCE(state->selector);
	if (!selector)
		return NULL;
	decision->generation = selector >> 1;
	slot = selector & 1;
	decision->slot = slot;
	return bpf_map_lookup_elem(&cw_subjects, &slot);
}

/* False: its connections are not judged. */
static __always_inline bool cw_take_subject(const struct cw_subject *subject, struct cw_decision *decision)
{
	decision->rule_set = subject->rule_set;
	decision->flags = subject->flags;
	return subject->rule_set || (subject->flags & CW_SUBJECT_STARTUP);
}

/* Of whom the socket is. False: of nobody whose connections are judged. decision->pattern stays. */
static __always_inline bool cw_decide_subject(struct cgroup *cgroup, __u64 own, struct cw_decision *decision)
{
	void *subjects = cw_in_force(decision);
	struct cw_subject *subject;
	__u32 slot = decision->slot;

	if (!subjects)
		return false;
	subject = cw_find_subject(subjects, slot, cgroup, own, &decision->container);
	if (!subject) {
		decision->container = 0;
		return false;
	}
	return cw_take_subject(subject, decision);
}

static __always_inline void cw_judge(const struct cw_target *target, struct cw_decision *decision)
{
	if (decision->flags & CW_SUBJECT_STARTUP)
		cw_decide_startup(target, decision);
	else
		cw_match(target, decision);
}

/* decision->pattern is an argument, too. */
static __always_inline void cw_decide_again(struct cgroup *cgroup, __u64 own, __u8 direction, const struct cw_target *target,
					    struct cw_decision *decision)
{
	decision->direction = direction;
	if (cw_decide_subject(cgroup, own, decision))
		cw_judge(target, decision);
	else
		decision->pattern = 0;
}

/* And counts. */
static __always_inline void cw_decide(struct cgroup *cgroup, __u64 own, __u8 direction, const struct cw_target *target,
				      struct cw_decision *decision)
{
	cw_decide_again(cgroup, own, direction, target, decision);
	if (decision->verdict == CW_DENIED)
		cw_count(CW_COUNT_DENIED);
	else if (decision->verdict == CW_AUDIT)
		cw_count(CW_COUNT_AUDIT);
}

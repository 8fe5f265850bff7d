/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* container -> rule set -> longest prefix -> class -> protocol and port -> verdict and rule. */
#pragma once

#include "compat.h"
#include "maps.h"

struct cw_decision {
	__u64 container;
	__u64 generation;
	__u32 rule;
	__u8 verdict;
};

struct cw_target {
	__u8 address[16] __attribute__((aligned(8)));
	__u16 port;
	__u8 protocol;
};

/* The nearest cgroup, from the socket's own upwards, which is a container. */
static __always_inline struct cw_subject *cw_find_subject(void *subjects, struct cgroup *cgroup, __u64 own, __u64 *container)
{
	struct cw_subject *subject = bpf_map_lookup_elem(subjects, &own);
	int level;

	*container = own;
	if (subject)
		return subject;
	level = cw_read(cgroup, level);
	for (int i = 0; i < CW_MAX_DEPTH; i++) {
		level--;
		if (level <= cw_attach_level)
			break;
		*container = cw_ancestor_id(cgroup, level);
		subject = bpf_map_lookup_elem(subjects, container);
		if (subject)
			return subject;
	}
	*container = 0;
	return NULL;
}

static __always_inline bool cw_match(__u32 slot, __u32 rule_set, const struct cw_target *target, struct cw_decision *decision)
{
	struct cw_peer_key peer = {.prefix_length = 160, .rule_set = rule_set};
	struct cw_port_key port = {.prefix_length = 56, .protocol = target->protocol};
	struct cw_port_value *value;
	void *peers, *ports;
	__u32 *class_id;

	peers = bpf_map_lookup_elem(&cw_rule_peers, &slot);
	ports = bpf_map_lookup_elem(&cw_rule_ports, &slot);
	if (!peers || !ports)
		return false;
	__builtin_memcpy(peer.address, target->address, sizeof(peer.address));
	class_id = bpf_map_lookup_elem(peers, &peer);
	if (!class_id)
		return false;
	port.class_id = *class_id;
	port.port[0] = target->port >> 8;
	port.port[1] = target->port & 0xff;
	value = bpf_map_lookup_elem(ports, &port);
	if (!value)
		return false;
	decision->verdict = value->verdict;
	decision->rule = value->rule;
	return true;
}

static __always_inline void cw_decide(struct cgroup *cgroup, __u64 own, const struct cw_target *target,
				      struct cw_decision *decision)
{
	struct cw_policy_state *state;
	struct cw_subject *subject;
	__u32 zero = 0, slot;
	void *subjects;
	__u64 selector;

	decision->container = 0;
	decision->generation = 0;
	decision->rule = CW_RULE_NO_POLICY;
	decision->verdict = CW_ALLOWED;
	state = bpf_map_lookup_elem(&cw_policy, &zero);
	selector = state ? READ_ONCE(state->selector) : 0;
	if (!selector)
		return;
	decision->generation = selector >> 1;
	slot = selector & 1;
	subjects = bpf_map_lookup_elem(&cw_subjects, &slot);
	if (!subjects)
		return;
	subject = cw_find_subject(subjects, cgroup, own, &decision->container);
	if (!subject || !subject->rule_set)
		return;
	if (!cw_match(slot, subject->rule_set, target, decision)) {
		/* A rule set covers every address; a hole in it is an error, and must not let anything through. */
		decision->verdict = CW_DENIED;
		decision->rule = CW_RULE_INCOMPLETE;
		cw_count(CW_COUNT_INCOMPLETE);
	}
	if (decision->verdict == CW_DENIED)
		cw_count(CW_COUNT_DENIED);
	else if (decision->verdict == CW_AUDIT)
		cw_count(CW_COUNT_AUDIT);
}

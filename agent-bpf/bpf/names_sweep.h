/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the agent does to the names that containers learned, in test runs of programs that are attached nowhere. Not programs of
 * SEC("syscall"): those may use only preallocated maps before Linux 6.1 (02cc5aa29e8c).
 */
#pragma once

#include "names.h"

struct bpf_map;

static __always_inline bool cw_learned_is_over(const struct cw_learned_key *key, const struct cw_learned *learned, __u64 now)
{
	for (int i = 0; i < CW_LEARNED_PATTERNS; i++) {
		if (READ_ONCE(learned->until_ns[i]) > now)
			return !bpf_map_lookup_elem(&cw_learners, &key->container);
	}
	return true;
}

/* False: an answer came in between. */
static __always_inline bool cw_learned_claim(const struct cw_learned_key *key, struct cw_learned *learned, __u64 now)
{
	__u64 before[CW_LEARNED_PATTERNS];
	bool claimed = true;

	for (int i = 0; i < CW_LEARNED_PATTERNS; i++)
		before[i] = __sync_lock_test_and_set(&learned->pattern[i], CW_PATTERN_GONE);
	claimed = cw_learned_is_over(key, learned, now);
	for (int i = 0; i < CW_LEARNED_PATTERNS && !claimed; i++)
		__sync_lock_test_and_set(&learned->pattern[i], before[i]);
	return claimed;
}

static long cw_learned_sweep(struct bpf_map *map, struct cw_learned_key *key, struct cw_learned *learned, __u64 *now)
{
	struct cw_learned_key gone = *key;
	struct cw_learner *learner;

	if (!cw_learned_is_over(key, learned, *now) || !cw_learned_claim(key, learned, *now))
		return 0;
	learner = bpf_map_lookup_elem(&cw_learners, &gone.container);
	if (!bpf_map_delete_elem(&cw_learned, &gone) && learner)
		__sync_fetch_and_add(&learner->addresses, -1);
	return 0;
}

static __always_inline void cw_names_sweep_all(void)
{
	__u64 now = bpf_ktime_get_boot_ns();

	bpf_for_each_map_elem(&cw_learned, cw_learned_sweep, &now, 0);
}

/* False: no room. */
static __always_inline bool cw_names_taught(struct __sk_buff *skb)
{
	const __u32 at = offsetof(struct cw_taught, container) - sizeof(((struct cw_taught *)0)->frame);
	const __u32 time = at + sizeof(__u64), message = time + sizeof(__u64);
	struct cw_decision in_force = {};
	void *subjects = cw_in_force(&in_force);
	struct cw_subject *subject;
	struct cw_lesson *lesson;
	__u64 container, time_ns;
	bool room;

	if (!subjects || skb->len <= message || bpf_skb_load_bytes(skb, at, &container, sizeof(container)) ||
	    bpf_skb_load_bytes(skb, time, &time_ns, sizeof(time_ns)))
		return true;
	subject = bpf_map_lookup_elem(subjects, &container);
	lesson = cw_lesson_begin(CW_LESSON_AGENT);
	if (!lesson)
		return false;
	lesson->slot = in_force.slot;
	lesson->container = container;
	lesson->now_ns = time_ns;
	lesson->answer.key.rule_set = subject ? subject->rule_set : 0;
	room = cw_lesson_read(skb, lesson, message, skb->len - message);
	cw_lesson_end(lesson);
	return room;
}

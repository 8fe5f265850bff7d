/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What containers learn of addresses by looking names up, for rules with domain names. It outlives generations; an entry ends
 * by its time alone, and then the sweep takes it away.
 */
#pragma once

#include "dns_answer.h"
#include "policy.h"

enum {
	/* Addresses of one container, so that neighbours do not take each other's room. Full: its answers are dropped, and it
	 * asks again. */
	CW_LEARNED_QUOTA = 1024,
	CW_LEARNED_ATTEMPTS = 4, /* at an entry that another CPU changes, too */
};
#define CW_SECOND_NS 1000000000ULL
/* In the place of a pattern: the entry is being taken away. */
#define CW_PATTERN_GONE (~0ULL)

/* Full: the container learns nothing, and the agent says so. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, __u64);
	__type(value, struct cw_learner);
} cw_learners SEC(".maps");

/* Scratch: an answer is larger than a program's stack. */
struct cw_lesson {
	__u32 busy; /* 1: somebody works with it */
	__u32 index; /* of cw_lessons */
	__u32 slot;
	__u32 pad;
	__u64 container;
	__u64 pattern;
	__u64 now_ns; /* when the answer came */
	__u32 payload; /* offset in the packet; this and what follows: of a TCP segment */
	__u32 length;
	__u32 sequence;
	__u32 next; /* sequence number at which the next message begins */
	struct cw_answer answer;
};

enum { CW_LESSON_PACKET, CW_LESSON_AGENT, CW_LESSONS };

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, CW_LESSONS);
	__type(key, __u32);
	__type(value, struct cw_lesson);
} cw_lessons SEC(".maps");

/* NULL: this CPU was interrupted while it works with it, which only kernels that preempt everything do. */
static __always_inline struct cw_lesson *cw_lesson_begin(__u32 index)
{
	struct cw_lesson *lesson = bpf_map_lookup_elem(&cw_lessons, &index);

	if (!lesson || __sync_lock_test_and_set(&lesson->busy, 1))
		return NULL;
	lesson->index = index;
	return lesson;
}

static __always_inline void cw_lesson_end(struct cw_lesson *lesson)
{
	__sync_lock_test_and_set(&lesson->busy, 0);
}

/* The sweep may claim the entry between the look at it and the write. It looks at the time again after it has claimed, as
 * this looks at the pattern again after it has written: one of both sees the other. */
static __always_inline bool cw_learned_renew(struct cw_learned *learned, int i, __u64 pattern, __u64 until)
{
	if (until > READ_ONCE(learned->until_ns[i]))
		__sync_lock_test_and_set(&learned->until_ns[i], until);
	return READ_ONCE(learned->pattern[i]) == pattern;
}

/* False: somebody else was there at the same time. */
static __always_inline bool cw_learned_try(struct cw_learned *learned, __u64 pattern, __u64 until)
{
	__u64 earliest = ~0ULL, before = 0;

	for (int i = 0; i < CW_LEARNED_PATTERNS; i++) {
		if (READ_ONCE(learned->pattern[i]) == pattern)
			return cw_learned_renew(learned, i, pattern, until);
		if (READ_ONCE(learned->until_ns[i]) < earliest)
			earliest = READ_ONCE(learned->until_ns[i]);
	}
	for (int i = 0; i < CW_LEARNED_PATTERNS; i++) {
		if (READ_ONCE(learned->until_ns[i]) != earliest)
			continue;
		before = READ_ONCE(learned->pattern[i]);
		if (before == CW_PATTERN_GONE || __sync_val_compare_and_swap(&learned->pattern[i], before, pattern) != before)
			return false;
		__sync_lock_test_and_set(&learned->until_ns[i], until);
		return READ_ONCE(learned->pattern[i]) == pattern;
	}
	return false;
}

/* Global, as all bodies of loops (dns_answer.h). */
CW_CHECKED_ALONE int cw_learned_put(struct cw_learned *learned, __u64 pattern, __u64 until)
{
	if (!learned)
		return 0;
	for (int i = 0; i < CW_LEARNED_ATTEMPTS; i++) {
		if (cw_learned_try(learned, pattern, until))
			return 1;
	}
	return 0;
}

/* False: there is an entry by now, or no room. */
static __always_inline bool cw_learned_insert(const struct cw_learned_key *key, __u64 pattern, __u64 until)
{
	struct cw_learned fresh = {.pattern = {pattern}, .until_ns = {until}};
	struct cw_learner *learner = bpf_map_lookup_elem(&cw_learners, &key->container);

	if (!learner)
		return false;
	if (__sync_fetch_and_add(&learner->addresses, 1) < CW_LEARNED_QUOTA &&
	    !bpf_map_update_elem(&cw_learned, key, &fresh, BPF_NOEXIST))
		return true;
	__sync_fetch_and_add(&learner->addresses, -1);
	return false;
}

/* One address of the answer. False: no room. */
CW_CHECKED_ALONE int cw_lesson_keep(struct cw_lesson *lesson, __u32 i)
{
	struct cw_answer_address *address;
	struct cw_learned_key key = {};
	struct cw_learned *learned;
	__u64 until;

	if (!lesson)
		return 0;
	address = &lesson->answer.addresses[i & (CW_ANSWER_ADDRESSES - 1)];
	key.container = lesson->container;
	__builtin_memcpy(key.address, address->address, sizeof(key.address));
	until = lesson->now_ns + address->seconds * CW_SECOND_NS;
	learned = bpf_map_lookup_elem(&cw_learned, &key);
	if (!learned) {
		if (cw_learned_insert(&key, lesson->pattern, until))
			return 1;
		learned = bpf_map_lookup_elem(&cw_learned, &key);
	}
	return learned && cw_learned_put(learned, lesson->pattern, until);
}

/* Learns from the message in lesson->answer. False: it has something to teach, and there is no room. */
CW_CHECKED_ALONE int cw_lesson_learn(struct cw_lesson *lesson)
{
	struct cw_lesson *same;
	__u64 *pattern;
	void *names;
	__u32 slot, index;

	if (!lesson || !cw_answer_question(&lesson->answer))
		return 1;
	slot = lesson->slot;
	index = lesson->index;
	names = bpf_map_lookup_elem(&cw_rule_names, &slot);
	/* Linux 6.1 takes no key from memory that a global function was given. */
	same = bpf_map_lookup_elem(&cw_lessons, &index);
	pattern = names && same ? bpf_map_lookup_elem(names, &same->answer.key) : NULL;
	if (!pattern)
		return 1;
	lesson->pattern = *pattern;
	if (!cw_answer_addresses(&lesson->answer))
		return 1;
	for (__u32 i = 0; i < CW_ANSWER_ADDRESSES; i++) {
		if (i >= lesson->answer.found)
			break;
		if (!cw_lesson_keep(lesson, i)) {
			cw_count(CW_COUNT_NAMES_FULL);
			return 0;
		}
	}
	if (lesson->answer.cut)
		cw_count(CW_COUNT_NAMES_PARTIAL);
	return 1;
}

/* Reads a message out of the packet and learns from it. length: from 1. */
CW_CHECKED_ALONE int cw_lesson_read(struct __sk_buff *skb, struct cw_lesson *lesson, __u32 offset, __u32 length)
{
	if (!lesson)
		return 1;
	if (length > CW_ANSWER_MOST) {
		cw_count(CW_COUNT_NAMES_PARTIAL);
		return 1;
	}
	/* As in cw_capture_as. */
	asm volatile("" : "+r"(length));
	length = ((length - 1) & CW_ANSWER_MASK) + 1;
	lesson->answer.length = length;
	if (bpf_skb_load_bytes(skb, offset, lesson->answer.message, length))
		return 1;
	return cw_lesson_learn(lesson);
}

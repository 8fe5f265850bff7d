/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Run by the agent: what the policy in force says of a connection that nobody makes. */
#pragma once

#include "policy.h"

/* Written by the agent, which then reads the answer. */
struct cw_question cw_asked;

static __always_inline void cw_answer(struct cw_question *question)
{
	struct cw_target target = {.port = question->port, .protocol = question->protocol};
	struct cw_decision decision = {.direction = question->direction};
	void *subjects = cw_in_force(&decision);
	__u64 container = question->container;
	struct cw_subject *subject = subjects ? bpf_map_lookup_elem(subjects, &container) : NULL;

	__builtin_memcpy(target.address, question->address, sizeof(target.address));
	if (subject) {
		decision.container = container;
		if (cw_take_subject(subject, &decision))
			cw_judge(&target, &decision);
	}
	question->generation = decision.generation;
	question->rule = decision.rule;
	question->verdict = decision.verdict;
	question->known = subject != NULL;
}

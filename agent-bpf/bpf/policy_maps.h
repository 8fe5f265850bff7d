/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps that hold the policy. All but the results are written by the agent. */
#pragma once

#include "maps.h"

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cw_policy_state);
} cw_policy SEC(".maps");

/* The agent makes the maps of a generation at their limits and fills them, so that amendments fit; full: the generation or
 * the amendment is refused. Sizes, not types: clang 14 writes the types of inner maps as forward declarations. */
#define CW_INNER_MAP(name, kind, key_bytes, value_bytes)                                                                       \
	struct name {                                                                                                          \
		__uint(type, kind);                                                                                            \
		__uint(map_flags, BPF_F_NO_PREALLOC);                                                                          \
		__uint(max_entries, 1);                                                                                        \
		__uint(key_size, key_bytes);                                                                                   \
		__uint(value_size, value_bytes);                                                                               \
	}

CW_INNER_MAP(cw_subjects_map, BPF_MAP_TYPE_HASH, sizeof(__u64), sizeof(struct cw_subject));
CW_INNER_MAP(cw_addresses_map, BPF_MAP_TYPE_HASH, 16, sizeof(__u32));                                      /* -> identity */
CW_INNER_MAP(cw_rule_identities_map, BPF_MAP_TYPE_HASH, sizeof(struct cw_identity_key), sizeof(__u32));    /* -> class */
CW_INNER_MAP(cw_rule_peers_map, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct cw_peer_key), sizeof(__u32));         /* -> class */
CW_INNER_MAP(cw_rule_ports_map, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct cw_port_key), sizeof(struct cw_port_value));
CW_INNER_MAP(cw_rule_names_map, BPF_MAP_TYPE_LPM_TRIE, sizeof(struct cw_name_key), sizeof(__u64));         /* -> pattern */
CW_INNER_MAP(cw_rule_patterns_map, BPF_MAP_TYPE_HASH, sizeof(struct cw_pattern_key), sizeof(__u32));       /* -> class */

/* Of each two, one is in force; the other is filled and then put in force by cw_policy. */
#define CW_TWO_MAPS(name, inner)                                                                                               \
	struct {                                                                                                               \
		__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);                                                                      \
		__uint(max_entries, 2);                                                                                        \
		__type(key, __u32);                                                                                            \
		__array(values, struct inner);                                                                                 \
	} name SEC(".maps")

CW_TWO_MAPS(cw_subjects, cw_subjects_map);
CW_TWO_MAPS(cw_addresses, cw_addresses_map);
CW_TWO_MAPS(cw_rule_identities, cw_rule_identities_map);
CW_TWO_MAPS(cw_rule_peers, cw_rule_peers_map);
CW_TWO_MAPS(cw_rule_ports, cw_rule_ports_map);
CW_TWO_MAPS(cw_rule_names, cw_rule_names_map);
CW_TWO_MAPS(cw_rule_patterns, cw_rule_patterns_map);

/* What containers learned by looking names up. Full: the answer is not learned. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1024);
	__type(key, struct cw_learned_key);
	__type(value, struct cw_learned);
} cw_learned SEC(".maps");

/* Full: the agent refuses the list. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 256);
	__type(key, struct cw_startup_key);
	__type(value, __u8);
} cw_startup_allows SEC(".maps");

struct cw_result_key {
	__u64 address[2];
	__u32 rules; /* CW_RULES_OF */
	__u16 port;
	__u8 protocol;
	__u8 pad;
};

struct cw_result {
	struct cw_result_key key; /* again, because an element can be taken for another key while it is read */
	struct cw_port_value value;
	__u32 pad;
	__u64 changes; /* of cw_policy_state, when it was looked up */
};

/* What look-ups in the tries gave, most of what is asked again. Full: the least recently used one goes. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1024);
	__type(key, struct cw_result_key);
	__type(value, struct cw_result);
} cw_results SEC(".maps");

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The contract between the kernel programs and the agent: what leaves the kernel, and the keys and values of the maps
 * which the agent writes. Integers are in host byte order, addresses in network byte order, IPv4 as ::ffff:a.b.c.d.
 * Padding is explicit and zero.
 */
#pragma once

#ifndef __bpf__
#include <linux/types.h>
#ifndef __cplusplus
#include <assert.h>
#endif
#endif

#ifdef __bpf__
#define CW_ASSERT(condition, text) _Static_assert(condition, text)
#else
#define CW_ASSERT(condition, text) static_assert(condition, text)
#endif

enum {
	CW_COMM_BYTES = 16,  /* TASK_COMM_LEN */
	CW_PATH_BYTES = 512, /* kind nests runtimes: 300 bytes were seen; longer ones are cut and re-read from the tree */
};

enum cw_direction { CW_EGRESS = 1, CW_INGRESS = 2 };

/* Numbers of cellwall.v1.Verdict, End and FlowFlag. */
enum cw_verdict { CW_ALLOWED = 1, CW_DENIED = 2, CW_AUDIT = 3 };

enum cw_end {
	CW_END_OPEN = 0,
	CW_END_CLOSED = 1,
	CW_END_DENIED = 2,
	CW_END_FAILED = 3, /* never established */
	CW_END_RESET = 4,
	CW_END_IDLE = 5,
	CW_END_LISTENING = 6, /* of the iterator only: no flow, but a socket that waits for some */
};

enum cw_failure {
	CW_FAILURE_REFUSED = 1,
	CW_FAILURE_TIMED_OUT = 2,
	CW_FAILURE_UNREACHABLE = 3,
	CW_FAILURE_GIVEN_UP = 4,
};

enum cw_flag {
	CW_FLAG_PARTIAL = 1,   /* no room for the flow's state: start, rule and some counters are missing */
	CW_FLAG_UNNAMED = 2,   /* set by the agent */
	CW_FLAG_UNTRACKED = 4, /* set by the agent */
	CW_FLAG_OLDER = 8,     /* the socket was connected before the programs were there */
};

enum cw_rule {
	CW_RULE_NO_POLICY = 0,
	CW_RULE_DEFAULT_ALLOW = 1,
	CW_RULE_INCOMPLETE = 2,
	CW_RULE_STARTUP = 3,
	CW_RULE_SOCKET = 4,
	CW_RULE_PORT_TAKEN = 5,
	CW_RULE_FIRST_USER = 16,
};

#define CW_UNKNOWN_BYTES (~0ULL)

/* One connection or conversation that ended or was refused. All events have the same size, so that the position in the
 * ring gives the event's index. */
struct cw_event {
	__u64 end_ns;         /* CLOCK_BOOTTIME */
	__u64 start_ns;       /* CLOCK_BOOTTIME, 0: unknown */
	__u64 socket_cgroup;  /* cgroup v2 id of the cgroup that the socket belongs to */
	__u64 container;      /* cgroup v2 id of the container above it, 0: the policy maps do not know one */
	__u64 cookie;
	__u64 sent_bytes;     /* CW_UNKNOWN_BYTES: unknown */
	__u64 received_bytes; /* CW_UNKNOWN_BYTES: unknown */
	__u64 generation;     /* of the policy that gave the verdict */
	__u8 local[16];
	__u8 remote[16];      /* egress: as the container asked for it */
	__u32 sent_packets;   /* TCP: segments; unconnected UDP: datagrams, also refused ones; 0: unknown */
	__u32 received_packets;
	__u32 rtt_us;         /* smoothed, 0: unknown */
	__u32 retransmits;
	__u32 rule;
	__u32 pid;            /* thread group id of the caller at the start of the flow, 0: unknown */
	__u16 local_port;     /* 0: unknown */
	__u16 remote_port;
	__u8 protocol;        /* IP protocol number */
	__u8 direction;       /* enum cw_direction */
	__u8 verdict;         /* enum cw_verdict */
	__u8 end;             /* enum cw_end */
	__u8 flags;           /* enum cw_flag */
	__u8 failure;         /* enum cw_failure, 0: did not fail, or the reason is not known */
	__u8 unsent;          /* 1: the socket went while payload waited to be sent, so the connection outlived it */
	__u8 pad;
	__u32 net;            /* network namespace: its inode number, 0: unknown */
	char comm[CW_COMM_BYTES];
};
CW_ASSERT(sizeof(struct cw_event) == 152, "struct cw_event changed its size");

/* A payload that the agent takes apart. Followed by `bytes` bytes, and then by whatever fills the record. */
struct cw_capture {
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u64 cookie;  /* 0: came to a listening socket, the connection has none yet */
	__u64 socket_cgroup;
	__u8 peer[16]; /* of names and UDP: as the container asked for it */
	__u16 peer_port;
	__u16 local_port;
	__u32 length; /* of the payload */
	__u16 bytes;  /* as much of it as is here */
	__u8 kind;    /* enum cw_capture_kind */
	__u8 protocol;
	__u8 outgoing; /* 1: the container sent it */
	__u8 began;    /* 1: the container began the flow */
	__u8 loopback; /* 1: came over loopback; this and net: of names only */
	__u8 pad;
	__u32 net;     /* network namespace: its inode number */
	__u32 pad2;
};
CW_ASSERT(sizeof(struct cw_capture) == 64, "struct cw_capture changed its size");

enum cw_capture_kind { CW_CAPTURE_NAMES = 1, CW_CAPTURE_PAYLOAD = 2 };

enum {
	CW_CAPTURE_SHORT = 256, /* sizes of records without their head */
	CW_CAPTURE_MIDDLE = 1024,
	CW_CAPTURE_LONG = 4096,
};

/* Birth or death of a cgroup below the attach point. */
struct cw_lifecycle {
	__u64 time_ns; /* CLOCK_BOOTTIME */
	__u64 cgroup;
	__u8 born; /* 1: made, 0: removed */
	__u8 pad[7];
	char path[CW_PATH_BYTES]; /* from the root of the cgroup v2 hierarchy, NUL-terminated */
};
CW_ASSERT(sizeof(struct cw_lifecycle) == 24 + CW_PATH_BYTES, "struct cw_lifecycle changed its size");

/* Index of the per-CPU array of counters. */
enum cw_counter {
	CW_COUNT_RING_FULL,       /* not put into the ring: lost */
	CW_COUNT_LIFECYCLE_FULL,  /* births and deaths not reported; the agent re-reads the tree */
	CW_COUNT_STATE_FULL,      /* flows judged and reported, but partial */
	CW_COUNT_PEERS_FULL,      /* UDP conversations judged, but not recorded: lost */
	CW_COUNT_DENIED,          /* refused connects and datagrams */
	CW_COUNT_AUDIT,           /* let through, but would have been refused */
	CW_COUNT_INCOMPLETE,      /* refused because the rule set had no entry for the peer */
	CW_COUNT_CAPTURES_FULL,   /* payloads not captured: flows without a name or a protocol */
	CW_COUNT_NAMES_FULL,      /* answers of name servers dropped, no room for what they teach: they are asked for again */
	CW_COUNT_NAMES_PARTIAL,   /* not learned, or in part: over TCP in several segments, or too long */
	CW_COUNT_NAMES_UNTRUSTED, /* not learned: not of a resolver, or not in the container's network */
	CW_COUNT_PORTS_FULL,      /* ports of containers that nobody keeps for them */
	CW_COUNT_WALL,            /* packets refused at the node's end of a pod's veth */
	CW_COUNT_MAX,
};

/* Policy maps. There are two of each, used in turn; the selector says which ones are in force. One word, so that no program
 * sees the slot of one generation with the number of another. */
struct cw_policy_state {
	__u64 selector; /* generation << 1 | slot; 0: none yet, nothing is looked up */
	__u64 changes;  /* grows with the selector and after every change of the maps that are in force: results that were kept
			 * with another number are looked up again */
};

enum cw_subject_flag {
	CW_SUBJECT_GUARDED = 1,         /* packets are judged, too: the container is a subject of a policy */
	CW_SUBJECT_REFUSES_SOCKETS = 2, /* of kinds that cannot be judged by their address */
	CW_SUBJECT_RAW_SOCKETS = 4,     /* raw ones are left out of that */
	CW_SUBJECT_NAMES = 8,           /* its rule set has names */
	CW_SUBJECT_STARTUP = 16,        /* not known yet: everything is refused but what cw_startup_allows says */
	CW_SUBJECT_RESOLVER = 32,       /* is a name server that others learn from */
};

/* cgroup id -> rule set. Every container has an entry, also one without a policy: rule_set 0. */
struct cw_subject {
	__u32 rule_set;
	__u32 flags; /* enum cw_subject_flag */
	__u8 own[2][16]; /* addresses of its pod; zero: there is none, or none that is known */
};
CW_ASSERT(sizeof(struct cw_subject) == 40, "struct cw_subject changed its size");

/* Rule sets are looked up by direction: rule_set << 1 | (direction == CW_INGRESS). */
#define CW_RULES_OF(rule_set, direction) ((rule_set) << 1 | ((direction) == CW_INGRESS))

/* Hash: address (16 bytes) -> identity (__u32). */

/* Hash: -> class (__u32). */
struct cw_identity_key {
	__u32 rules; /* CW_RULES_OF */
	__u32 identity; /* with CW_OWN_POD: of addresses of the container's own pod, where that makes a difference */
};
#define CW_OWN_POD 0x80000000U

/* Longest prefix trie -> class: prefix_length counts bits after itself, 32 for the rules and 0 to 128 of the address. */
struct cw_peer_key {
	__u32 prefix_length;
	__u32 rules; /* CW_RULES_OF; any byte order: always matched in full */
	__u8 address[16];
};
CW_ASSERT(sizeof(struct cw_peer_key) == 24, "struct cw_peer_key changed its size");

/* Longest prefix trie over class (32), protocol (8) and port (16): 32, 40 or 41 to 56 bits. */
struct cw_port_key {
	__u32 prefix_length;
	__u32 class_id;
	__u8 protocol;
	__u8 port[2]; /* network byte order */
	__u8 pad;
};
CW_ASSERT(sizeof(struct cw_port_key) == 12, "struct cw_port_key changed its size");

enum cw_lift { CW_LIFT_NONE = 0, CW_LIFT_ENFORCED = 1, CW_LIFT_AUDIT = 2 }; /* as cellwall.v1.Lift */

struct cw_port_value {
	__u32 rule;
	__u32 lifted_rule; /* when a name lifts the verdict: refuses in audit mode also then; 0: nothing does */
	__u8 verdict;      /* enum cw_verdict */
	__u8 lift;         /* enum cw_lift */
	__u8 pad[2];
};

/* Longest prefix trie -> pattern (__u64): names of a rule set, from the last byte to the first, so that a wildcard is a prefix:
 * "*.example.com" is "moc.elpmaxe." and "example.com" is "moc.elpmaxe" and a zero byte. */
enum { CW_NAME_BYTES = 248 };
struct cw_name_key {
	__u32 prefix_length; /* in bits: 32 for the rule set, then 8 for each byte */
	__u32 rule_set;
	__u8 name[CW_NAME_BYTES];
};
CW_ASSERT(sizeof(struct cw_name_key) == 256, "struct cw_name_key is larger than a trie's key may be");

/* Hash: -> class (__u32). A pattern is a name that some rule set has, numbered for good by its text. */
struct cw_pattern_key {
	__u32 rule_set;
	__u32 pad;
	__u64 pattern;
};

/* Hash: what a container learned by looking names up. Not part of a generation. */
struct cw_learned_key {
	__u64 container; /* cgroup id */
	__u8 address[16];
};

enum { CW_LEARNED_PATTERNS = 4 }; /* of one address; a further one takes the place of what ends first */
struct cw_learned {
	__u64 pattern[CW_LEARNED_PATTERNS]; /* 0: free */
	__u64 until_ns[CW_LEARNED_PATTERNS]; /* CLOCK_BOOTTIME, the time to live and the grace */
};

/* Hash: what a container may reach that is not known yet. Looked up with the address and without it. */
struct cw_startup_key {
	__u8 address[16]; /* all zero: any */
	__u16 port;
	__u8 protocol;
	__u8 pad;
};
CW_ASSERT(sizeof(struct cw_startup_key) == 20, "struct cw_startup_key changed its size");

/* Hash: container (cgroup id, __u64) -> what is known of it as one that learns. */
struct cw_learner {
	__u32 net;       /* its network namespace: the inode number, 0: unknown, nothing is learned */
	__u32 addresses; /* how many of cw_learned are its own */
};

/* Hash: -> 1 (__u8). A name server that containers may learn from. */
struct cw_resolver_key {
	__u32 net; /* network namespace: inode number, also over loopback there; 0: all, never over loopback */
	__u8 address[16];
};
CW_ASSERT(sizeof(struct cw_resolver_key) == 20, "struct cw_resolver_key changed its size");

/* Argument of cw_names_teach: what the agent has of a container's answers. Behind it, the message. */
struct cw_taught {
	__u8 frame[14]; /* test runs take away an Ethernet header */
	__u8 pad[2];
	__u64 container;
	__u64 time_ns; /* when the answer came, CLOCK_BOOTTIME */
};

/* Hash: port of a network namespace -> cgroup id (__u64) of the container that it belongs to. */
struct cw_port_owner_key {
	__u32 net;
	__u16 port;
	__u8 protocol;
	__u8 pad;
};

/* An open connection which the policy refuses. As the socket has it: not what the container asked for. */
struct cw_cut {
	__u64 cookie; /* 0: not known */
	__u8 local[16];
	__u8 remote[16];
	__u32 net; /* network namespace: its inode number */
	__u32 pid; /* of a process that holds it */
	__u16 local_port;
	__u16 remote_port;
	__u8 protocol;
	__u8 v6; /* 1: the socket is of AF_INET6 */
	__u8 pad[2];
};
CW_ASSERT(sizeof(struct cw_cut) == 56, "struct cw_cut changed its size");
/* Hash: number of a device on the node -> the containers of its pod, where all of them are guarded. */
enum { CW_WALL_CONTAINERS = 16 }; /* a pod with more is left out: packets without a socket pass there */
struct cw_wall_pod {
	__u32 count;
	__u32 pad;
	__u64 container[CW_WALL_CONTAINERS]; /* cgroup ids */
};

/* Argument of cw_ask; what is below `known` is the answer. */
struct cw_question {
	__u64 container; /* cgroup id */
	__u8 address[16];
	__u16 port; /* of the destination; the type of ICMP */
	__u8 protocol;
	__u8 direction; /* enum cw_direction */
	__u8 known;     /* 1: the container is among those of the policy in force */
	__u8 verdict;   /* enum cw_verdict */
	__u8 pad[2];
	__u32 rule;
	__u32 pad2;
	__u64 generation;
};
CW_ASSERT(sizeof(struct cw_question) == 48, "struct cw_question changed its size");

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The structs and fields of the kernel that the programs read, and no more. The loader finds their offsets in the running
 * kernel's BTF, so order and size here mean nothing.
 */
#pragma once

#include <linux/types.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct kernfs_node {
	__u64 id; /* cgroup id; u64 since Linux 5.5 (67c0496e87d1) */
};

struct cgroup_root {
	int hierarchy_id; /* 0: cgroup v2 */
};

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup_root *root;
	struct cgroup *ancestors[0]; /* since Linux 6.1 (7f203bc89eb6) */
};

/* Before 6.1. */
struct cgroup___ids {
	__u64 ancestor_ids[0];
};

struct sock_cgroup_data {
	struct cgroup *cgroup; /* always the v2 one since Linux 5.15 (8520e224f547) */
};

struct ns_common {
	unsigned int inum;
};

struct netns_ipv4 {
	__u8 sysctl_tcp_syn_retries;
};

struct net {
	struct ns_common ns;
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	unsigned short skc_family;
	unsigned char skc_state;
	unsigned long skc_flags;
	int skc_incoming_cpu; /* of the last segment, -1: none */
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	possible_net_t skc_net;
	atomic64_t skc_cookie;
};

struct sock {
	struct sock_common __sk_common;
	struct {
		int len;
	} sk_backlog; /* what arrived while a caller had the socket locked */
	__u8 sk_userlocks : 4;
	__u8 sk_kern_sock : 1;
	__u8 sk_shutdown;
	__u16 sk_type;
	__u16 sk_protocol;
	int sk_err_soft;
	struct sock_cgroup_data sk_cgrp_data;
};

struct inet_sock {
	__be16 inet_sport;
};

struct inet_connection_sock {
	__u8 icsk_retransmits;
	__u8 icsk_syn_retries; /* 0: as the namespace says */
	__u32 icsk_user_timeout;
};

struct tcp_sock {
	__u64 bytes_received;
	__u64 bytes_acked;
	__u64 bytes_sent; /* payload, also what was sent again; since Linux 4.19 (ba113c3aa79a) */
	__u64 bytes_retrans;
	__u32 write_seq;
	__u32 snd_una;
	__u32 snd_nxt;
	__u32 segs_in;
	__u32 segs_out;
	__u32 srtt_us; /* eight times the smoothed round trip */
	__u32 total_retrans;
	bool is_mptcp; /* since Linux 5.6 (2303f994b3e1) */
};

/* A multipath connection. Its subflows are tcp_socks of the kernel's own. */
struct mptcp_sock {
	struct sock *first;
	__u64 bytes_sent; /* this and bytes_received: since Linux 6.5 (38967f424b5b) */
	__u64 bytes_received;
};

struct socket {
	struct sock *sk;
};

struct file;

struct css_set {
	struct cgroup *dfl_cgrp;
};

struct task_struct {
	unsigned int flags;
	int tgid;
	struct task_struct *group_leader;
	struct css_set *cgroups;
	char comm[16];
};

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
};

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
};

#pragma clang attribute pop

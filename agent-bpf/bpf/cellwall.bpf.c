// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* The programs. Each unpacks its context and calls one function, which the siblings share. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10

#include "ask.h"
#include "capture.h"
#include "connect.h"
#include "cut.h"
#include "datagram.h"
#include "failure.h"
#include "guard.h"
#include "guard_sockets.h"
#include "lifecycle.h"
#include "names_guard.h"
#include "names_sweep.h"
#include "open_flows.h"
#include "release.h"
#include "sweep.h"
#include "wall.h"

SEC("cgroup/connect4")
int cw_connect4(struct bpf_sock_addr *ctx)
{
	struct cw_target target;

	cw_target_v4(&target, ctx->user_ip4, ctx->user_port, ctx->protocol);
	return cw_is_flow_protocol(target.protocol) ? cw_connect(ctx, &target) : CW_PERMIT;
}

SEC("cgroup/connect6")
int cw_connect6(struct bpf_sock_addr *ctx)
{
	struct cw_target target;

	cw_target_v6(&target, ctx);
	return cw_is_flow_protocol(target.protocol) ? cw_connect(ctx, &target) : CW_PERMIT;
}

SEC("cgroup/sendmsg4")
int cw_sendmsg4(struct bpf_sock_addr *ctx)
{
	struct cw_target target;

	cw_target_v4(&target, ctx->user_ip4, ctx->user_port, ctx->protocol);
	return cw_is_flow_protocol(target.protocol) ? cw_sendmsg(ctx, &target) : CW_PERMIT;
}

SEC("cgroup/sendmsg6")
int cw_sendmsg6(struct bpf_sock_addr *ctx)
{
	struct cw_target target;

	cw_target_v6(&target, ctx);
	return cw_is_flow_protocol(target.protocol) ? cw_sendmsg(ctx, &target) : CW_PERMIT;
}

SEC("cgroup/recvmsg4")
int cw_recvmsg4(struct bpf_sock_addr *ctx)
{
	struct cw_target peer;

	cw_target_v4(&peer, ctx->user_ip4, ctx->user_port, ctx->protocol);
	cw_recvmsg(ctx, &peer);
	return CW_PERMIT;
}

SEC("cgroup/recvmsg6")
int cw_recvmsg6(struct bpf_sock_addr *ctx)
{
	struct cw_target peer;

	cw_target_v6(&peer, ctx);
	cw_recvmsg(ctx, &peer);
	return CW_PERMIT;
}

SEC("cgroup/sock_release")
int cw_sock_release(struct bpf_sock *ctx)
{
	cw_release(ctx);
	return 1;
}

SEC("tp_btf/cgroup_mkdir")
int BPF_PROG(cw_cgroup_mkdir, struct cgroup *cgroup, const char *path)
{
	cw_lifecycle(cgroup, path, true);
	return 0;
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cw_cgroup_rmdir, struct cgroup *cgroup, const char *path)
{
	cw_lifecycle(cgroup, path, false);
	return 0;
}

SEC("iter/task_file")
int cw_open_flows(struct bpf_iter__task_file *ctx)
{
	cw_open_flow(ctx);
	return 0;
}

SEC("cgroup_skb/ingress")
int cw_names_ingress(struct __sk_buff *skb)
{
	cw_capture_names(skb);
	return CW_PERMIT;
}

SEC("cgroup_skb/ingress")
int cw_payload_ingress(struct __sk_buff *skb)
{
	cw_capture_payload_in(skb);
	return CW_PERMIT;
}

/* For containers that ask for both: the kernel's own cost is by the program. */
SEC("cgroup_skb/ingress")
int cw_both_ingress(struct __sk_buff *skb)
{
	cw_capture_names(skb);
	cw_capture_payload_in(skb);
	return CW_PERMIT;
}

SEC("cgroup_skb/egress")
int cw_payload_egress(struct __sk_buff *skb)
{
	cw_capture_payload_out(skb);
	return CW_PERMIT;
}

SEC("cgroup_skb/ingress")
int cw_names_guard(struct __sk_buff *skb)
{
	return cw_names_packet(skb) ? CW_PERMIT : CW_REFUSE;
}

SEC("cgroup_skb/ingress")
int cw_names_teach(struct __sk_buff *skb)
{
	return cw_names_taught(skb);
}

SEC("cgroup_skb/ingress")
int cw_names_sweep(struct __sk_buff *skb)
{
	cw_names_sweep_all();
	return CW_PERMIT;
}

SEC("cgroup_skb/ingress")
int cw_guard_ingress(struct __sk_buff *skb)
{
	return cw_guard_in(skb);
}

SEC("cgroup_skb/egress")
int cw_guard_egress(struct __sk_buff *skb)
{
	return cw_guard_out(skb);
}

SEC("cgroup/setsockopt")
int cw_guard_option(struct bpf_sockopt *ctx)
{
	return cw_set_option(ctx);
}

SEC("cgroup/sock_create")
int cw_sock_create(struct bpf_sock *ctx)
{
	return cw_create(ctx);
}

SEC("cgroup/bind4")
int cw_bind4(struct bpf_sock_addr *ctx)
{
	cw_bind_asked(ctx);
	return 1;
}

SEC("cgroup/bind6")
int cw_bind6(struct bpf_sock_addr *ctx)
{
	cw_bind_asked(ctx);
	return 1;
}

SEC("cgroup/post_bind4")
int cw_post_bind4(struct bpf_sock *ctx)
{
	return cw_bound(ctx);
}

SEC("cgroup/post_bind6")
int cw_post_bind6(struct bpf_sock *ctx)
{
	return cw_bound(ctx);
}

SEC("tp_btf/cgroup_rmdir")
int BPF_PROG(cw_cgroup_forget, struct cgroup *cgroup, const char *path)
{
	cw_forget(cgroup);
	return 0;
}

SEC("iter/task_file")
int cw_refused_flows(struct bpf_iter__task_file *ctx)
{
	cw_refused_flow(ctx);
	return 0;
}

SEC("tc")
int cw_wall_packet(struct __sk_buff *skb)
{
	return cw_wall(skb);
}

SEC("cgroup_skb/ingress")
int cw_ask(struct __sk_buff *skb)
{
	cw_answer(&cw_asked);
	return CW_PERMIT;
}

SEC("cgroup_skb/ingress")
int cw_sweep(struct __sk_buff *skb)
{
	cw_sweep_all();
	return CW_PERMIT;
}

char LICENSE[] SEC("license") = "GPL";

/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Why a connect came to nothing. A blocking connect() takes the error with it and clears all of the socket's counters
 * (inet_stream_connect, tcp_disconnect), so the error is noted at the moment when the kernel reports it to the socket.
 */
#pragma once

#include "flow.h"

enum {
	CW_ECONNREFUSED = 111,
	CW_ETIMEDOUT = 110,
	CW_TCP_CLOSE = 7,
};

/* Runs for the errors of all sockets of the node, mostly resets of established connections: those must cost next to nothing. */
static __always_inline void cw_socket_error(struct sock *sk)
{
	struct tcp_sock *tcp = cw_object(tcp_sock, sk);
	struct cw_flow *flow;
	int error;

	/* rcv_nxt is 0 until a SYN was received. */
	if (sk->sk_protocol != IPPROTO_TCP || cw_read(tcp, rcv_nxt))
		return;
	flow = cw_flow_find(bpf_get_socket_cookie(sk), sk);
	if (!flow || flow->failure)
		return;
	error = sk->sk_err;
	if (error == CW_ECONNREFUSED)
		flow->failure = CW_FAILURE_REFUSED;
	else if (error == CW_ETIMEDOUT)
		flow->failure = CW_FAILURE_TIMED_OUT;
	else if (sk->__sk_common.skc_state == CW_TCP_CLOSE)
		flow->failure = CW_FAILURE_UNREACHABLE;
}

/* Of a failed connect, of which no error was reported: without a route it ended before anything was sent. */
static __always_inline __u8 cw_unreported_failure(struct sock *sk)
{
	if (cw_read(sk, __sk_common.skc_state) != CW_TCP_CLOSE)
		return CW_FAILURE_GIVEN_UP;
	return cw_errors_reported ? CW_FAILURE_UNREACHABLE : 0;
}

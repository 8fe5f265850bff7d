/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Why a connect came to nothing. A connect() that waits hands the error to its caller and then clears the socket's error and
 * most counters (inet_stream_connect, tcp_disconnect). What stays is looked at here: on which CPU a segment was received
 * last, and how often the SYN was sent again.
 */
#pragma once

#include "flow.h"

enum {
	CW_TCP_CLOSE = 7,
};

static __always_inline bool cw_has_heard(struct sock *sk)
{
	return cw_read(sk, __sk_common.skc_incoming_cpu) >= 0;
}

/* Was the SYN sent again as often as the kernel does? Else a router's word ended the connect. */
static __always_inline bool cw_has_timed_out(struct sock *sk)
{
	struct inet_connection_sock *connection = cw_object(inet_connection_sock, sk);
	struct net *net = cw_read(sk, __sk_common.skc_net.net);
	__u8 sent_again = cw_read(connection, icsk_retransmits), most = cw_read(connection, icsk_syn_retries);

	if (!most)
		most = cw_read(net, ipv4.sysctl_tcp_syn_retries);
	return sent_again && (sent_again >= most || cw_read(connection, icsk_user_timeout));
}

/* heard: something was received at an earlier attempt of the same socket. 0: not known. */
static __always_inline __u8 cw_read_failure(struct sock *sk, bool heard)
{
	if (cw_read(sk, __sk_common.skc_state) != CW_TCP_CLOSE)
		return cw_read(sk, sk_err_soft) ? CW_FAILURE_UNREACHABLE : CW_FAILURE_GIVEN_UP;
	if (!heard && cw_has_heard(sk))
		return CW_FAILURE_REFUSED;
	if (cw_has_timed_out(sk))
		return CW_FAILURE_TIMED_OUT;
	return heard ? 0 : CW_FAILURE_UNREACHABLE;
}

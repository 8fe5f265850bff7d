// SPDX-License-Identifier: Apache-2.0
//
// Datagrams, in each way that an address is given to one. ALLOWED is where the policy lets it send.
//   datagram unconnected|connected|reconnected|mixed|corked|many|lite|lite-connected ADDRESS PORT ALLOWED
#define _GNU_SOURCE
#include "attack.h"

#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif

static int is(const char *mode, const char *name)
{
	return !strcmp(mode, name);
}

static void send_to(int fd, const struct target *target, int flags)
{
	must(sendto(fd, PAYLOAD, sizeof(PAYLOAD), flags, to(target), target->size), "sendto");
}

/* One call, two datagrams: the first one may go. */
static void send_many(int fd, struct target *allowed, struct target *target)
{
	struct iovec data = {.iov_base = PAYLOAD, .iov_len = sizeof(PAYLOAD)};
	struct mmsghdr messages[2] = {
		{.msg_hdr = {&allowed->storage, allowed->size, &data, 1, 0, 0, 0}},
		{.msg_hdr = {&target->storage, target->size, &data, 1, 0, 0, 0}},
	};

	if (must(sendmmsg(fd, messages, 2, 0), "sendmmsg") != 2)
		refused("the second message");
}

int main(int argc, char **argv)
{
	struct target target, allowed;
	const char *mode = argv[1];
	int fd, lite;

	if (argc != 5)
		usage("datagram MODE ADDRESS PORT ALLOWED");
	target = target_of(argv[2], argv[3]);
	allowed = target_of(argv[4], argv[3]);
	lite = is(mode, "lite") || is(mode, "lite-connected");
	fd = socket(to(&target)->sa_family, SOCK_DGRAM, lite ? IPPROTO_UDPLITE : 0);
	if (fd < 0 && errno == EPROTONOSUPPORT)
		impossible("socket");
	must(fd, "socket");
	if (is(mode, "reconnected") || is(mode, "mixed"))
		must(connect(fd, to(&allowed), allowed.size), "connect to what is allowed");
	if (is(mode, "reconnected") || is(mode, "connected") || is(mode, "lite-connected")) {
		must(connect(fd, to(&target), target.size), "connect");
		must(send(fd, PAYLOAD, sizeof(PAYLOAD), 0), "send");
	} else if (is(mode, "corked")) {
		/* The address of what is held back decides where all of it goes. */
		sendto(fd, PAYLOAD, sizeof(PAYLOAD), MSG_MORE, to(&target), target.size);
		send_to(fd, &allowed, 0);
	} else if (is(mode, "many")) {
		send_many(fd, &allowed, &target);
	} else {
		send_to(fd, &target, 0);
	}
	return sent();
}

// SPDX-License-Identifier: Apache-2.0
//
// A multipath connection to a server that is allowed, and that announces an address that is not: the kernel connects there by
// itself, from a thread of its own.
//   tcp_subflow ADDRESS PORT
#include "attack.h"

#define IPPROTO_MULTIPATH 262

int main(int argc, char **argv)
{
	struct target target;
	int fd;

	if (argc != 3)
		usage("tcp_subflow ADDRESS PORT");
	target = target_of(argv[1], argv[2]);
	fd = socket(to(&target)->sa_family, SOCK_STREAM, IPPROTO_MULTIPATH);
	if (fd < 0 && errno == EPROTONOSUPPORT)
		impossible("socket");
	must(fd, "socket");
	must(connect(fd, to(&target), target.size), "connect");
	/* Data both ways are needed before the connection takes further subflows. */
	for (int i = 0; i < 20; i++) {
		must(send(fd, PAYLOAD, sizeof(PAYLOAD), MSG_NOSIGNAL), "send");
		usleep(20000);
	}
	return sent();
}

// SPDX-License-Identifier: Apache-2.0
//
// A TCP connection, in each way that begins one.
//   tcp_connect connect|nonblocking|fastopen|fastopen-option|multipath ADDRESS PORT
#include "attack.h"
#include <netinet/tcp.h>

#define IPPROTO_MULTIPATH 262

static void begin(int fd, const struct target *target, const char *mode)
{
	int one = 1;

	if (!strcmp(mode, "fastopen")) {
		if (!is_under_way(sendto(fd, PAYLOAD, sizeof(PAYLOAD), MSG_FASTOPEN, to(target), target->size) < 0 ? -1 : 0))
			refused("sendto");
		return;
	}
	if (!strcmp(mode, "fastopen-option"))
		must(setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, &one, sizeof(one)), "setsockopt");
	if (!is_under_way(connect(fd, to(target), target->size)))
		refused("connect");
	if (!is_under_way(send(fd, PAYLOAD, sizeof(PAYLOAD), MSG_NOSIGNAL) < 0 ? -1 : 0))
		refused("send");
}

int main(int argc, char **argv)
{
	struct timeval patience = {.tv_usec = 200000};
	struct target target;
	int fd, multipath;

	if (argc != 4)
		usage("tcp_connect MODE ADDRESS PORT");
	target = target_of(argv[2], argv[3]);
	multipath = !strcmp(argv[1], "multipath");
	fd = socket(to(&target)->sa_family, SOCK_STREAM | (strcmp(argv[1], "nonblocking") ? 0 : SOCK_NONBLOCK),
		    multipath ? IPPROTO_MULTIPATH : 0);
	if (fd < 0 && errno == EPROTONOSUPPORT)
		impossible("socket");
	must(fd, "socket");
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	begin(fd, &target, argv[1]);
	close(fd);
	return sent();
}

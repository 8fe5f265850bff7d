// SPDX-License-Identifier: Apache-2.0
//
// Accepts and closes TCP connections and swallows UDP datagrams on one port, IPv4 and IPv6, until it is ended.
//   sink PORT
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_socket(int type, int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type, 0), one = 1, zero = 0;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || (type == SOCK_STREAM && listen(fd, 4096) != 0)) {
		perror("sink");
		exit(1);
	}
	return fd;
}

int main(int argc, char **argv)
{
	int port = argc > 1 ? atoi(argv[1]) : 0;
	struct pollfd sockets[2] = {{.events = POLLIN}, {.events = POLLIN}};
	char byte;

	if (port < 1) {
		fprintf(stderr, "usage: sink PORT\n");
		return 2;
	}
	sockets[0].fd = open_socket(SOCK_STREAM, port);
	sockets[1].fd = open_socket(SOCK_DGRAM, port);
	for (;;) {
		if (poll(sockets, 2, -1) < 0)
			continue;
		if (sockets[0].revents)
			close(accept(sockets[0].fd, 0, 0));
		if (sockets[1].revents)
			recv(sockets[1].fd, &byte, 1, 0);
	}
}

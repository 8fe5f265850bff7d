// SPDX-License-Identifier: Apache-2.0
//
// The proxy of a mesh: takes what netfilter redirected to it, connects to where it was meant to go, and passes on one request
// and its answer.
//   relay PORT UID
// It runs as UID, by which the redirecting rule tells its own connections.
#include <arpa/inet.h>
#include <linux/netfilter_ipv4.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static void pass(int one, int other)
{
	struct pollfd ends[2] = {{.fd = one, .events = POLLIN}, {.fd = other, .events = POLLIN}};
	char buffer[16384];

	while (poll(ends, 2, 10000) > 0) {
		for (int i = 0; i < 2; i++) {
			ssize_t size;

			if (!ends[i].revents)
				continue;
			size = read(ends[i].fd, buffer, sizeof(buffer));
			if (size <= 0 || write(ends[1 - i].fd, buffer, size) != size)
				return;
		}
	}
}

static void serve(int client)
{
	struct sockaddr_in meant;
	socklen_t size = sizeof(meant);
	int server;

	if (getsockopt(client, SOL_IP, SO_ORIGINAL_DST, &meant, &size) != 0) {
		perror("relay");
		return;
	}
	server = socket(AF_INET, SOCK_STREAM, 0);
	if (connect(server, (struct sockaddr *)&meant, sizeof(meant)) == 0)
		pass(client, server);
	close(server);
}

int main(int argc, char **argv)
{
	struct sockaddr_in any = {.sin_family = AF_INET};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1;

	if (argc != 3) {
		fprintf(stderr, "usage: relay PORT UID\n");
		return 2;
	}
	any.sin_port = htons(atoi(argv[1]));
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) != 0 || listen(fd, 128) != 0 || setuid(atoi(argv[2])) != 0) {
		perror("relay");
		return 1;
	}
	for (;;) {
		int client = accept(fd, 0, 0);

		if (client < 0)
			continue;
		serve(client);
		close(client);
	}
}

// SPDX-License-Identifier: Apache-2.0
//
// Sends back what it gets, on every connection and to every datagram.
//   echo PORT
// On TCP and UDP, IPv4 and IPv6. Prints "ready" when it listens; ends with SIGTERM.
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST = 30000, EVENTS = 256 };

static int bound(int type, int port)
{
	struct sockaddr_in6 own = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = socket(AF_INET6, type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&own, sizeof(own)) || (type == SOCK_STREAM && listen(fd, 4096))) {
		perror("echo");
		exit(1);
	}
	return fd;
}

static void watch(int poll, int fd)
{
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};

	epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

static void answer_datagram(int fd)
{
	struct sockaddr_storage from;
	socklen_t size = sizeof(from);
	char data[2048];
	ssize_t bytes = recvfrom(fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);

	if (bytes >= 0)
		sendto(fd, data, bytes, 0, (struct sockaddr *)&from, size);
}

static void answer(int fd)
{
	char data[4096];
	ssize_t bytes = recv(fd, data, sizeof(data), 0);

	if (bytes <= 0 || send(fd, data, bytes, MSG_NOSIGNAL) != bytes)
		close(fd);
}

int main(int argc, char **argv)
{
	struct rlimit files = {MOST, MOST};
	struct epoll_event events[EVENTS];
	int port = argc > 1 ? atoi(argv[1]) : 0, poll = epoll_create1(0), stream, datagrams;

	setrlimit(RLIMIT_NOFILE, &files);
	stream = bound(SOCK_STREAM, port);
	datagrams = bound(SOCK_DGRAM, port);
	watch(poll, stream);
	watch(poll, datagrams);
	printf("ready\n");
	fflush(stdout);
	for (;;) {
		int count = epoll_wait(poll, events, EVENTS, -1);

		for (int i = 0; i < count; i++) {
			if (events[i].data.fd == stream)
				watch(poll, accept(stream, NULL, NULL));
			else if (events[i].data.fd == datagrams)
				answer_datagram(datagrams);
			else
				answer(events[i].data.fd);
		}
	}
}

// SPDX-License-Identifier: Apache-2.0
//
// Talks on one connection until it is cut: a byte there and a byte back, each millisecond.
//   talker ADDRESS PORT SECONDS [COUNT]   COUNT connections, which talk in turn (1)
// Prints "open" when all are established, and at the end {"cut": n, "last_us": t}: how many were cut, and when the last byte
// came back, in microseconds since 1970.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 20000, ANSWER_MS = 500 };
static int sockets[MOST];

static long long now_us(void)
{
	struct timespec time;

	clock_gettime(CLOCK_REALTIME, &time);
	return time.tv_sec * 1000000LL + time.tv_nsec / 1000;
}

static int open_one(const char *address, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
	struct timeval patience = {.tv_usec = ANSWER_MS * 1000};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	inet_pton(AF_INET, address, &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (connect(fd, (struct sockaddr *)&to, sizeof(to))) {
		perror("talker: connect");
		exit(1);
	}
	return fd;
}

static int talk(int fd)
{
	char byte = 'x';

	return send(fd, &byte, 1, MSG_NOSIGNAL) == 1 && recv(fd, &byte, 1, 0) == 1;
}

int main(int argc, char **argv)
{
	struct rlimit files = {MOST + 100, MOST + 100};
	int count = argc > 4 ? atoi(argv[4]) : 1, cut = 0;
	long long last = 0, until;

	if (argc < 4 || count > MOST) {
		fprintf(stderr, "usage: talker ADDRESS PORT SECONDS [COUNT]\n");
		return 2;
	}
	setrlimit(RLIMIT_NOFILE, &files);
	for (int i = 0; i < count; i++)
		sockets[i] = open_one(argv[1], atoi(argv[2]));
	printf("open\n");
	fflush(stdout);
	until = now_us() + atoi(argv[3]) * 1000000LL;
	while (cut < count && now_us() < until) {
		for (int i = 0; i < count; i++) {
			if (sockets[i] < 0)
				continue;
			if (talk(sockets[i])) {
				last = now_us();
				continue;
			}
			close(sockets[i]);
			sockets[i] = -1;
			cut++;
		}
		if (count == 1)
			usleep(1000);
	}
	printf("{\"cut\": %d, \"last_us\": %lld}\n", cut, last);
	return 0;
}

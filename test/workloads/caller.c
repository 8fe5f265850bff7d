// SPDX-License-Identifier: Apache-2.0
//
// Connects at an even pace from ports of its own, which tell afterwards who it was, also behind NAT.
//   caller ADDRESS PORT COUNT RATE FIRST LAST   ports FIRST to LAST are used in turn
// Each connection sends one byte and ends with a reset. Prints {"done": n, "failed": n}.
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static int call(const struct sockaddr_in *to, int port)
{
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM, 0), one = 1, good;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	good = bind(fd, (struct sockaddr *)&own, sizeof(own)) == 0 &&
	       connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0 && send(fd, "x", 1, MSG_NOSIGNAL) == 1;
	if (!good)
		perror("caller");
	close(fd);
	return good;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	long done = 0, failed = 0, count;
	int first, last, port;
	double start, rate;

	if (argc != 7 || inet_pton(AF_INET, argv[1], &to.sin_addr) != 1) {
		fprintf(stderr, "usage: caller ADDRESS PORT COUNT RATE FIRST LAST\n");
		return 2;
	}
	to.sin_port = htons(atoi(argv[2]));
	count = atol(argv[3]);
	rate = atof(argv[4]);
	first = port = atoi(argv[5]);
	last = atoi(argv[6]);
	start = now();
	for (long i = 0; i < count; i++) {
		if (call(&to, port))
			done++;
		else
			failed++;
		port = port == last ? first : port + 1;
		while (now() < start + (i + 1) / rate)
			usleep(200);
	}
	printf("{\"done\": %ld, \"failed\": %ld}\n", done, failed);
	return 0;
}

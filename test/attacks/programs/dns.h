// SPDX-License-Identifier: Apache-2.0
//
// Questions and (forged) answers of the DNS, as small as they can be.
#pragma once

#include "packets.h"
#include <sys/wait.h>

enum { DNS_ID = 0x4321, DNS_PORT = 53, ASK_PORT = 45353 };

static inline size_t put_question(uint8_t *at, const char *name)
{
	uint8_t head[12] = {DNS_ID >> 8, DNS_ID & 0xff, 1, 0, 0, 1}, end[5] = {0, 0, 1, 0, 1};
	uint8_t *start = at;

	memcpy(at, head, sizeof(head));
	at += sizeof(head);
	while (*name) {
		size_t label = strcspn(name, ".");

		*at++ = label;
		memcpy(at, name, label);
		at += label;
		name += label + (name[label] == '.');
	}
	memcpy(at, end, sizeof(end));
	return at + sizeof(end) - start;
}

/* "The name has that address", for an hour. */
static inline size_t put_answer(uint8_t *at, const char *name, struct in_addr address)
{
	uint8_t record[16] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0x0e, 0x10, 0, 4};
	size_t size = put_question(at, name);

	at[2] = 0x81;
	at[3] = 0x80;
	at[7] = 1;
	memcpy(record + 12, &address, 4);
	memcpy(at + size, record, sizeof(record));
	return size + sizeof(record);
}

static inline int open_asker(int family)
{
	struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons(ASK_PORT)};
	struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons(ASK_PORT)};
	struct timeval patience = {.tv_usec = 500000};
	int fd = must(socket(family, SOCK_DGRAM, 0), "socket"), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	must(family == AF_INET ? bind(fd, (struct sockaddr *)&four, sizeof(four)) : bind(fd, (struct sockaddr *)&six, sizeof(six)),
	     "bind");
	return fd;
}

/* Waits for an answer that ends in the address, as a forged one does. */
static inline int has_answer(int fd, struct in_addr address)
{
	uint8_t data[512];

	for (;;) {
		ssize_t bytes = recv(fd, data, sizeof(data), 0);

		if (bytes < 0)
			return 0;
		if (bytes > 16 && data[2] & 0x80 && !memcmp(data + bytes - 4, &address, 4))
			return 1;
	}
}

/* What all of it was for. */
static inline int use(const char *address, const char *port)
{
	struct timeval patience = {.tv_usec = 200000};
	struct target target = target_of(address, port);
	int fd = must(socket(AF_INET, SOCK_STREAM, 0), "socket");

	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (!is_under_way(connect(fd, to(&target), target.size)))
		refused("connect");
	return sent();
}

/* argv: MODE SERVER NAME ADDRESS PORT. forge() returns once an answer that says so has arrived. */
static inline int forge_and_use(char **argv, void (*forge)(const char *mode, const char *server, const char *name, struct in_addr))
{
	struct target target = target_of(argv[4], argv[5]);
	int status;

	/* A child: a refusal there does not end the attack, and the connection is made where the container is. */
	if (fork() == 0) {
		forge(argv[1], argv[2], argv[3], v4(&target));
		printf("forged\n");
		fflush(stdout);
		_exit(SENT);
	}
	wait(&status);
	if (WEXITSTATUS(status) == IMPOSSIBLE)
		return IMPOSSIBLE;
	return use(argv[4], argv[5]);
}

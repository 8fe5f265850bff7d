// SPDX-License-Identifier: Apache-2.0
//
// What the attacks share. How one ended is its exit code; whether it got through is for the receiver to say.
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { SENT = 0, REFUSED = 1, MISUSED = 2, IMPOSSIBLE = 3 };

/* What a receiver looks for in no other traffic. */
#define PAYLOAD "cellwall attack\n"

struct target {
	struct sockaddr_storage storage;
	socklen_t size;
};

static inline const struct sockaddr *to(const struct target *target)
{
	return (const struct sockaddr *)&target->storage;
}

static inline struct in_addr v4(const struct target *target)
{
	return ((const struct sockaddr_in *)&target->storage)->sin_addr;
}

static inline struct in6_addr v6(const struct target *target)
{
	return ((const struct sockaddr_in6 *)&target->storage)->sin6_addr;
}

static inline void usage(const char *text)
{
	fprintf(stderr, "usage: %s\n", text);
	exit(MISUSED);
}

static inline struct target target_of(const char *address, const char *port)
{
	struct target target = {0};
	struct sockaddr_in6 *six = (struct sockaddr_in6 *)&target.storage;
	struct sockaddr_in *four = (struct sockaddr_in *)&target.storage;

	if (inet_pton(AF_INET6, address, &six->sin6_addr) == 1) {
		six->sin6_family = AF_INET6;
		six->sin6_port = htons(atoi(port));
		target.size = sizeof(*six);
		return target;
	}
	if (inet_pton(AF_INET, address, &four->sin_addr) != 1)
		usage("not an address");
	four->sin_family = AF_INET;
	four->sin_port = htons(atoi(port));
	target.size = sizeof(*four);
	return target;
}

/* Ends the attack: the call was refused. */
static inline void refused(const char *call)
{
	printf("refused: %s: %s\n", call, strerror(errno));
	exit(REFUSED);
}

/* Ends the attack: this kernel or this user cannot do it at all, so it says nothing about the policy. */
static inline void impossible(const char *why)
{
	printf("impossible: %s: %s\n", why, strerror(errno));
	exit(IMPOSSIBLE);
}

static inline int must(int result, const char *call)
{
	if (result < 0)
		refused(call);
	return result;
}

/* A handshake does not have to end: its first packet has been counted. */
static inline int is_under_way(int result)
{
	return result == 0 || errno == EINPROGRESS || errno == ECONNREFUSED || errno == EAGAIN;
}

static inline int sent(void)
{
	/* Timers and kernel threads may have something left to send. */
	usleep(50000);
	printf("sent\n");
	return SENT;
}

static inline void wait_for(const char *file)
{
	for (int i = 0; access(file, F_OK) != 0; i++) {
		if (i == 6000)
			impossible(file);
		usleep(10000);
	}
}

static inline void touch(const char *file)
{
	close(open(file, O_CREAT | O_WRONLY, 0666));
}

/* Of the pseudo header and what it covers. */
static inline uint32_t add_words(uint32_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum += i & 1 ? bytes[i] : bytes[i] << 8;
	return sum;
}

static inline uint16_t checksum(uint32_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum & 0xffff);
}

// SPDX-License-Identifier: Apache-2.0
//
// Looks a name up and connects to what it was told, as the first thing after.
//   ask SERVER NAME PORT TIMES
// Each time: one A question by UDP, one connect to the first address of the answer. Prints
// {"connected": n, "denied": n, "failed": n, "unanswered": n}.
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

static int write_question(unsigned char *packet, const char *name, unsigned short id)
{
	int at = 12;

	memset(packet, 0, 12);
	packet[0] = id >> 8;
	packet[1] = id & 255;
	packet[2] = 1; /* recursion desired */
	packet[5] = 1;
	for (const char *label = name; *label;) {
		int length = strcspn(label, ".");

		packet[at++] = length;
		memcpy(packet + at, label, length);
		at += length;
		label += length + (label[length] == '.');
	}
	packet[at++] = 0;
	memcpy(packet + at, "\0\1\0\1", 4);
	return at + 4;
}

/* The last four bytes of an answer whose last record is an A. */
static int look_up(const char *server, const char *name, unsigned short id, struct in_addr *address)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(53)};
	struct timeval patience = {.tv_sec = 1};
	unsigned char packet[512];
	int fd = socket(AF_INET, SOCK_DGRAM, 0), length = write_question(packet, name, id);
	ssize_t bytes = -1;

	inet_pton(AF_INET, server, &to.sin_addr);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	for (int i = 0; i < 3 && bytes < 16; i++) {
		if (sendto(fd, packet, length, 0, (struct sockaddr *)&to, sizeof(to)) != length)
			break;
		bytes = recv(fd, packet + 0, sizeof(packet), 0);
	}
	close(fd);
	if (bytes < 16 || packet[7] == 0)
		return 0;
	memcpy(address, packet + bytes - 4, 4);
	return 1;
}

static int reach(struct in_addr address, int port)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = address};
	const struct linger reset = {.l_onoff = 1, .l_linger = 0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	int error = connect(fd, (struct sockaddr *)&to, sizeof(to)) ? errno : 0;

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(fd);
	return error;
}

int main(int argc, char **argv)
{
	int connected = 0, denied = 0, failed = 0, unanswered = 0;

	if (argc != 5) {
		fprintf(stderr, "usage: ask SERVER NAME PORT TIMES\n");
		return 2;
	}
	for (int i = 0; i < atoi(argv[4]); i++) {
		struct in_addr address;
		int error;

		if (!look_up(argv[1], argv[2], i, &address)) {
			unanswered++;
			continue;
		}
		error = reach(address, atoi(argv[3]));
		connected += error == 0;
		denied += error == EPERM;
		failed += error != 0 && error != EPERM;
	}
	printf("{\"connected\": %d, \"denied\": %d, \"failed\": %d, \"unanswered\": %d}\n", connected, denied, failed,
	       unanswered);
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// A neighbour in the pod answers in the name server's place: from a raw socket, or from an address that it binds freely.
//   spoof raw|transparent SERVER NAME ADDRESS MILLISECONDS
#define _GNU_SOURCE
#include "dns.h"

int main(int argc, char **argv)
{
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_port = htons(ASK_PORT)};
	struct target server, target;
	uint8_t answer[512], packet[600];
	size_t bytes;
	int fd, one = 1, is_raw;

	if (argc != 6)
		usage("spoof raw|transparent SERVER NAME ADDRESS MILLISECONDS");
	server = target_of(argv[2], "53");
	target = target_of(argv[4], "0");
	there.sin_addr = own_v4();
	is_raw = !strcmp(argv[1], "raw");
	bytes = put_answer(answer, argv[3], v4(&target));
	fd = must(is_raw ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) : socket(AF_INET, SOCK_DGRAM, 0), "socket");
	if (!is_raw) {
		must(setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)), "setsockopt");
		must(bind(fd, to(&server), server.size), "bind");
	} else {
		bytes = put_datagram(packet, v4(&server), DNS_PORT, there.sin_addr, ASK_PORT, answer, bytes);
		there.sin_port = 0;
	}
	for (int left = atoi(argv[5]); left > 0; left -= 20) {
		must(sendto(fd, is_raw ? packet : answer, bytes, 0, (struct sockaddr *)&there, sizeof(there)), "sendto");
		usleep(20000);
	}
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// IPv6 packets from a raw socket. ALLOWED is where the policy lets the container send.
//   raw6 plain|header|fragment|routing-header ADDRESS PORT ALLOWED
// "routing-header" is sent to ALLOWED, which hands it on.
#include "packets.h"

enum { NEXT_ROUTING = 43, NEXT_FRAGMENT = 44, SEGMENT_ROUTING = 4 };

static uint8_t packet[512];

static void send_packet(int fd, struct in6_addr address, size_t size)
{
	struct sockaddr_in6 there = {.sin6_family = AF_INET6, .sin6_addr = address};

	must(sendto(fd, packet, size, 0, (struct sockaddr *)&there, sizeof(there)), "sendto");
}

/* An extension header between the two that are always there. */
static size_t put_extended(const struct in6_addr *ends, struct in6_addr first, uint8_t next, const void *extension,
			   size_t bytes, uint16_t port)
{
	size_t head = sizeof(struct ip6_hdr);
	size_t body = put_udp(packet + head + bytes, ends, 32, OWN_PORT, port, PAYLOAD, sizeof(PAYLOAD));

	memcpy(packet + head, extension, bytes);
	put_ip6(packet, ends[0], first, next, bytes + body);
	return head + bytes + body;
}

int main(int argc, char **argv)
{
	struct target target, allowed;
	struct in6_addr ends[2];
	uint8_t fragment[8] = {IPPROTO_UDP, 0, 0, 0, 0, 0, 47, 11};
	uint8_t routing[40] = {IPPROTO_UDP, 4, SEGMENT_ROUTING, 1, 1};
	uint16_t port;
	int fd, plain;

	if (argc != 5)
		usage("raw6 MODE ADDRESS PORT ALLOWED");
	target = target_of(argv[2], argv[3]);
	allowed = target_of(argv[4], argv[3]);
	port = atoi(argv[3]);
	plain = !strcmp(argv[1], "plain");
	fd = must(socket(AF_INET6, SOCK_RAW, plain ? IPPROTO_UDP : IPPROTO_RAW), "socket");
	ends[0] = own_v6();
	ends[1] = v6(&target);
	memcpy(routing + 8, &ends[1], 16);
	memcpy(routing + 24, &(struct in6_addr[]){v6(&allowed)}, 16);
	if (plain)
		send_packet(fd, ends[1], put_udp(packet, ends, sizeof(ends), OWN_PORT, port, PAYLOAD, sizeof(PAYLOAD)));
	else if (!strcmp(argv[1], "header"))
		send_packet(fd, ends[1], put_extended(ends, ends[1], IPPROTO_UDP, "", 0, port));
	else if (!strcmp(argv[1], "fragment"))
		send_packet(fd, ends[1], put_extended(ends, ends[1], NEXT_FRAGMENT, fragment, sizeof(fragment), port));
	else
		send_packet(fd, v6(&allowed),
			    put_extended(ends, v6(&allowed), NEXT_ROUTING, routing, sizeof(routing), port));
	return sent();
}

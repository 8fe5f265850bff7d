// SPDX-License-Identifier: Apache-2.0
//
// IPv4 packets from a raw socket. ALLOWED is where the policy lets the container send.
//   raw plain|header|fragments|late-fragment|source-route ADDRESS PORT ALLOWED
// "late-fragment" has no ports at all; "source-route" is sent to ALLOWED, which hands it on.
#include "packets.h"

static uint8_t packet[2048];

static void send_packet(int fd, struct in_addr address, size_t size)
{
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr = address};

	must(sendto(fd, packet, size, 0, (struct sockaddr *)&there, sizeof(there)), "sendto");
}

static void plain(const struct target *target, uint16_t port)
{
	struct in_addr ends[2] = {own_v4(), v4(target)};
	int fd = must(socket(AF_INET, SOCK_RAW, IPPROTO_UDP), "socket");

	send_packet(fd, ends[1], put_udp(packet, ends, sizeof(ends), OWN_PORT, port, PAYLOAD, sizeof(PAYLOAD)));
}

static void fragments(int fd, const struct target *target, uint16_t port, int first_too)
{
	struct in_addr ends[2] = {own_v4(), v4(target)};
	uint8_t whole[64];
	size_t size = put_udp(whole, ends, sizeof(ends), OWN_PORT, port, PAYLOAD, sizeof(PAYLOAD));
	size_t head = put_ip(packet, ends[0], ends[1], IPPROTO_UDP, 0, 8, IP_MF);

	if (first_too) {
		memcpy(packet + head, whole, 8);
		send_packet(fd, ends[1], head + 8);
	}
	put_ip(packet, ends[0], ends[1], IPPROTO_UDP, 0, size - 8, 1);
	memcpy(packet + head, whole + 8, size - 8);
	send_packet(fd, ends[1], head + size - 8);
}

static void source_route(int fd, const struct target *target, struct in_addr by, uint16_t port)
{
	struct in_addr ends[2] = {own_v4(), v4(target)};
	uint8_t option[8] = {IPOPT_LSRR, 7, 4, 0, 0, 0, 0, IPOPT_EOL};
	size_t head = sizeof(struct iphdr) + sizeof(option);
	size_t body = put_udp(packet + head, ends, sizeof(ends), OWN_PORT, port, PAYLOAD, sizeof(PAYLOAD));

	memcpy(option + 3, &ends[1], 4);
	memcpy(packet + sizeof(struct iphdr), option, sizeof(option));
	put_ip(packet, ends[0], by, IPPROTO_UDP, sizeof(option), body, 0);
	send_packet(fd, by, head + body);
}

int main(int argc, char **argv)
{
	struct target target, allowed;
	const char *mode = argv[1];
	uint16_t port;
	int fd;

	if (argc != 5)
		usage("raw MODE ADDRESS PORT ALLOWED");
	target = target_of(argv[2], argv[3]);
	allowed = target_of(argv[4], argv[3]);
	port = atoi(argv[3]);
	if (!strcmp(mode, "plain")) {
		plain(&target, port);
		return sent();
	}
	fd = must(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), "socket");
	if (!strcmp(mode, "header"))
		send_packet(fd, v4(&target), put_datagram(packet, own_v4(), OWN_PORT, v4(&target), port, PAYLOAD, sizeof(PAYLOAD)));
	else if (!strcmp(mode, "source-route"))
		source_route(fd, &target, v4(&allowed), port);
	else
		fragments(fd, &target, port, strcmp(mode, "late-fragment"));
	return sent();
}

// SPDX-License-Identifier: Apache-2.0
//
// A container answers its own question, so that a name which is allowed seems to have a forbidden address; then it connects there.
//   forge bind|free|transparent|raw SERVER NAME ADDRESS PORT
// SERVER is the address that the answer comes from: of loopback, or the pod's name server.
#define _GNU_SOURCE
#include "dns.h"

#define IP_FREE 15
#define IPV6_FREE 78

static uint8_t answer[512];
static size_t bytes;

/* The asker as the forger reaches it: on loopback when the server is there, else at the pod's own address. */
static struct target asker_at(const struct target *server, const char *port)
{
	if (to(server)->sa_family == AF_INET6) {
		char own[INET6_ADDRSTRLEN];

		return target_of(inet_ntop(AF_INET6, &(struct in6_addr[]){own_v6()}, own, sizeof(own)), port);
	}
	if (v4(server).s_addr == inet_addr("127.0.0.1") || v4(server).s_addr == inet_addr("127.0.0.11"))
		return target_of("127.0.0.1", port);
	return target_of(inet_ntoa(own_v4()), port);
}

static void answer_from(const struct target *server, const char *mode)
{
	struct target asker = asker_at(server, "45353");
	int fd = must(socket(to(server)->sa_family, SOCK_DGRAM, 0), "socket"), one = 1, is_six = to(server)->sa_family == AF_INET6;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (!strcmp(mode, "free"))
		must(setsockopt(fd, is_six ? IPPROTO_IPV6 : IPPROTO_IP, is_six ? IPV6_FREE : IP_FREE, &one, sizeof(one)), "setsockopt");
	if (!strcmp(mode, "transparent"))
		must(setsockopt(fd, IPPROTO_IP, IP_TRANSPARENT, &one, sizeof(one)), "setsockopt");
	must(bind(fd, to(server), server->size), "bind");
	if (sendto(fd, answer, bytes, 0, to(&asker), asker.size) < 0)
		errno == EINVAL || errno == ENETUNREACH ? impossible("sendto") : refused("sendto");
}

static void answer_raw(const struct target *server)
{
	uint8_t packet[600];
	struct sockaddr_in there = {.sin_family = AF_INET, .sin_addr = own_v4()};
	int fd = must(socket(AF_INET, SOCK_RAW, IPPROTO_RAW), "socket");
	size_t size = put_datagram(packet, v4(server), DNS_PORT, there.sin_addr, ASK_PORT, answer, bytes);

	must(sendto(fd, packet, size, 0, (struct sockaddr *)&there, sizeof(there)), "sendto");
}

static void ask_and_answer(const char *mode, const char *server_text, const char *name, struct in_addr address)
{
	struct target server = target_of(server_text, "53");
	uint8_t question[300];
	int fd = open_asker(to(&server)->sa_family);

	bytes = put_answer(answer, name, address);
	sendto(fd, question, put_question(question, name), 0, to(&server), server.size);
	if (!strcmp(mode, "raw"))
		answer_raw(&server);
	else
		answer_from(&server, mode);
	if (!has_answer(fd, address))
		refused("the forged answer did not arrive");
}

int main(int argc, char **argv)
{
	if (argc != 6)
		usage("forge bind|free|transparent|raw SERVER NAME ADDRESS PORT");
	return forge_and_use(argv, ask_and_answer);
}

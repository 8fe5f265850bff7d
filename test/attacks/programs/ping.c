// SPDX-License-Identifier: Apache-2.0
//
// An echo request from a ping socket, which needs no capability.
//   ping unconnected|connected ADDRESS
#include "attack.h"
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

int main(int argc, char **argv)
{
	struct target target;
	struct {
		struct icmphdr head;
		char data[sizeof(PAYLOAD)];
	} request = {.head = {.type = ICMP_ECHO}, .data = PAYLOAD};
	int fd, six;

	if (argc != 3)
		usage("ping unconnected|connected ADDRESS");
	target = target_of(argv[2], "0");
	six = to(&target)->sa_family == AF_INET6;
	if (six)
		request.head.type = ICMP6_ECHO_REQUEST;
	fd = must(socket(to(&target)->sa_family, SOCK_DGRAM, six ? (int)IPPROTO_ICMPV6 : (int)IPPROTO_ICMP), "socket");
	if (!strcmp(argv[1], "connected")) {
		must(connect(fd, to(&target), target.size), "connect");
		must(send(fd, &request, sizeof(request), 0), "send");
	} else {
		must(sendto(fd, &request, sizeof(request), 0, to(&target), target.size), "sendto");
	}
	return sent();
}

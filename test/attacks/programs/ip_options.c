// SPDX-License-Identifier: Apache-2.0
//
// The socket is connected to what is allowed, and an IPv4 option makes the packets go by ADDRESS.
//   ip_options tcp|udp option|ancillary ADDRESS PORT ALLOWED
#include "attack.h"
#include <netinet/ip.h>

int main(int argc, char **argv)
{
	struct timeval patience = {.tv_usec = 200000};
	struct target target, allowed;
	uint8_t option[8] = {IPOPT_LSRR, 7, 4, 0, 0, 0, 0, IPOPT_EOL};
	char control[CMSG_SPACE(sizeof(option))] = {0};
	struct iovec data = {.iov_base = PAYLOAD, .iov_len = sizeof(PAYLOAD)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);
	int fd, is_tcp;

	if (argc != 6)
		usage("ip_options tcp|udp option|ancillary ADDRESS PORT ALLOWED");
	target = target_of(argv[3], argv[4]);
	allowed = target_of(argv[5], argv[4]);
	memcpy(option + 3, &(struct in_addr[]){v4(&target)}, 4);
	is_tcp = !strcmp(argv[1], "tcp");
	fd = must(socket(AF_INET, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0), "socket");
	if (!strcmp(argv[2], "option")) {
		must(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, option, sizeof(option)), "setsockopt");
		message.msg_controllen = 0;
	} else {
		head->cmsg_level = IPPROTO_IP;
		head->cmsg_type = IP_RETOPTS;
		head->cmsg_len = CMSG_LEN(sizeof(option));
		memcpy(CMSG_DATA(head), option, sizeof(option));
	}
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	if (is_tcp) {
		if (!is_under_way(connect(fd, to(&allowed), allowed.size)))
			refused("connect");
		return sent();
	}
	message.msg_name = &allowed.storage;
	message.msg_namelen = allowed.size;
	must(sendmsg(fd, &message, 0), "sendmsg");
	return sent();
}

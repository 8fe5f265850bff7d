// SPDX-License-Identifier: Apache-2.0
//
// Packets by hand: a datagram with its headers.
#pragma once

#include "attack.h"
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <sys/ioctl.h>

enum { OWN_PORT = 40000 };

/* The interface that leads out of the pod, or out of the node. */
static inline const char *way_out(void)
{
	return if_nametoindex("eth0") ? "eth0" : "node0";
}

static inline struct in_addr own_v4(void)
{
	struct ifreq request = {.ifr_addr = {.sa_family = AF_INET}};
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket");

	strcpy(request.ifr_name, way_out());
	if (ioctl(fd, SIOCGIFADDR, &request) != 0)
		impossible("address of the way out");
	close(fd);
	return ((struct sockaddr_in *)&request.ifr_addr)->sin_addr;
}

static inline struct in6_addr own_v6(void)
{
	FILE *file = fopen("/proc/net/if_inet6", "r");
	struct in6_addr address = {0};
	char hex[33], name[17];
	unsigned scope;

	while (file && fscanf(file, "%32s %*x %*x %x %*x %16s", hex, &scope, name) == 3)
		if (scope == 0 && !strcmp(name, way_out()))
			for (int i = 0; i < 16; i++)
				sscanf(hex + 2 * i, "%2hhx", &address.s6_addr[i]);
	if (!address.s6_addr[0])
		impossible("address of the way out");
	fclose(file);
	return address;
}

/* Writes a UDP header and its payload, returns their size. ends: both addresses. */
static inline size_t put_udp(uint8_t *at, const void *ends, size_t ends_size, uint16_t from, uint16_t port,
			     const void *data, size_t bytes)
{
	struct udphdr head = {.source = htons(from), .dest = htons(port), .len = htons(sizeof(head) + bytes)};
	uint32_t sum = add_words(IPPROTO_UDP + sizeof(head) + bytes, ends, ends_size);

	memcpy(at, &head, sizeof(head));
	memcpy(at + sizeof(head), data, bytes);
	head.check = checksum(add_words(sum, at, sizeof(head) + bytes));
	memcpy(at, &head, sizeof(head));
	return sizeof(head) + bytes;
}

static inline size_t put_ip(uint8_t *at, struct in_addr from, struct in_addr to, uint8_t protocol, size_t options,
			    size_t bytes, uint16_t fragment)
{
	size_t size = sizeof(struct iphdr) + options;
	struct iphdr head = {.version = 4, .ihl = size / 4, .ttl = 64, .protocol = protocol, .tot_len = htons(size + bytes),
			     .id = htons(4711), .frag_off = htons(fragment), .saddr = from.s_addr, .daddr = to.s_addr};

	memcpy(at, &head, sizeof(head));
	head.check = checksum(add_words(0, at, size));
	memcpy(at, &head, sizeof(head));
	return size;
}

/* A whole datagram; returns its size. */
static inline size_t put_datagram(uint8_t *at, struct in_addr from, uint16_t from_port, struct in_addr to, uint16_t port,
				  const void *data, size_t bytes)
{
	struct in_addr ends[2] = {from, to};
	size_t head = sizeof(struct iphdr);
	size_t body = put_udp(at + head, ends, sizeof(ends), from_port, port, data, bytes);

	put_ip(at, from, to, IPPROTO_UDP, 0, body, 0);
	return head + body;
}

static inline size_t put_ip6(uint8_t *at, struct in6_addr from, struct in6_addr to, uint8_t next, size_t bytes)
{
	struct ip6_hdr head = {.ip6_src = from, .ip6_dst = to};

	head.ip6_flow = htonl(6 << 28);
	head.ip6_plen = htons(bytes);
	head.ip6_nxt = next;
	head.ip6_hlim = 64;
	memcpy(at, &head, sizeof(head));
	return sizeof(head);
}

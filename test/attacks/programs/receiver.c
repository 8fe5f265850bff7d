// SPDX-License-Identifier: Apache-2.0
//
// Counts the IP packets that come in by an interface, and answers TCP and UDP on a port so that connections come about.
//   receiver INTERFACE PORT [NETWORK4/16 NETWORK6/64]     with networks, only what is sent to them counts
// For each line of its input it prints {"packets": {"number": n, ...}, "resets": {...}, "missed": n}: how many came since the
// start, by the last 16 bits of the address that they were sent to. TCP resets without a payload, which end what an older
// connection began, are counted apart.
#define _GNU_SOURCE
#include "attack.h"
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>

enum { IPPROTO_MULTIPATH = 262, CONNECTIONS = 256, FIRST_CONNECTION = 4 };

enum { NUMBERS = 1 << 16 };

static unsigned packets[NUMBERS], resets[NUMBERS];
static unsigned long missed;

/* In the kernel, since a race sends a million packets past it. */
static void only(int fd, const char *network, const char *network6)
{
	struct in_addr four;
	struct in6_addr six;
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IP, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 30),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0xffff0000),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 6),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETHERTYPE_IPV6, 0, 5),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 38),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 42),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 256),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog program = {.len = sizeof(code) / sizeof(*code), .filter = code};

	if (inet_pton(AF_INET, network, &four) != 1 || inet_pton(AF_INET6, network6, &six) != 1)
		usage("receiver: not a network");
	code[4].k = ntohl(four.s_addr) & 0xffff0000;
	code[7].k = ntohl(six.s6_addr32[0]);
	code[9].k = ntohl(six.s6_addr32[1]);
	must(setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)), "filter");
}

static int open_counter(const char *interface, const char *network, const char *network6)
{
	struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_ifindex = if_nametoindex(interface)};
	int fd = must(socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0), "socket"), room = 64 << 20;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (network)
		only(fd, network, network6);
	where.sll_protocol = htons(ETH_P_ALL);
	must(bind(fd, (struct sockaddr *)&where, sizeof(where)), "bind");
	return fd;
}

/* Neighbours and routers find each other with these. */
static int is_discovery(const uint8_t *frame)
{
	int next = frame[14 + 6], at = 14 + 40;

	if (next == 0) {
		next = frame[at];
		at += 8 + 8 * frame[at + 1];
	}
	return next == IPPROTO_ICMPV6 && frame[at] >= 130;
}

static int is_reset(const uint8_t *frame, int type)
{
	const uint8_t *ip = frame + 14, *tcp = ip + (type == ETHERTYPE_IP ? 4 * (ip[0] & 15) : 40);
	int bytes = type == ETHERTYPE_IP ? ip[2] << 8 | ip[3] : (ip[4] << 8 | ip[5]) + 40;

	return ip[type == ETHERTYPE_IP ? 9 : 6] == IPPROTO_TCP && tcp[13] & 4 && ip + bytes == tcp + 4 * (tcp[12] >> 4);
}

static void count_frames(int fd)
{
	struct sockaddr_ll from;
	socklen_t size = sizeof(from);
	uint8_t frame[256] = {0}, *end;

	for (; recvfrom(fd, frame, sizeof(frame), 0, (struct sockaddr *)&from, &size) > 0; size = sizeof(from)) {
		int type = frame[12] << 8 | frame[13];

		if (from.sll_pkttype == PACKET_OUTGOING || (type != ETHERTYPE_IP && type != ETHERTYPE_IPV6))
			continue;
		if (type == ETHERTYPE_IPV6 && is_discovery(frame))
			continue;
		end = frame + 14 + (type == ETHERTYPE_IP ? 20 : 40);
		(is_reset(frame, type) ? resets : packets)[end[-2] << 8 | end[-1]]++;
	}
}

static int listen_on(int type, int protocol, int port)
{
	struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
	int fd = must(socket(AF_INET6, type | SOCK_NONBLOCK, protocol), "socket"), one = 1, queue = 64;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, IPPROTO_TCP, TCP_FASTOPEN, &queue, sizeof(queue));
	must(bind(fd, (struct sockaddr *)&any, sizeof(any)), "bind");
	if (type == SOCK_STREAM)
		must(listen(fd, 1024), "listen");
	return fd;
}

static void print_counts(const char *name, const unsigned *counts)
{
	const char *between = "";

	printf("\"%s\": {", name);
	for (int i = 0; i < NUMBERS; i++) {
		if (!counts[i])
			continue;
		printf("%s\"%d\": %u", between, i, counts[i]);
		between = ", ";
	}
	printf("}, ");
}

static void report(int counter)
{
	struct tpacket_stats lost = {0};
	socklen_t size = sizeof(lost);
	char line[64];

	if (read(0, line, sizeof(line)) <= 0)
		exit(0);
	count_frames(counter);
	getsockopt(counter, SOL_PACKET, PACKET_STATISTICS, &lost, &size);
	missed += lost.tp_drops;
	printf("{");
	print_counts("packets", packets);
	print_counts("resets", resets);
	printf("\"missed\": %lu}\n", missed);
	fflush(stdout);
}

/* Says back what it is told, so that multipath connections become whole. */
static void echo(struct pollfd *connection)
{
	char data[256];
	ssize_t bytes = recv(connection->fd, data, sizeof(data), 0);

	if (bytes > 0 && send(connection->fd, data, bytes, MSG_NOSIGNAL) > 0)
		return;
	close(connection->fd);
	connection->fd = -1;
}

static void keep(struct pollfd *all, int fd)
{
	static int next;
	struct pollfd *slot = &all[FIRST_CONNECTION + next++ % CONNECTIONS];

	if (slot->fd >= 0)
		close(slot->fd);
	slot->fd = fd;
}

int main(int argc, char **argv)
{
	struct pollfd all[FIRST_CONNECTION + CONNECTIONS];
	char data[256];

	if (argc != 3 && argc != 5)
		usage("receiver INTERFACE PORT [NETWORK4 NETWORK6]");
	for (int i = 0; i < FIRST_CONNECTION + CONNECTIONS; i++)
		all[i] = (struct pollfd){.fd = -1, .events = POLLIN};
	all[0].fd = 0;
	all[1].fd = open_counter(argv[1], argc == 5 ? argv[3] : NULL, argv[argc - 1]);
	all[2].fd = listen_on(SOCK_STREAM, access("/proc/sys/net/mptcp", F_OK) ? 0 : IPPROTO_MULTIPATH, atoi(argv[2]));
	all[3].fd = listen_on(SOCK_DGRAM, 0, atoi(argv[2]));
	for (;;) {
		poll(all, FIRST_CONNECTION + CONNECTIONS, -1);
		for (int i = FIRST_CONNECTION; i < FIRST_CONNECTION + CONNECTIONS; i++)
			if (all[i].fd >= 0 && all[i].revents)
				echo(&all[i]);
		if (all[1].revents)
			count_frames(all[1].fd);
		if (all[2].revents)
			for (int fd = accept(all[2].fd, 0, 0); fd >= 0; fd = accept(all[2].fd, 0, 0))
				keep(all, fd);
		if (all[3].revents)
			while (recv(all[3].fd, data, sizeof(data), 0) >= 0)
				;
		if (all[0].revents)
			report(all[1].fd);
	}
}

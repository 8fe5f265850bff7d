// SPDX-License-Identifier: Apache-2.0
//
// As forge, in a network namespace of its own, where the server's address is really there: on loopback, or at the other end of
// a cable to another such namespace. It needs no capability where users may make user namespaces.
//   forge_namespace loopback|cable SERVER NAME ADDRESS PORT
#define _GNU_SOURCE
#include "dns.h"
#include <sched.h>

static int forger;

static void write_map(const char *file, const char *format, int id)
{
	char text[64];
	int fd = open(file, O_WRONLY), size = snprintf(text, sizeof(text), format, id);

	if (fd < 0 || write(fd, text, size) != size)
		impossible(file);
	close(fd);
}

/* A network of its own, where it is root. */
static void enter_namespace(void)
{
	int user = getuid(), group = getgid();

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
		impossible("unshare");
	write_map("/proc/self/setgroups", "deny", 0);
	write_map("/proc/self/uid_map", "0 %d 1", user);
	write_map("/proc/self/gid_map", "0 %d 1", group);
}

static void configure(const char *format, const char *address, int pid)
{
	char command[256];

	snprintf(command, sizeof(command), format, pid, address);
	if (system(command) != 0)
		impossible(command);
}

/* Where the server's address is its own: on loopback, or at the other end of a cable. */
static void be_the_server(const char *server, const char *ours, int has_cable)
{
	int pipes[2];
	char byte;

	enter_namespace();
	if (!has_cable) {
		configure("exec 2>&1; set -e; : %d; /usr/sbin/ip address add %s/32 dev lo; /usr/sbin/ip link set lo up", server, 0);
		return;
	}
	if (pipe(pipes) != 0)
		impossible("pipe");
	forger = fork();
	if (forger == 0) {
		if (unshare(CLONE_NEWNET) != 0 || write(pipes[1], "x", 1) != 1)
			impossible("unshare");
		usleep(400000); /* until the cable is there */
		configure("exec 2>&1; set -e; : %d; /usr/sbin/ip address add %s/24 dev theirs; /usr/sbin/ip link set theirs up", server, 0);
		usleep(100000);
		return;
	}
	if (read(pipes[0], &byte, 1) != 1)
		impossible("read");
	configure("exec 2>&1; set -e; /usr/sbin/ip link add ours type veth peer name theirs netns %d;"
		  " /usr/sbin/ip address add %s/24 dev ours; /usr/sbin/ip link set ours up", ours, forger);
	usleep(700000); /* until the other end is up */
}

static void answer_as_owner(const struct target *server, const char *address, const uint8_t *answer, size_t bytes)
{
	struct target asker = target_of(address, "45353");
	int fd = must(socket(AF_INET, SOCK_DGRAM, 0), "socket"), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(bind(fd, to(server), server->size), "bind");
	for (int i = 0; i < 100; i++) {
		must(sendto(fd, answer, bytes, 0, to(&asker), asker.size), "sendto");
		usleep(20000);
	}
}

static void ask_and_answer(const char *where, const char *server_text, const char *name, struct in_addr address)
{
	struct target server = target_of(server_text, "53");
	int has_cable = !strcmp(where, "cable"), fd;
	uint8_t question[300], answer[512];
	size_t bytes = put_answer(answer, name, address);
	char ours[32];

	snprintf(ours, sizeof(ours), "%s", server_text);
	if (has_cable)
		strcpy(strrchr(ours, '.'), ".251");
	be_the_server(server_text, ours, has_cable);
	if (has_cable && forger == 0) {
		answer_as_owner(&server, ours, answer, bytes);
		_exit(0);
	}
	fd = open_asker(AF_INET);
	sendto(fd, question, put_question(question, name), 0, to(&server), server.size);
	if (!has_cable && fork() == 0) {
		answer_as_owner(&server, ours, answer, bytes);
		_exit(0);
	}
	for (int i = 0; i < 4; i++)
		if (has_answer(fd, address))
			return;
	refused("the forged answer did not arrive");
}

int main(int argc, char **argv)
{
	if (argc != 6)
		usage("forge_namespace loopback|cable SERVER NAME ADDRESS PORT");
	return forge_and_use(argv, ask_and_answer);
}

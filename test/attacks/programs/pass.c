// SPDX-License-Identifier: Apache-2.0
//
// A socket that another container of the pod made: handed over by SCM_RIGHTS, used by who takes it.
//   pass give|take connected-tcp|connected-udp|tcp|udp NAME ADDRESS PORT
// NAME is of the abstract kind, which all containers of a pod share.
#include "attack.h"
#include <sys/time.h>
#include <sys/un.h>

static char control[CMSG_SPACE(sizeof(int))];
static char byte[1] = "x";
static struct iovec data = {.iov_base = byte, .iov_len = 1};
static struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};

static int meet(const char *name, int is_giver)
{
	struct sockaddr_un place = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(sa_family_t) + 1 + strlen(name);
	int fd = must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");

	strncpy(place.sun_path + 1, name, sizeof(place.sun_path) - 2);
	if (is_giver) {
		must(bind(fd, (struct sockaddr *)&place, size), "bind");
		must(listen(fd, 1), "listen");
		return must(accept(fd, NULL, NULL), "accept");
	}
	for (int i = 0; connect(fd, (struct sockaddr *)&place, size) != 0; i++) {
		if (i == 500)
			impossible("nobody gives");
		usleep(10000);
	}
	return fd;
}

static void give(int over, int fd)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(&message);

	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(sizeof(fd));
	memcpy(CMSG_DATA(head), &fd, sizeof(fd));
	must(sendmsg(over, &message, 0), "sendmsg");
}

static int take(int over)
{
	int fd = -1;

	must(recvmsg(over, &message, 0), "recvmsg");
	if (!CMSG_FIRSTHDR(&message))
		refused("nothing was passed");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

int main(int argc, char **argv)
{
	struct timeval patience = {.tv_usec = 500000};
	struct target target;
	int fd, over, is_connected, is_tcp;

	if (argc != 6)
		usage("pass give|take MODE NAME ADDRESS PORT");
	alarm(10);
	target = target_of(argv[4], argv[5]);
	is_connected = !strncmp(argv[2], "connected", 9);
	is_tcp = strstr(argv[2], "tcp") != NULL;
	over = meet(argv[3], !strcmp(argv[1], "give"));
	if (!strcmp(argv[1], "give")) {
		fd = must(socket(to(&target)->sa_family, is_tcp ? SOCK_STREAM : SOCK_DGRAM, 0), "socket");
		setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
		if (is_connected)
			must(connect(fd, to(&target), target.size), "connect");
		give(over, fd);
		recv(over, byte, 1, 0); /* until the taker is done: the giver has no further part in it */
		usleep(300000);		/* what closing sends is not the taker's */
		return 0;
	}
	fd = take(over);
	if (is_tcp && !is_connected && !is_under_way(connect(fd, to(&target), target.size)))
		refused("connect");
	if (is_tcp || is_connected)
		must(send(fd, PAYLOAD, sizeof(PAYLOAD), MSG_NOSIGNAL), "send");
	else
		must(sendto(fd, PAYLOAD, sizeof(PAYLOAD), 0, to(&target), target.size), "sendto");
	return sent();
}

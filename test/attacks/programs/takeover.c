// SPDX-License-Identifier: Apache-2.0
//
// Binds a port, also one that another container of the pod has, and tells how much came there.
//   takeover tcp|udp shared|plain ADDRESS PORT FILE       until FILE.end is there; FILE.ready: it is bound
// "shared" asks for SO_REUSEPORT. Prints "received N".
#include "attack.h"

static int count_one(int fd, int is_tcp)
{
	char data[64];
	int accepted;

	if (!is_tcp)
		return recv(fd, data, sizeof(data), 0) >= 0;
	accepted = accept(fd, NULL, NULL);
	if (accepted >= 0)
		close(accepted);
	return accepted >= 0;
}

int main(int argc, char **argv)
{
	struct target target;
	char ready[256], end[256];
	int fd, one = 1, is_tcp;
	long received = 0;

	if (argc != 6)
		usage("takeover tcp|udp shared|plain ADDRESS PORT FILE");
	target = target_of(argv[3], argv[4]);
	snprintf(ready, sizeof(ready), "%s.ready", argv[5]);
	snprintf(end, sizeof(end), "%s.end", argv[5]);
	is_tcp = !strcmp(argv[1], "tcp");
	fd = must(socket(to(&target)->sa_family, (is_tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_NONBLOCK, 0), "socket");
	setsockopt(fd, SOL_SOCKET, strcmp(argv[2], "shared") ? SO_REUSEADDR : SO_REUSEPORT, &one, sizeof(one));
	if (bind(fd, to(&target), target.size) != 0 || (is_tcp && listen(fd, 128) != 0)) {
		touch(ready);
		refused("bind");
	}
	touch(ready);
	for (int i = 0; access(end, F_OK) != 0 && i < 20000; i++) {
		while (count_one(fd, is_tcp))
			received++;
		usleep(500);
	}
	printf("received %ld\n", received);
	return 0;
}

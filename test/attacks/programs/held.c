// SPDX-License-Identifier: Apache-2.0
//
// A socket that was there before: connects and sends once, makes FILE.ready, waits for FILE.go, and sends on for half a second.
//   held tcp|udp ADDRESS PORT FILE
#include "attack.h"
#include <stdio.h>

int main(int argc, char **argv)
{
	struct target target;
	char ready[256], go[256];
	int fd, done = 0;

	if (argc != 5)
		usage("held tcp|udp ADDRESS PORT FILE");
	target = target_of(argv[2], argv[3]);
	snprintf(ready, sizeof(ready), "%s.ready", argv[4]);
	snprintf(go, sizeof(go), "%s.go", argv[4]);
	fd = must(socket(to(&target)->sa_family, strcmp(argv[1], "tcp") ? SOCK_DGRAM : SOCK_STREAM, 0), "socket");
	must(connect(fd, to(&target), target.size), "connect");
	must(send(fd, PAYLOAD, sizeof(PAYLOAD), MSG_NOSIGNAL), "send");
	touch(ready);
	wait_for(go);
	for (int i = 0; i < 10; i++) {
		done += send(fd, PAYLOAD, sizeof(PAYLOAD), MSG_NOSIGNAL | MSG_DONTWAIT) > 0;
		usleep(50000);
	}
	if (done == 0)
		refused("send");
	return sent();
}

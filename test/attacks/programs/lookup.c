// SPDX-License-Identifier: Apache-2.0
//
// Asks the name server, waits for an answer that ends in ADDRESS, from whoever it comes, and connects there.
//   lookup SERVER NAME ADDRESS PORT
#include "dns.h"

int main(int argc, char **argv)
{
	uint8_t question[300];
	struct target server, target;
	int fd;

	if (argc != 5)
		usage("lookup SERVER NAME ADDRESS PORT");
	server = target_of(argv[1], "53");
	target = target_of(argv[3], argv[4]);
	fd = open_asker(AF_INET);
	/* Again and again, so that who forges has his time. */
	for (int i = 0; i < 4; i++) {
		if (sendto(fd, question, put_question(question, argv[2]), 0, to(&server), server.size) < 0)
			printf("question: %s\n", strerror(errno));
		if (has_answer(fd, v4(&target))) {
			printf("answered\n");
			break;
		}
	}
	fflush(stdout);
	return use(argv[3], argv[4]);
}

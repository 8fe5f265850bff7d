// SPDX-License-Identifier: Apache-2.0
//
// The same calls through io_uring: at once, by a worker (async), by the kernel's polling thread (polled).
//   io_uring connect|send inline|async|polled ADDRESS PORT      (connect: TCP; send: a datagram)
#include "attack.h"
#include <linux/io_uring.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>

struct ring {
	int fd;
	char *ring;
	struct io_uring_sqe *entries;
	struct io_uring_params params;
};

static void *map(struct ring *it, size_t size, off_t offset)
{
	void *at = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, it->fd, offset);

	if (at == MAP_FAILED)
		impossible("mmap");
	return at;
}

static void open_ring(struct ring *it, int polled)
{
	it->params.flags = polled ? IORING_SETUP_SQPOLL : 0;
	it->params.sq_thread_idle = 2000;
	it->fd = syscall(SYS_io_uring_setup, 4, &it->params);
	if (it->fd < 0 || !(it->params.features & IORING_FEAT_SINGLE_MMAP))
		impossible("io_uring_setup");
	it->ring = map(it, 8192, IORING_OFF_SQ_RING);
	it->entries = map(it, 4 * sizeof(*it->entries), IORING_OFF_SQES);
}

static _Atomic unsigned *word(struct ring *it, unsigned offset)
{
	return (_Atomic unsigned *)(it->ring + offset);
}

/* Returns what the operation returned. */
static int submit(struct ring *it, struct io_uring_sqe entry)
{
	unsigned tail = atomic_load(word(it, it->params.sq_off.tail)), mask = it->params.sq_entries - 1;
	unsigned head = atomic_load(word(it, it->params.cq_off.head));
	struct io_uring_cqe *done = (struct io_uring_cqe *)(it->ring + it->params.cq_off.cqes);
	int polled = it->params.flags & IORING_SETUP_SQPOLL;

	it->entries[tail & mask] = entry;
	word(it, it->params.sq_off.array)[tail & mask] = tail & mask;
	atomic_store(word(it, it->params.sq_off.tail), tail + 1);
	if (syscall(SYS_io_uring_enter, it->fd, !polled, 0, polled ? IORING_ENTER_SQ_WAKEUP : 0, 0, 0) < 0)
		impossible("io_uring_enter");
	for (int i = 0; atomic_load(word(it, it->params.cq_off.tail)) == head; i++) {
		if (i == 500)
			return 0; /* under way */
		usleep(1000);
	}
	atomic_store(word(it, it->params.cq_off.head), head + 1);
	return done[head & (it->params.cq_entries - 1)].res;
}

int main(int argc, char **argv)
{
	struct ring ring = {0};
	struct target target;
	struct iovec data = {.iov_base = PAYLOAD, .iov_len = sizeof(PAYLOAD)};
	struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1};
	struct io_uring_sqe entry = {.opcode = IORING_OP_CONNECT};
	int is_connect, result;

	if (argc != 5)
		usage("io_uring connect|send inline|async|polled ADDRESS PORT");
	target = target_of(argv[3], argv[4]);
	is_connect = !strcmp(argv[1], "connect");
	open_ring(&ring, !strcmp(argv[2], "polled"));
	entry.fd = must(socket(to(&target)->sa_family, is_connect ? SOCK_STREAM : SOCK_DGRAM, 0), "socket");
	entry.flags = strcmp(argv[2], "async") ? 0 : IOSQE_ASYNC;
	entry.addr = (uintptr_t)&target.storage;
	entry.off = target.size;
	if (!is_connect) {
		message.msg_name = &target.storage;
		message.msg_namelen = target.size;
		entry.opcode = IORING_OP_SENDMSG;
		entry.addr = (uintptr_t)&message;
		entry.off = 0;
		entry.len = 1;
	}
	result = submit(&ring, entry);
	errno = -result;
	if (!is_under_way(result < 0 ? -1 : 0))
		refused(argv[1]);
	return sent();
}

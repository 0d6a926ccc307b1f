/* SPDX-License-Identifier: MIT */
/* Reads of /dev/zero by io_uring workers, which never return to user space. */
#include "program.h"

#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGE (16 << 20)

struct ring {
	int fd;
	uint32_t *submission_tail, *submission_array, *completion_head, *completion_tail;
	struct io_uring_sqe *entry;
};

static void *map_ring(int fd, size_t size, uint64_t offset)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, offset);

	must(memory != MAP_FAILED, "mmap");
	return memory;
}

/* A ring for one request at a time. */
static void ring_open(struct ring *ring)
{
	struct io_uring_params p = { 0 };
	char *submission, *completion;

	ring->fd = syscall(SYS_io_uring_setup, 1, &p);
	must(ring->fd >= 0, "io_uring_setup");
	submission = map_ring(ring->fd, p.sq_off.array + p.sq_entries * 4, IORING_OFF_SQ_RING);
	completion = map_ring(ring->fd, p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe),
			      IORING_OFF_CQ_RING);
	ring->entry = map_ring(ring->fd, sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	ring->submission_tail = (uint32_t *)(submission + p.sq_off.tail);
	ring->submission_array = (uint32_t *)(submission + p.sq_off.array);
	ring->completion_head = (uint32_t *)(completion + p.cq_off.head);
	ring->completion_tail = (uint32_t *)(completion + p.cq_off.tail);
}

FRAME static void reads_by_worker(struct ring *ring, int fd, char *buffer)
{
	*ring->entry = (struct io_uring_sqe){ .opcode = IORING_OP_READ, .flags = IOSQE_ASYNC, .fd = fd,
					      .addr = (uintptr_t)buffer, .len = LARGE };
	ring->submission_array[0] = 0;
	__atomic_store_n(ring->submission_tail, *ring->submission_tail + 1, __ATOMIC_RELEASE);
	must(syscall(SYS_io_uring_enter, ring->fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) == 1,
	     "io_uring_enter");
	__atomic_store_n(ring->completion_head, __atomic_load_n(ring->completion_tail, __ATOMIC_ACQUIRE),
			 __ATOMIC_RELEASE);
}

int main(int argc, char **argv)
{
	struct ring ring;
	int fd = open("/dev/zero", O_RDONLY);
	char *buffer = malloc(LARGE);

	program_start(argc, argv);
	must(fd >= 0 && buffer, "setup");
	ring_open(&ring);
	while (running())
		reads_by_worker(&ring, fd, buffer);
	return 0;
}

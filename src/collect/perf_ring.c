/* SPDX-License-Identifier: MIT */
/* Reading a perf ring buffer; see perf_ring.h. */
#include "collect/perf_ring.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MIN_RING = 256 << 10 };

size_t perf_ring_bytes(size_t all, size_t most)
{
	size_t bytes = most, n_cpus = sysconf(_SC_NPROCESSORS_CONF);

	while (bytes > MIN_RING && bytes > all / n_cpus)
		bytes /= 2;
	return bytes;
}

struct error *perf_ring_open(struct perf_ring *ring, int fd, size_t data_size)
{
	size_t page_size = sysconf(_SC_PAGESIZE);
	void *base = mmap(NULL, page_size + data_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (base == MAP_FAILED) {
		struct error *err = errno != EPERM ?
			error_errno(errno, "cannot map a ring of %zu KB", data_size / 1024) :
			error_new(EPERM, "a ring of %zu KB is beyond the limits on locked memory (remedy: sudo sysctl "
				  "kernel.perf_event_mlock_kb=4096)", data_size / 1024);

		close(fd);
		return err;
	}
	ring->fd = fd;
	ring->page = base;
	ring->data_size = data_size;
	return NULL;
}

void perf_ring_close(struct perf_ring *ring)
{
	if (!ring->page)
		return;
	munmap(ring->page, sysconf(_SC_PAGESIZE) + ring->data_size);
	close(ring->fd);
	ring->page = NULL;
}

/* The record at a position, made contiguous. NULL if it cannot be one. */
static const struct perf_event_header *record_at(struct perf_ring *ring, uint64_t at, uint64_t head)
{
	const unsigned char *data = (unsigned char *)ring->page + ring->page->data_offset;
	size_t offset = at % ring->data_size, first;
	const struct perf_event_header *header = (const void *)(data + offset);

	/* Records are 8-aligned, so the header itself never wraps. */
	if (header->size < sizeof(*header) || header->size > head - at)
		return NULL;
	first = ring->data_size - offset;
	if (header->size <= first)
		return header;
	memcpy(ring->bounce, header, first);
	memcpy(ring->bounce + first, data, header->size - first);
	return (const void *)ring->bounce;
}

bool perf_ring_drain(struct perf_ring *ring, perf_ring_fn fn, void *arg)
{
	uint64_t head, at;
	bool good = true;

	if (!ring->page)
		return true;
	/* (C) pairs with the kernel's smp_wmb() before it moves data_head, perf_output_put_handle(). */
	head = __atomic_load_n(&ring->page->data_head, __ATOMIC_ACQUIRE);
	at = ring->page->data_tail;
	while (at < head) {
		const struct perf_event_header *header = record_at(ring, at, head);

		good = header;
		if (!good) {
			at = head;
			break;
		}
		at += header->size;
		fn(arg, header);
	}
	/* (D) pairs with the kernel's control dependency on data_tail, __perf_output_begin(). */
	__atomic_store_n(&ring->page->data_tail, at, __ATOMIC_RELEASE);
	return good;
}

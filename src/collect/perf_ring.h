/* SPDX-License-Identifier: MIT */
/*
 * The reader's side of one perf ring buffer (struct perf_event_mmap_page).
 * Sampling itself is by BPF; this ring carries its samples and the kernel's
 * records on mappings, names, forks and exits of one CPU, in order.
 */
#ifndef RETOUR_COLLECT_PERF_RING_H
#define RETOUR_COLLECT_PERF_RING_H

#include "base/error.h"

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of each CPU's ring if all together may have `all` bytes and one at most `most`; a power of two. */
size_t perf_ring_bytes(size_t all, size_t most);

struct perf_ring {
	int fd;
	struct perf_event_mmap_page *page;	/* NULL: not open */
	size_t data_size;
	unsigned char bounce[65536];		/* for a record that wraps */
};

/* Maps the ring of an event; the descriptor is the ring's from then on, also on failure. */
ERROR_CHECK struct error *perf_ring_open(struct perf_ring *ring, int fd, size_t data_size);
void perf_ring_close(struct perf_ring *ring);

typedef void (*perf_ring_fn)(void *arg, const struct perf_event_header *record);

/*
 * Hands every record to fn, in order, and gives its room back to the kernel.
 * False: something was no record, and it and what came behind it was skipped.
 */
bool perf_ring_drain(struct perf_ring *ring, perf_ring_fn fn, void *arg);

#endif

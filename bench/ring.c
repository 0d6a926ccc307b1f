/* SPDX-License-Identifier: MIT */
/* Nanoseconds per record of two ints in a per-CPU ring, reserve and commit, and per record read. */
#include <stdio.h>
#include <time.h>

#include "retour/ring.h"

enum { BATCH = 4000, BATCHES = 2000 };

struct event {
	uint64_t time;
	int a, b;
};

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1e9 + t.tv_nsec;
}

static void without_time(struct retour_ring *ring, int i)
{
	struct retour_ring_record record;
	int *ints;

	if (retour_ring_reserve(ring, 8, &record))
		return;
	ints = record.data;
	ints[0] = i;
	ints[1] = -i;
	retour_ring_commit(ring, &record, 1, 0);
}

static void with_time(struct retour_ring *ring, int i)
{
	struct retour_ring_record record;

	if (retour_ring_reserve(ring, sizeof(struct event), &record))
		return;
	*(struct event *)record.data = (struct event){ retour_ring_clock(ring), i, -i };
	retour_ring_commit(ring, &record, 1, 0);
}

static double read_all(struct retour_ring_reader *reader)
{
	const struct perf_event_header *record;
	double start = now();
	long n = 0;

	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &record))
			n++;
	return n ? (now() - start) / n : 0;
}

static int measure(const char *name, enum retour_ring_mode mode, void (*write)(struct retour_ring *ring, int i))
{
	struct retour_ring_options options = { .mode = mode, .data_size = 256 << 10 };
	struct retour_ring_reader *reader;
	struct retour_ring *ring;
	double best_write = 1e9, best_read = 1e9;

	if (retour_ring_create(&options, &ring) || retour_ring_reader_open(retour_ring_fd(ring), &reader))
		return 1;
	for (int batch = 0; batch < BATCHES; batch++) {
		double start = now(), each;

		for (int i = 0; i < BATCH; i++)
			write(ring, i);
		each = (now() - start) / BATCH;
		best_write = each < best_write ? each : best_write;
		each = read_all(reader);
		best_read = each < best_read ? each : best_read;
	}
	printf("%-32s %6.1f ns written %6.1f ns read\n", name, best_write, best_read);
	retour_ring_reader_close(reader);
	retour_ring_destroy(ring);
	return 0;
}

int main(void)
{
	return measure("discard", RETOUR_RING_DISCARD, without_time) ||
	       measure("discard, with time", RETOUR_RING_DISCARD, with_time) ||
	       measure("overwrite", RETOUR_RING_OVERWRITE, without_time) ||
	       measure("overwrite, with time", RETOUR_RING_OVERWRITE, with_time);
}

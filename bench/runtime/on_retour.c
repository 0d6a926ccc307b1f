/* SPDX-License-Identifier: MIT */
/* Probes of libretour: two ints and the time into per-CPU rings in overwrite mode, chains beside them. */
#include "bench.h"

#include <stdint.h>
#include <string.h>

#include "impl/retour.h"
#include "on.h"
#include <retour/ring.h>
#include <retour/unwind_deferred.h>

enum { EVENT = 1, CHAIN };

struct event {
	uint64_t time;
	int a, b;
};

struct event_with_chain {
	struct event event;
	uint64_t cookie;
};

static struct retour_ring *ring;
static long shared_count;

static void record(void *data, int a, int b)
{
	struct retour_ring_record record;

	if (retour_ring_reserve(ring, sizeof(struct event), &record))
		return;
	*(struct event *)record.data = (struct event){ retour_ring_clock(ring), a, b };
	retour_ring_commit(ring, &record, EVENT, 0);
}

/* What a line that two CPUs write costs: the difference to `record`. */
static void record_and_count(void *data, int a, int b)
{
	record(data, a, b);
	__atomic_fetch_add(&shared_count, 1, __ATOMIC_RELAXED);
}

unsigned int on_frames;

static void write_chain(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	struct retour_ring_record record;
	size_t size = trace->nr * sizeof(trace->entries[0]);

	on_frames = trace->nr;
	if (retour_ring_reserve(ring, sizeof(cookie) + size, &record))
		return;
	memcpy(record.data, &cookie, sizeof(cookie));
	memcpy((char *)record.data + sizeof(cookie), trace->entries, size);
	retour_ring_commit(ring, &record, CHAIN, 0);
}

static struct retour_unwind_work tracer;

static void record_with_chain(void *data, int a, int b)
{
	struct retour_ring_record record;
	uint64_t cookie = 0;

	retour_unwind_deferred_request(&tracer, &cookie);
	if (retour_ring_reserve(ring, sizeof(struct event_with_chain), &record))
		return;
	*(struct event_with_chain *)record.data =
		(struct event_with_chain){ { retour_ring_clock(ring), a, b }, cookie };
	retour_ring_commit(ring, &record, EVENT, 0);
}

int on_begin(const char *how)
{
	struct retour_ring_options options = { .mode = RETOUR_RING_OVERWRITE, .data_size = 256 << 10 };

	if (retour_ring_create(&options, &ring))
		return 1;
	if (strcmp(how, "chain") == 0)
		return retour_unwind_deferred_init(&tracer, write_chain) ||
		       register_trace_bench_event(record_with_chain, NULL);
	return register_trace_bench_event(strcmp(how, "shared") == 0 ? record_and_count : record, NULL);
}

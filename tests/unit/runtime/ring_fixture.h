/* SPDX-License-Identifier: MIT */
/* What the tests of rings share: a set with its reader, and records that can be checked. */
#ifndef RING_FIXTURE_H
#define RING_FIXTURE_H

#include <errno.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>

#include "retour/ring.h"
#include "unit/test.h"

enum { RECORD_TYPE = 0x4242, DATA = 64 << 10 };

static struct retour_ring *ring;
static struct retour_ring_reader *reader;

static inline void open_rings(enum retour_ring_mode mode, size_t data_size, size_t watermark)
{
	struct retour_ring_options options = { mode, data_size, watermark };

	CHECK(!retour_ring_create(&options, &ring));
	CHECK(!retour_ring_reader_open(retour_ring_fd(ring), &reader));
}

static inline void close_rings(void)
{
	retour_ring_reader_close(reader);
	retour_ring_destroy(ring);
}

/* The nth CPU that the process had at first; false: there are not as many. */
static inline bool try_pin_to(unsigned int nth)
{
	static cpu_set_t allowed;
	cpu_set_t one;
	int cpu = 0;

	if (!CPU_COUNT(&allowed))
		CHECK(!sched_getaffinity(0, sizeof(allowed), &allowed));
	while (cpu < CPU_SETSIZE && (!CPU_ISSET(cpu, &allowed) || nth--))
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	return cpu < CPU_SETSIZE && !sched_setaffinity(0, sizeof(one), &one);
}

/* All that follows is on one ring (but for what the fallback takes). */
static inline void pin_to(unsigned int nth)
{
	CHECK(try_pin_to(nth));
}

/* The payload of a numbered record: the number, then bytes that depend on it. */
static inline void fill_payload(void *data, uint64_t number, size_t size)
{
	memcpy(data, &number, sizeof(number));
	memset((char *)data + sizeof(number), (int)(number * 37 + size), size - sizeof(number));
}

static inline int write_record(uint64_t number, size_t size)
{
	struct retour_ring_record record;
	int err = retour_ring_reserve(ring, size, &record);

	if (err)
		return err;
	fill_payload(record.data, number, size);
	retour_ring_commit(ring, &record, RECORD_TYPE, number & 0xffff);
	return 0;
}

/* Checks a record of write_record() and returns its number. */
static inline uint64_t check_record(const struct perf_event_header *header)
{
	const unsigned char *data = (const unsigned char *)(header + 1);
	size_t rounded = header->size - sizeof(*header);
	uint64_t number;

	CHECK(header->type == RECORD_TYPE && rounded >= sizeof(number));
	memcpy(&number, data, sizeof(number));
	CHECK_U64(header->misc, number & 0xffff);
	for (size_t pad = 0; ; pad++) {
		size_t i = sizeof(number), size = rounded - pad;

		CHECK(pad < 8);
		while (i < size && data[i] == (unsigned char)(number * 37 + size))
			i++;
		if (i == size)
			break;
	}
	return number;
}

/* Next record of any ring; NULL: none. */
static inline const struct perf_event_header *next_record(void)
{
	const struct perf_event_header *header;

	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		if (retour_ring_reader_next(reader, i, &header))
			return header;
	return NULL;
}

static inline uint64_t lost_of(const struct perf_event_header *header)
{
	CHECK(header->type == PERF_RECORD_LOST && header->size == 24);
	return ((const uint64_t *)header)[2];
}

/* Reads and checks all there is: numbers grow. Adds what was lost to *lost. Returns how many were read. */
static inline uint64_t read_all(uint64_t *lost)
{
	const struct perf_event_header *header;
	uint64_t n = 0;

	while ((header = next_record())) {
		if (header->type == PERF_RECORD_LOST) {
			*lost += lost_of(header);
		} else {
			check_record(header);
			n++;
		}
	}
	return n;
}

#endif

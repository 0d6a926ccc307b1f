/* SPDX-License-Identifier: MIT */
/*
 * What a set of rings looks like in shared memory, and its mapping.
 *
 * The file is a page for the set, then for each ring its page and its data.
 * In memory the data of a ring are mapped twice in a row, so that no
 * record is cut where a ring begins again.
 */
#ifndef RETOUR_RUNTIME_RING_LAYOUT_H
#define RETOUR_RUNTIME_RING_LAYOUT_H

#include <stddef.h>

#include "rcu/percpu.h"
#include "retour/ring.h"
#include "runtime/ring_clock.h"

#define RING_MAGIC 0x31676e6972746572ull	/* "retring1" */

enum {
	RING_HEADER = sizeof(struct perf_event_header),
	RING_MAX_RECORD = RING_HEADER + RETOUR_RING_MAX_PAYLOAD,
	RING_LOCKED = 2,	/* rings besides the CPUs' */
	RING_MIN_DATA = 64 << 10,	/* a power of two above the largest record */
	RING_MAX_DATA = 1 << 30,
	RING_MAX_RINGS = PERCPU_MAX + RING_LOCKED,
};

/* Of the set.  Only the last two change after its creation. */
struct ring_set {
	uint64_t magic;
	uint32_t mode;
	uint32_t n_rings;
	uint64_t data_size;
	uint64_t watermark;
	uint64_t pid_ns;	/* inode; 0: not known */
	struct clock_anchor anchor;	/* of the beginning; cycles is 0: times are nanoseconds */
	uint32_t sleeping __attribute__((aligned(64)));	/* futex: the reader waits */
	uint32_t numbers;	/* given out by ring_take_number() */
};

/* What the writers of one ring share.  Positions count bytes from the beginning of time. */
struct ring_words {
	uint64_t reserve;	/* end of the newest record */
	uint64_t evicted;	/* overwrite mode: how many records were forgotten, and where */
	uint64_t oldest[2];	/* the oldest one begins: [evicted % 2] */
	uint64_t refused;	/* records that found no room */
	uint32_t lock;		/* locked rings: tid of who reserves; 0: nobody */
};

struct ring_page {
	struct perf_event_mmap_page perf;
	struct ring_words words __attribute__((aligned(2048)));	/* far from what the reader writes */
};

/* A mapping, trusted: nothing in it is read back from shared memory. */
struct ring_map {
	char *base;
	size_t page_size;
	size_t data_size;
	unsigned int n_rings;
	int fd;			/* -1: given away */
	uint64_t device, inode;	/* of the memfd */
};

/* The next of 1, 2, ...: one that no other writer to the set has, in whatever process.  Async-signal-safe. */
uint32_t ring_take_number(struct retour_ring *ring);

/*
 * Gives the memory of all records back; the rings are as new ones then.  Nobody reads them
 * any more.  Async-signal-safe, also under writers.
 */
void ring_empty(struct retour_ring *ring);
void ring_map_empty(const struct ring_map *map);

/* Maps fd, which becomes the map's, for n_rings of data_size. 0 or -errno, and fd is still the caller's. */
int ring_map(struct ring_map *map, int fd, unsigned int n_rings, size_t data_size);
void ring_unmap(struct ring_map *map);
size_t ring_file_size(unsigned int n_rings, size_t data_size);

static inline struct ring_set *ring_set(const struct ring_map *map)
{
	return (struct ring_set *)map->base;
}

static inline struct ring_page *ring_page(const struct ring_map *map, unsigned int index)
{
	return (struct ring_page *)(map->base + map->page_size + index * (map->page_size + 2 * map->data_size));
}

/* The header of the record at a position: 8-aligned and inside, whatever the position. */
static inline uint64_t *ring_header(const struct ring_map *map, struct ring_page *page, uint64_t at)
{
	return (uint64_t *)((char *)page + map->page_size + (at & (map->data_size - 1) & ~7ull));
}

/*
 * A header as one word, as little-endian machines lay it out.  The type of a record
 * that is being written has the highest bit set and is otherwise the writer's tid.
 */
#define RING_BUSY 0x80000000u
#define RING_NOBODY (RING_BUSY - 1)	/* a tid that says nothing */

static inline uint64_t ring_header_word(uint32_t type, uint16_t misc, unsigned int size)
{
	return type | (uint64_t)misc << 32 | (uint64_t)size << 48;
}

static inline unsigned int ring_header_size(uint64_t header)
{
	return header >> 48;
}

static inline uint32_t ring_header_type(uint64_t header)
{
	return header;
}

static inline bool ring_header_is_busy(uint64_t header)
{
	return header & RING_BUSY;
}

/* The beginning of what overwriting has left. */
struct ring_oldest {
	uint64_t n;	/* records before it */
	uint64_t at;
};

/*
 * False if writers did not let it be read.  While evicted is n nobody writes
 * to [n % 2]: the next writer prepares the other half.
 */
static inline bool ring_oldest(const struct ring_words *words, struct ring_oldest *oldest)
{
	for (int attempt = 0; attempt < 64; attempt++) {
		/* (N) pairs with (C): the number before the position, and that before the number again. */
		oldest->n = __atomic_load_n(&words->evicted, __ATOMIC_ACQUIRE);
		oldest->at = __atomic_load_n(&words->oldest[oldest->n % 2], __ATOMIC_ACQUIRE);	/* (N) */
		if (__atomic_load_n(&words->evicted, __ATOMIC_RELAXED) == oldest->n)
			return true;
	}
	return false;
}

/* Can a record with this header be at `at` if the ring is written up to `reserve`? */
static inline bool ring_header_is_possible(uint64_t header, uint64_t at, uint64_t reserve)
{
	unsigned int size = ring_header_size(header);

	return size >= RING_HEADER && size % 8 == 0 && size <= reserve - at;
}

#endif

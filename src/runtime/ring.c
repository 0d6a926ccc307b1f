/* SPDX-License-Identifier: MIT */
/*
 * The writers' side of rings: reserve, commit, discard.
 *
 * The theory is in docs/runtime.md, section "Rings".  In short: the words of a ring change by one
 * step each, change(), which happens on the ring's CPU alone (a restartable
 * sequence) or under the ring's lock; a record is complete when its own header says so.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "rcu/percpu.h"
#include "rcu/sys.h"
#include "runtime/mutant.h"
#include "runtime/ring_hook.h"
#include "runtime/ring_layout.h"
#include "runtime/ring_owner.h"
#include "runtime/ring_percpu.h"

enum {
	ATTEMPTS = 16,		/* sequences; a debugger that steps aborts them all */
	LOCK_ATTEMPTS = 64,
	BURY_PERIOD = 256,	/* refusals between looks for dead writers */
	NO_CPU = -1,		/* the caller holds the ring's lock */
};

struct retour_ring {
	struct ring_map map;
	uint64_t watermark;
	unsigned int n_percpu;	/* so many rings are written by sequences, the rest under their locks */
	bool overwrite;
	bool cycles;		/* the clock is the CPU's counter */
};

void (*ring_hook)(const struct retour_ring *ring, enum ring_event event, unsigned int index);

/* A reservation by sequences is one piece of code: calls would cost two nanoseconds of twenty. */
#define STEP static inline __attribute__((always_inline))
#define RARE static __attribute__((noinline))

enum outcome { DONE, AGAIN, FULL };

STEP enum outcome change(int cpu, uint64_t *word, uint64_t expected, uint64_t *aux, uint64_t aux_value,
			 uint64_t value)
{
	retour_torture_delay();
	if (cpu != NO_CPU)
		return percpu_change(cpu, word, expected, aux, aux_value, value) ? DONE : AGAIN;
	if (__atomic_load_n(word, __ATOMIC_RELAXED) != expected && !mutant(ring_no_compare))
		return AGAIN;
	__atomic_store_n(aux, aux_value, __ATOMIC_RELAXED);
	retour_torture_delay();
	/* (C) pairs with (H), (N), (O): what this step is about before it, and earlier steps. */
	__atomic_store_n(word, value, __ATOMIC_RELEASE);
	return DONE;
}

/* Forgets the oldest record. */
STEP enum outcome evict(const struct retour_ring *ring, struct ring_page *page, int cpu, struct ring_oldest oldest,
			uint64_t reserve)
{
	uint64_t *header_at = ring_header(&ring->map, page, oldest.at);
	/* (J) pairs with (I): all of a record before other stores to its memory. */
	uint64_t header = __atomic_load_n(header_at, __ATOMIC_ACQUIRE), next = reserve;
	enum outcome outcome;

	if (ring_header_is_busy(header) && !mutant(ring_evict_busy))
		return FULL;
	/* What cannot be, because somebody has written to the shared memory, ends with all being forgotten. */
	if (reserve - oldest.at <= ring->map.data_size && ring_header_is_possible(header, oldest.at, reserve))
		next = oldest.at + ring_header_size(header);
	outcome = change(cpu, &page->words.evicted, oldest.n, &page->words.oldest[(oldest.n + 1) % 2], next, oldest.n + 1);
	/* (D) pairs with (G): that a record is forgotten before its memory is written. */
	__atomic_thread_fence(__ATOMIC_RELEASE);
	return outcome;
}

STEP enum outcome make_room_by_eviction(const struct retour_ring *ring, struct ring_page *page, int cpu,
					unsigned int size, uint64_t *at)
{
	if (mutant(ring_no_evict))
		return DONE;
	/* Each eviction makes room for 8 bytes at least. */
	for (unsigned int i = 0; i <= size / 8; i++) {
		struct ring_oldest oldest;
		enum outcome outcome;

		if (!ring_oldest(&page->words, &oldest))
			return AGAIN;
		/* After the oldest, which then is not beyond it: else it would pass for what cannot be. */
		if (!mutant(ring_stale_end))
			*at = __atomic_load_n(&page->words.reserve, __ATOMIC_RELAXED);
		if (*at + size - oldest.at <= ring->map.data_size)
			return DONE;
		outcome = evict(ring, page, cpu, oldest, *at);
		if (outcome != DONE)
			return outcome;
	}
	return AGAIN;
}

/* *at is the end of the ring, or what it was a moment ago. */
STEP enum outcome make_room(const struct retour_ring *ring, struct ring_page *page, int cpu, unsigned int size,
			    uint64_t *at)
{
	uint64_t unread;

	if (ring->overwrite)
		return make_room_by_eviction(ring, page, cpu, size, at);
	/* (A) pairs with (B): the copy of a record before its memory is written. */
	unread = *at - __atomic_load_n(&page->perf.data_tail, __ATOMIC_ACQUIRE);
	retour_tsan_acquire(page);
	if (mutant(ring_tail_trusted))
		return (int64_t)(unread + size) <= (int64_t)ring->map.data_size ? DONE : FULL;
	/* A tail that cannot be is as bad as none: unread is then huge. */
	return unread <= ring->map.data_size - size ? DONE : FULL;
}

STEP enum outcome try_reserve(const struct retour_ring *ring, struct ring_page *page, int cpu,
			      struct retour_ring_record *record)
{
	uint64_t at = __atomic_load_n(&page->words.reserve, __ATOMIC_RELAXED);
	enum outcome outcome = make_room(ring, page, cpu, record->size, &at);

	if (outcome != DONE)
		return outcome;
	record->header = ring_header(&ring->map, page, at);
	return change(cpu, &page->words.reserve, at, record->header,
		      ring_header_word(RING_BUSY | owner_tid(), 0, record->size), at + record->size);
}

/* What cannot be forgotten because its writer died in it would stay for ever. */
static void bury_oldest(const struct retour_ring *ring, struct ring_page *page)
{
	struct ring_oldest oldest;
	uint64_t *header, busy;

	owner_unlock_dead(&ring->map, &page->words, false);
	if (!ring->overwrite || !ring_oldest(&page->words, &oldest))
		return;
	header = ring_header(&ring->map, page, oldest.at);
	busy = __atomic_load_n(header, __ATOMIC_RELAXED);
	/* (G) pairs with (D): the header before the look whether it was one, and not a word of another record. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (ring_header_is_busy(busy) && (mutant(ring_writer_buries_blindly) ||
					  __atomic_load_n(&page->words.evicted, __ATOMIC_RELAXED) == oldest.n))
		owner_bury(&ring->map, header, busy, false);
}

static void call_hook(const struct retour_ring *ring, enum ring_event event, unsigned int index)
{
	/* One at a time in a thread: a hook may meet a full ring. */
	static __thread bool inside __attribute__((tls_model("initial-exec")));

	if (!ring_hook || inside)
		return;
	inside = true;
	ring_hook(ring, event, index);
	inside = false;
}

RARE int refuse(const struct retour_ring *ring, unsigned int index, uint64_t n)
{
	if (n % BURY_PERIOD == BURY_PERIOD - 1)
		bury_oldest(ring, ring_page(&ring->map, index));
	call_hook(ring, RING_FULL, index);
	return -ENOSPC;
}

/* -EAGAIN: not by a sequence. */
static int reserve_by_sequence(const struct retour_ring *ring, struct retour_ring_record *record)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		unsigned int cpu = percpu_cpu();
		struct ring_page *page;
		enum outcome outcome;
		uint64_t n;

		if (cpu >= ring->n_percpu)
			break;
		page = ring_page(&ring->map, cpu);
		outcome = try_reserve(ring, page, cpu, record);
		if (outcome == DONE) {
			record->index = cpu;
			return 0;
		}
		if (outcome == AGAIN)
			continue;
		n = __atomic_load_n(&page->words.refused, __ATOMIC_RELAXED);
		if (mutant(ring_lost_uncounted) ||
		    change(cpu, &page->words.refused, n, &page->words.refused, n, n + 1) == DONE)
			return refuse(ring, cpu, n);
	}
	return -EAGAIN;
}

/*
 * A ring that is taken is passed over, by other threads and by handlers that
 * interrupted who took it: nobody waits for a lock.
 */
static bool take(struct ring_words *words)
{
	uint32_t nobody = 0;

	if (mutant(ring_no_lock))
		return true;
	/* (L) pairs with (M): the steps of who had the ring before. */
	return __atomic_compare_exchange_n(&words->lock, &nobody, owner_tid(), false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

RARE int reserve_locked(const struct retour_ring *ring, struct retour_ring_record *record)
{
	unsigned int n_locked = ring->map.n_rings - ring->n_percpu, cpu = sched_getcpu();
	struct ring_page *page;
	uint64_t n;

	for (unsigned int attempt = 0; attempt < LOCK_ATTEMPTS; attempt++) {
		enum outcome outcome;

		record->index = ring->n_percpu + (cpu + attempt) % n_locked;
		page = ring_page(&ring->map, record->index);
		if (!take(&page->words)) {
			cpu_relax();
			continue;
		}
		outcome = try_reserve(ring, page, NO_CPU, record);
		/* (M) pairs with (L): steps before the ring is free. */
		__atomic_store_n(&page->words.lock, 0, __ATOMIC_RELEASE);
		if (outcome == DONE)
			return 0;
		if (outcome == FULL)
			break;
	}
	page = ring_page(&ring->map, record->index);
	/* (C) */
	n = __atomic_fetch_add(&page->words.refused, !mutant(ring_lost_uncounted), __ATOMIC_RELEASE);
	return refuse(ring, record->index, n);
}

int retour_ring_reserve(struct retour_ring *ring, size_t size, struct retour_ring_record *record)
{
	int err;

	if (size > RETOUR_RING_MAX_PAYLOAD)
		return -EMSGSIZE;
	record->size = RING_HEADER + (size + 7) / 8 * 8;
	err = reserve_by_sequence(ring, record);
	if (retour_unlikely(err == -EAGAIN))
		err = reserve_locked(ring, record);
	if (retour_unlikely(err))
		return err;
	record->data = record->header + 1;
	if (size % 8)
		record->header[record->size / 8 - 1] = 0;
	return 0;
}

static void wake_reader(const struct retour_ring *ring, unsigned int index)
{
	uint32_t *sleeping = &ring_set(&ring->map)->sleeping;

	/* (E) pairs with (F): the header before the look whether the reader sleeps. */
	full_fence();
	if (__atomic_load_n(sleeping, __ATOMIC_RELAXED) && __atomic_exchange_n(sleeping, 0, __ATOMIC_RELAXED) &&
	    !mutant(ring_no_wake)) {
		sys_call(SYS_futex, (long)sleeping, FUTEX_WAKE, 1, 0, 0, 0);
		call_hook(ring, RING_WAKE, index);
	}
}

void retour_ring_commit(struct retour_ring *ring, const struct retour_ring_record *record, uint32_t type,
			uint16_t misc)
{
	struct ring_page *page = ring_page(&ring->map, record->index);
	uint64_t unread;

	retour_torture_delay();
	/* (I) pairs with (J), (K): the record before its header. */
	__atomic_store_n(record->header, ring_header_word(type & ~RING_BUSY, misc, record->size), __ATOMIC_RELEASE);
	/* The reader, which hands the memory on, may be in another process. */
	retour_tsan_release(page);
	/* In overwrite mode nobody wakes. */
	if (ring->overwrite)
		return;
	unread = __atomic_load_n(&page->words.reserve, __ATOMIC_RELAXED) -
		 __atomic_load_n(&page->perf.data_tail, __ATOMIC_RELAXED);
	if (unread >= ring->watermark)
		wake_reader(ring, record->index);
}

void retour_ring_discard(struct retour_ring *ring, const struct retour_ring_record *record)
{
	retour_ring_commit(ring, record, RETOUR_RING_VOID, 0);
}

uint32_t ring_take_number(struct retour_ring *ring)
{
	return __atomic_add_fetch(&ring_set(&ring->map)->numbers, 1, __ATOMIC_RELAXED);
}

void ring_empty(struct retour_ring *ring)
{
	ring_map_empty(&ring->map);
}

uint64_t retour_ring_clock(const struct retour_ring *ring)
{
	return ring->cycles ? clock_cycles() : now_ns(CLOCK_MONOTONIC);
}

/* A file beyond the limit is answered by SIGXFSZ. */
static bool is_beyond_limit(size_t size)
{
	struct rlimit limit;

	return !getrlimit(RLIMIT_FSIZE, &limit) && size > limit.rlim_cur;
}

static int make_file(size_t size)
{
	int fd, err;

	if (is_beyond_limit(size))
		return -EFBIG;
	fd = memfd_create("retour-ring", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -errno;
	/* Whoever gets the descriptor cannot take memory away from under the writers. */
	if (ftruncate(fd, size) || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)) {
		err = -errno;
		close(fd);
		return err;
	}
	return fd;
}

static void fill(const struct retour_ring *ring, enum retour_ring_mode mode)
{
	struct ring_set *set = ring_set(&ring->map);

	for (unsigned int i = 0; i < ring->map.n_rings; i++) {
		struct perf_event_mmap_page *perf = &ring_page(&ring->map, i)->perf;

		perf->size = sizeof(*perf);
		perf->data_offset = ring->map.page_size;
		perf->data_size = ring->map.data_size;
	}
	set->mode = mode;
	set->n_rings = ring->map.n_rings;
	set->data_size = ring->map.data_size;
	set->watermark = ring->watermark;
	set->pid_ns = owner_pid_ns();
	if (ring->cycles)
		set->anchor = clock_take_anchor();
	set->magic = RING_MAGIC;
}

int retour_ring_create(const struct retour_ring_options *options, struct retour_ring **ring)
{
	size_t data_size = options->data_size ? options->data_size : 256 << 10;
	struct retour_ring *new;
	unsigned int n_cpus;
	int fd, err;

	if (data_size < RING_MIN_DATA || data_size > RING_MAX_DATA || (data_size & (data_size - 1)) ||
	    options->watermark > data_size || options->mode > RETOUR_RING_OVERWRITE)
		return -EINVAL;
	owner_prepare();
	n_cpus = percpu_possible();
	percpu_register_thread();
	new = calloc(1, sizeof(*new));
	if (!new)
		return -ENOMEM;
	fd = make_file(ring_file_size(n_cpus + RING_LOCKED, data_size));
	err = fd < 0 ? fd : ring_map(&new->map, fd, n_cpus + RING_LOCKED, data_size);
	if (err < 0) {
		if (fd >= 0)
			close(fd);
		free(new);
		return err;
	}
	new->watermark = options->watermark ? options->watermark : data_size / 2;
	new->overwrite = options->mode == RETOUR_RING_OVERWRITE;
	new->n_percpu = percpu_cpu() >= 0 ? n_cpus : 0;
	new->cycles = clock_has_cycles();
	fill(new, options->mode);
	*ring = new;
	return 0;
}

void retour_ring_destroy(struct retour_ring *ring)
{
	if (!ring)
		return;
	ring_unmap(&ring->map);
	free(ring);
}

int retour_ring_fd(const struct retour_ring *ring)
{
	return ring->map.fd;
}

int retour_ring_take_fd(struct retour_ring *ring)
{
	int fd = ring->map.fd;

	ring->map.fd = -1;
	return fd;
}

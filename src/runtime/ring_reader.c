/* SPDX-License-Identifier: MIT */
/*
 * The reader's side of rings.
 *
 * Nothing in shared memory is trusted: positions are the reader's own, what is found
 * at them is copied before it is looked at twice, and what is no record ends in a
 * count.  The theory is in docs/runtime.md, section "Rings".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "runtime/mutant.h"
#include "runtime/ring_layout.h"
#include "runtime/ring_owner.h"

/* perf's PERF_RECORD_LOST without a sample id. */
struct lost_record {
	struct perf_event_header header;
	uint64_t id;
	uint64_t lost;
};

struct cursor {
	uint64_t at;		/* the next record to hand out */
	uint64_t head;		/* discard mode: up to here records are complete */
	uint64_t n;		/* overwrite mode: records before at */
	uint64_t refused;	/* of these the reader knows */
	uint64_t lost;		/* to be told */
	struct retour_ring_counts counts;
};

struct retour_ring_reader {
	struct ring_map map;
	uint64_t watermark;
	bool overwrite;
	bool writers_gone;
	struct clock_anchor first, last;
	union {
		struct perf_event_header header;
		uint64_t words[RING_MAX_RECORD / 8];
	} copy;
	struct lost_record lost;
	struct cursor cursors[];
};

#define LONGEST_WAIT (1000000000ull << 30)

static uint64_t load(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_RELAXED);
}

/* Takes over the losses of a ring up to now. */
static void count_refused(struct cursor *cursor, const struct ring_words *words)
{
	/* (O) pairs with (C): a loss before the end of the ring: what was reserved before it is handed out before it. */
	uint64_t refused = __atomic_load_n(&words->refused, __ATOMIC_ACQUIRE);

	cursor->lost += refused - cursor->refused;
	cursor->refused = refused;
}

static uint64_t end_of(const struct ring_words *words)
{
	/* (H) pairs with (C): the end of the ring before the headers. */
	return __atomic_load_n(&words->reserve, __ATOMIC_ACQUIRE);
}

static uint64_t load_header(const uint64_t *header)
{
	/* (K) pairs with (I): the header before the record. */
	return __atomic_load_n(header, __ATOMIC_ACQUIRE);
}

/* What is found cannot be: go on behind it. */
static void skip_corrupt(struct cursor *cursor, uint64_t end)
{
	cursor->at = cursor->head = end;
	cursor->counts.corrupt++;
	cursor->lost++;
}

/* Moves head over complete records. */
static void advance_head(struct retour_ring_reader *reader, struct cursor *cursor, struct ring_page *page)
{
	uint64_t end = end_of(&page->words);

	if (end - cursor->head > reader->map.data_size)
		skip_corrupt(cursor, end);
	while (cursor->head != end) {
		uint64_t *header_at = ring_header(&reader->map, page, cursor->head), header = load_header(header_at);

		if (!ring_header_is_possible(header, cursor->head, end)) {
			skip_corrupt(cursor, end);
			break;
		}
		if (ring_header_is_busy(header) && !mutant(ring_busy_published) &&
		    !owner_bury(&reader->map, header_at, header, reader->writers_gone))
			break;
		cursor->head += ring_header_size(header);
	}
	__atomic_store_n(&page->perf.data_head, cursor->head, __ATOMIC_RELAXED);
}

static void give_back(struct cursor *cursor, struct ring_page *page)
{
	/* (B) pairs with (A): the copies before their memory is given back. */
	__atomic_store_n(&page->perf.data_tail, cursor->at, __ATOMIC_RELEASE);
}

static void copy_record(struct retour_ring_reader *reader, const uint64_t *from, uint64_t header)
{
	reader->copy.words[0] = header;
	for (unsigned int i = 1; i < ring_header_size(header) / 8; i++) {
		retour_torture_delay();
		reader->copy.words[i] = load(from + i);
	}
}

/* Is what was copied for the caller?  Otherwise it is counted. */
static bool is_wanted(struct cursor *cursor, uint64_t header)
{
	if (ring_header_type(header) != RETOUR_RING_VOID) {
		cursor->counts.records++;
		return true;
	}
	if ((header >> 32 & 0xffff) == RETOUR_RING_ABANDONED) {
		cursor->counts.abandoned++;
		cursor->lost++;
	}
	return false;
}

static const struct perf_event_header *tell_lost(struct retour_ring_reader *reader, unsigned int ring)
{
	struct cursor *cursor = &reader->cursors[ring];

	reader->lost = (struct lost_record){ { PERF_RECORD_LOST, 0, sizeof(reader->lost) }, ring, cursor->lost };
	cursor->counts.lost += cursor->lost;
	cursor->lost = 0;
	return &reader->lost.header;
}

static const struct perf_event_header *next_published(struct retour_ring_reader *reader, unsigned int ring)
{
	struct cursor *cursor = &reader->cursors[ring];
	struct ring_page *page = ring_page(&reader->map, ring);

	for (;;) {
		const uint64_t *from = ring_header(&reader->map, page, cursor->at);
		uint64_t header;

		if (cursor->at == cursor->head) {
			give_back(cursor, page);
			if (cursor->lost)
				return tell_lost(reader, ring);
			owner_unlock_dead(&reader->map, &page->words, reader->writers_gone);
			count_refused(cursor, &page->words);
			advance_head(reader, cursor, page);
			if (cursor->at == cursor->head && !cursor->lost)
				return NULL;
			continue;
		}
		/* A writer that changes a complete record is hostile. */
		header = load_header(from);
		if (!ring_header_is_possible(header, cursor->at, cursor->head)) {
			skip_corrupt(cursor, cursor->head);
			continue;
		}
		if (mutant(ring_tail_early))
			__atomic_store_n(&page->perf.data_tail, cursor->head, __ATOMIC_RELAXED);
		copy_record(reader, from, header);
		cursor->at += ring_header_size(header);
		/* Not for each record: the writers read the line. */
		if (cursor->at - load((uint64_t *)&page->perf.data_tail) >= reader->map.data_size / 8)
			give_back(cursor, page);
		if (is_wanted(cursor, header))
			return &reader->copy.header;
	}
}

/* Goes to the oldest record that is still there. False if the writers are too fast. */
static bool catch_up(struct cursor *cursor, const struct ring_words *words)
{
	struct ring_oldest oldest;

	count_refused(cursor, words);
	if (!ring_oldest(words, &oldest))
		return false;
	if ((int64_t)(oldest.at - cursor->at) > 0) {
		cursor->lost += oldest.n - cursor->n;
		cursor->at = oldest.at;
		cursor->n = oldest.n;
	}
	return true;
}

/* Has the record at the cursor been forgotten while it was read? */
static bool is_overwritten(const struct cursor *cursor, const struct ring_words *words)
{
	struct ring_oldest oldest;

	/* (G) pairs with (D): the copy before the look whether it was a copy of the record. */
	__atomic_thread_fence(__ATOMIC_ACQUIRE);
	if (mutant(ring_no_recheck))
		return false;
	return !ring_oldest(words, &oldest) || (int64_t)(oldest.at - cursor->at) > 0;
}

static const struct perf_event_header *next_of_overwritten(struct retour_ring_reader *reader, unsigned int ring)
{
	enum { ATTEMPTS = 1000 };
	struct cursor *cursor = &reader->cursors[ring];
	struct ring_page *page = ring_page(&reader->map, ring);

	owner_unlock_dead(&reader->map, &page->words, reader->writers_gone);
	for (int attempt = 0; attempt < ATTEMPTS && catch_up(cursor, &page->words); attempt++) {
		uint64_t *from = ring_header(&reader->map, page, cursor->at), header, end = end_of(&page->words);

		if (cursor->lost)
			return tell_lost(reader, ring);
		if (cursor->at == end)
			return NULL;
		header = load_header(from);
		if (!ring_header_is_possible(header, cursor->at, end)) {
			if (!is_overwritten(cursor, &page->words))
				skip_corrupt(cursor, end);
			continue;
		}
		if (ring_header_is_busy(header)) {
			/* Looked at first: it may be a word of another record by now, which would be buried. */
			if ((mutant(ring_bury_blindly) || !is_overwritten(cursor, &page->words)) &&
			    !owner_bury(&reader->map, from, header, reader->writers_gone))
				return NULL;
			continue;
		}
		copy_record(reader, from, header);
		if (is_overwritten(cursor, &page->words))
			continue;
		cursor->at += ring_header_size(header);
		cursor->n++;
		if (is_wanted(cursor, header))
			return &reader->copy.header;
	}
	return NULL;
}

int retour_ring_reader_next(struct retour_ring_reader *reader, unsigned int ring,
			    const struct perf_event_header **record)
{
	*record = reader->overwrite ? next_of_overwritten(reader, ring) : next_published(reader, ring);
	return *record != NULL;
}

struct retour_ring_counts retour_ring_reader_counts(const struct retour_ring_reader *reader, unsigned int ring)
{
	return reader->cursors[ring].counts;
}

/* The caller is the page's only reader, so it needs no seqlock. */
static void publish_clock(struct retour_ring_reader *reader, struct perf_event_mmap_page *page)
{
	struct clock_scale scale;

	if (!reader->first.cycles)
		return;
	reader->last = clock_take_anchor();
	if (!clock_scale(reader->first, reader->last, &scale))
		return;
	page->time_mult = scale.mult;
	page->time_shift = scale.shift;
	page->time_zero = scale.zero;
	/* As if the event had been enabled when the set was made. */
	page->time_offset = scale.zero - reader->first.ns;
	page->cap_user_time = page->cap_user_time_zero = 1;
}

struct perf_event_mmap_page *retour_ring_reader_publish(struct retour_ring_reader *reader, unsigned int ring,
							uint64_t *lost)
{
	struct cursor *cursor = &reader->cursors[ring];
	struct ring_page *page = ring_page(&reader->map, ring);
	uint64_t tail;

	owner_unlock_dead(&reader->map, &page->words, reader->writers_gone);
	count_refused(cursor, &page->words);
	advance_head(reader, cursor, page);
	/* Where the caller is. */
	tail = __atomic_load_n(&page->perf.data_tail, __ATOMIC_RELAXED);
	if (cursor->head - tail <= reader->map.data_size)
		cursor->at = tail;
	if (lost) {
		*lost = cursor->lost;
		cursor->lost = 0;
	}
	publish_clock(reader, &page->perf);
	return &page->perf;
}

uint64_t retour_ring_reader_time(struct retour_ring_reader *reader, uint64_t clock)
{
	if (!reader->first.cycles)
		return clock;
	if ((int64_t)(clock - reader->last.cycles) > 0)
		reader->last = clock_take_anchor();
	return clock_convert(reader->first, reader->last, clock);
}

static bool has_reached_watermark(const struct retour_ring_reader *reader, unsigned int ring)
{
	const struct cursor *cursor = &reader->cursors[ring];
	struct ring_page *page = ring_page(&reader->map, ring);
	uint64_t end = end_of(&page->words);

	return end - cursor->at >= reader->watermark &&
	       !ring_header_is_busy(load_header(ring_header(&reader->map, page, cursor->at)));
}

static bool any_has_reached_watermark(const struct retour_ring_reader *reader)
{
	for (unsigned int i = 0; i < reader->map.n_rings; i++)
		if (has_reached_watermark(reader, i))
			return true;
	return false;
}

bool retour_ring_reader_wait(struct retour_ring_reader *reader, uint64_t timeout_ns)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + (timeout_ns < LONGEST_WAIT ? timeout_ns : LONGEST_WAIT);
	struct timespec deadline = { end / 1000000000, end % 1000000000 };
	uint32_t *sleeping = &ring_set(&reader->map)->sleeping;
	bool reached;
	long err = 0;

	for (;;) {
		__atomic_store_n(sleeping, 1, __ATOMIC_RELAXED);
		/* (F) pairs with (E): that the reader sleeps before the last look at the headers. */
		full_fence();
		reached = !reader->overwrite && !mutant(ring_no_last_look) && any_has_reached_watermark(reader);
		if (reached || err == -ETIMEDOUT || err == -EINTR)
			break;
		/* A wake-up may be one that was meant for an earlier sleep. */
		err = sys_call(SYS_futex, (long)sleeping, FUTEX_WAIT_BITSET, 1, (long)&deadline, 0,
			       FUTEX_BITSET_MATCH_ANY);
	}
	__atomic_store_n(sleeping, 0, __ATOMIC_RELAXED);
	return reached;
}

void retour_ring_reader_writers_gone(struct retour_ring_reader *reader)
{
	reader->writers_gone = true;
}

/* What the set says of itself, if it can be true. */
static int read_set(int fd, struct ring_set *set)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	/* Without the seal a writer could shrink the file, and reading it would be a SIGBUS. */
	if (seals < 0 || !(seals & F_SEAL_SHRINK) || pread(fd, set, sizeof(*set), 0) != sizeof(*set) || fstat(fd, &st))
		return -EINVAL;
	if (set->magic != RING_MAGIC || set->mode > RETOUR_RING_OVERWRITE || set->data_size < RING_MIN_DATA ||
	    set->data_size > RING_MAX_DATA || (set->data_size & (set->data_size - 1)) || !set->n_rings ||
	    set->n_rings > RING_MAX_RINGS || (uint64_t)st.st_size != ring_file_size(set->n_rings, set->data_size))
		return -EINVAL;
	return 0;
}

static int open_reader(int fd, const struct ring_set *set, struct retour_ring_reader **reader)
{
	struct retour_ring_reader *new = calloc(1, sizeof(*new) + set->n_rings * sizeof(struct cursor));
	int err;

	if (!new)
		return -ENOMEM;
	err = ring_map(&new->map, fd, set->n_rings, set->data_size);
	if (err) {
		free(new);
		return err;
	}
	new->first = new->last = set->anchor;
	new->watermark = set->watermark;
	new->overwrite = set->mode == RETOUR_RING_OVERWRITE;
	*reader = new;
	return 0;
}

int retour_ring_reader_open(int fd, struct retour_ring_reader **reader)
{
	struct ring_set set;
	int err = read_set(fd, &set);

	if (err)
		return err;
	fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = open_reader(fd, &set, reader);
	if (err)
		close(fd);
	return err;
}

void retour_ring_reader_close(struct retour_ring_reader *reader)
{
	if (!reader)
		return;
	ring_unmap(&reader->map);
	free(reader);
}

unsigned int retour_ring_reader_rings(const struct retour_ring_reader *reader)
{
	return reader->map.n_rings;
}

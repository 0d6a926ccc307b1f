/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU rings of records in shared memory, for one reader in this or another
 * process.  A ring has the layout of perf's (struct perf_event_mmap_page and,
 * behind it, the data) and holds perf's records (struct perf_event_header, then
 * the payload, all 8-aligned), so that one reader serves kernel and process.
 *
 * The algorithm, with the proofs that nothing is torn and the partners of the
 * lettered barriers, is in docs/runtime.md.
 */
#ifndef RETOUR_RING_H
#define RETOUR_RING_H

#include <linux/perf_event.h>
#include <stdint.h>

#include "rcu_types.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The most that a record can carry: its size, with the header, has 16 bits. */
#define RETOUR_RING_MAX_PAYLOAD 65520

/*
 * The type of a record without meaning, which readers of the raw ring skip:
 * misc is 0 if its writer took it back, RETOUR_RING_ABANDONED if it died.
 */
#define RETOUR_RING_VOID 0x7fffffffu
#define RETOUR_RING_ABANDONED 1u

enum retour_ring_mode {
	RETOUR_RING_DISCARD,		/* a full ring refuses new records */
	RETOUR_RING_OVERWRITE,		/* a full ring forgets its oldest records */
};

struct retour_ring_options {
	enum retour_ring_mode mode;
	size_t data_size;		/* bytes per CPU: a power of two, 64 KB to 1 GB; 0: 256 KB */
	size_t watermark;		/* unread bytes of a ring that wake the reader; 0: half of data_size */
};

/*
 * A set of rings: one for each possible CPU, and two for writers that cannot
 * use a restartable sequence (single-stepped, or not registered with rseq).
 */
struct retour_ring;

/*
 * Makes a set of rings; *ring is the caller's until retour_ring_destroy().
 * Memory is taken as rings are written.  A forked child writes into the same
 * rings.  -EINVAL: options out of range; -ENOMEM, -EMFILE, -ENFILE, -ENOSYS:
 * memfd_create(), ftruncate() or mmap() failed; -EFBIG: RLIMIT_FSIZE is lower, and no
 * SIGXFSZ is sent.  Any thread, not in a signal handler.
 */
RETOUR_API int retour_ring_create(const struct retour_ring_options *options, struct retour_ring **ring);

/*
 * Unmaps the rings; a reader keeps its own mapping, and what is in them.  No
 * thread of this process may be between reserve and commit or begin a reserve:
 * unpublish the pointer and wait for a grace period first.  NULL is fine.
 */
RETOUR_API void retour_ring_destroy(struct retour_ring *ring);

/* The descriptor to pass to a reader's process; it stays the ring's. */
RETOUR_API int retour_ring_fd(const struct retour_ring *ring);

/*
 * The same, but it becomes the caller's, and retour_ring_fd() is -1 from now
 * on: for rings in a process that closes descriptors which it did not open.
 */
RETOUR_API int retour_ring_take_fd(struct retour_ring *ring);

/* A reserved record: data is the writer's, the rest the library's. */
struct retour_ring_record {
	void *data;			/* contiguous, 8-aligned */
	uint64_t *header;
	unsigned int size;		/* with the header */
	unsigned int index;		/* of the ring */
};

/*
 * Reserves a record with a payload of size bytes (rounded up to 8, the padding
 * is zero) on the ring of the CPU.  Every call is counted: it succeeds, or the
 * reader is told of one lost record.
 *
 * Wait-free but for a bounded number of attempts, no system call (but three at
 * the first use in a thread), async-signal-safe at any instruction, errno
 * untouched.  Handlers may write records between a reserve and its commit, and
 * the thread may migrate.  Not in the child of a vfork().  Whoever reserved must commit or discard before the
 * thread leaves by longjmp(): records behind it cannot be read before.
 *
 * 0; -ENOSPC: the ring is full (overwrite mode: of records that are being
 * written); -EMSGSIZE: more than RETOUR_RING_MAX_PAYLOAD (not counted as lost).
 */
RETOUR_SLOW_API int retour_ring_reserve(struct retour_ring *ring, size_t size, struct retour_ring_record *record);

/*
 * Completes a record: type (below 1 << 31) and misc go to its header.  From
 * any CPU.  A system call only if a sleeping reader is to be woken: at the
 * watermark.  Async-signal-safe, errno untouched.
 */
RETOUR_SLOW_API void retour_ring_commit(struct retour_ring *ring, const struct retour_ring_record *record,
					uint32_t type, uint16_t misc);

/* Takes a record back: readers skip it.  Otherwise as commit. */
RETOUR_SLOW_API void retour_ring_discard(struct retour_ring *ring, const struct retour_ring_record *record);

/*
 * The time, for records: the CPU's time stamp counter where the kernel trusts
 * it, else nanoseconds of CLOCK_MONOTONIC.  retour_ring_reader_time() converts
 * it.  Not ordered against memory accesses around it.  Async-signal-safe.
 */
RETOUR_SLOW_API uint64_t retour_ring_clock(const struct retour_ring *ring);

/*
 * The reader's side, for one thread at a time, none of it in signal handlers.
 * Writers are not trusted: whatever they do to the memory, the reader stays
 * within bounds and hands out whole copies; only counts can then be wrong.
 */
struct retour_ring_reader;

struct retour_ring_counts {
	uint64_t records;		/* handed out, those of losses not counted */
	uint64_t lost;			/* the sum of the PERF_RECORD_LOST handed out */
	uint64_t abandoned;		/* of these: writers died in them */
	uint64_t corrupt;		/* times that what was found could be no record */
};

/*
 * Maps the rings behind a descriptor that retour_ring_fd() gave, here or in
 * another process; fd stays the caller's and may be closed.  A set in discard
 * mode has one reader in its life.  -EINVAL: not such rings, or memory that could shrink under
 * the reader; -ENOMEM and errors of mmap().
 */
RETOUR_API int retour_ring_reader_open(int fd, struct retour_ring_reader **reader);
RETOUR_API void retour_ring_reader_close(struct retour_ring_reader *reader);

/* Rings have the numbers 0 to this, exclusive; the first of them are CPUs'. */
RETOUR_API unsigned int retour_ring_reader_rings(const struct retour_ring_reader *reader);

/*
 * The next record of a ring.  1: *record is a copy, valid until the next call;
 * 0: there is none, or the next one is still being written.  Its room is given
 * back.  Losses come as PERF_RECORD_LOST (header, id: number of the ring, number of
 * records), behind all that was reserved before them in discard mode, in
 * place of the forgotten records in overwrite mode.  A record whose writer
 * died in it is one lost record.
 */
RETOUR_API int retour_ring_reader_next(struct retour_ring_reader *reader, unsigned int ring,
				       const struct perf_event_header **record);

/* What next has handed out of a ring so far. */
RETOUR_API struct retour_ring_counts retour_ring_reader_counts(const struct retour_ring_reader *reader,
							       unsigned int ring);

/*
 * The page of a ring, for a reader with perf's protocol instead of next:
 * publish moves data_head over the records that are complete, then
 * [data_tail, data_head) can be read and data_tail moved.  Losses since the
 * last call are in *lost (may be NULL), without the abandoned records that the
 * caller meets.  If cap_user_time_zero is set, time_zero, time_mult and time_shift convert the
 * times of these records to CLOCK_MONOTONIC, as perf_event_open(2) says; else they are it.
 * Discard mode.  Returns the page.
 */
RETOUR_API struct perf_event_mmap_page *retour_ring_reader_publish(struct retour_ring_reader *reader,
								   unsigned int ring, uint64_t *lost);

/*
 * Nanoseconds of CLOCK_MONOTONIC for a value of retour_ring_clock() of any of
 * the set's writers.  To some ten nanoseconds, plus what the kernel changed of the clock's rate in between.
 */
RETOUR_API uint64_t retour_ring_reader_time(struct retour_ring_reader *reader, uint64_t clock);

/*
 * Sleeps until a ring has reached its watermark, timeout_ns is over or a
 * signal was handled, and says whether one has.  Discard mode; in overwrite mode nobody wakes.
 */
RETOUR_API bool retour_ring_reader_wait(struct retour_ring_reader *reader, uint64_t timeout_ns);

/*
 * The caller knows that no writer is left (a pidfd, a closed socket): records
 * that are still being written are abandoned.  Needed only where the reader cannot see it
 * itself: it judges writers by their thread ids, in the pid namespace in which the rings were made.
 */
RETOUR_API void retour_ring_reader_writers_gone(struct retour_ring_reader *reader);

#ifdef __cplusplus
}
#endif
#endif

/* SPDX-License-Identifier: MIT */
/*
 * The reader records of retour_rcu: who may be in a section.
 *
 * Records are found by index and live in memory that is never given back, so a
 * leader may look at one whose thread has just ended.  A record is claimed by
 * setting its tid, without lock or allocator.
 */
#ifndef RETOUR_RCU_READER_H
#define RETOUR_RCU_READER_H

#include "retour/srcu.h"

/*
 * Readers that got no record because the kernel has no more memory count here,
 * atomically.  They may keep a grace period waiting as long as their sections
 * overlap.
 */
#define READER_SHARED 0
#define READER_SHARED_TID 0x3fffffff	/* no thread's */

/* Indices of records that were ever in use are below this. */
unsigned long reader_count(void);

struct retour_rcu_reader *reader_at(unsigned long index);

/* The calling thread's record or NULL.  Async-signal-safe, as are the next four. */
struct retour_rcu_reader *reader_own(void);

/* The calling thread's record, claimed if need be; NULL: there is none, or sections began without. */
struct retour_rcu_reader *reader_claim(void);

/*
 * For the lock of a section: as above, but if there is no record, one of the
 * next two counts of the calling thread is incremented, and until it is 0 again
 * no record is claimed: a section that began without one ends without one.
 */
struct retour_rcu_reader *reader_claim_or(long *without);

/* Sections of retour_rcu, which count in READER_SHARED. */
long *reader_shared_nesting(void);

/* Sections of retour_rcu_tasks_trace. */
long *reader_unrecorded(void);

/* The key destructors of this thread have run. */
bool reader_torn_down(void);

/* Not in a child forked behind libc's back, which has its parent's records. */
bool reader_process_is_known(void);

/* Reports the quiescent state if the record asks for it; true if it did.  No hook points. */
bool reader_report(struct retour_rcu_reader *reader);

/* Gives up the futex of retour_rcu_tasks_trace if the thread has left its sections of the bank; true if it did. */
bool reader_end_tasks_trace(const struct retour_srcu_bank *bank);

/* Frees the record of a thread that has ended, unless sections of some domain are still to be taken off. */
void reader_free_dead(struct retour_rcu_reader *reader, int tid);

/* Takes off the sections of a thread that has ended; false if the record is not that thread's. */
bool reader_bury(struct retour_rcu_reader *reader, int tid);

/* In a forked child: only the calling thread's record remains. */
void reader_after_fork(void);

#endif

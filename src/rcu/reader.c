/* SPDX-License-Identifier: MIT */
/*
 * The reader records of retour_rcu: claimed at a thread's first reader, given
 * back by a key destructor.  A signal handler that runs after the destructor
 * claims again; such a record is found when its thread has ended and records
 * run short.
 */
#include "rcu/reader.h"

#include <pthread.h>
#include <sys/mman.h>

#include "rcu/boost.h"
#include "rcu/membarrier.h"
#include "rcu/mutant.h"
#include "rcu/report.h"
#include "rcu/sys.h"
#include "rcu/thread.h"

/* Slab k has FIRST << k records; together more than there can be threads. */
#define FIRST 64UL
#define SLABS 17

static struct retour_rcu_reader first_slab[FIRST] = { [READER_SHARED] = { .tid = READER_SHARED_TID } };
static struct retour_rcu_reader *slabs[SLABS] = { first_slab };
static unsigned long count;
static unsigned long hint = READER_SHARED + 1;	/* where to look next for a free record */
static unsigned long suspect = READER_SHARED + 1;	/* ... for one whose thread is dead */

/*
 * A claim looks at so many records, and asks the kernel for so many threads:
 * threads in any number do not make a first section long.  If that was too few
 * it takes a fresh record, so they are more than there were threads at a time,
 * but not many more: the next claims look further.
 */
#define LOOKS 16
#define ASKS 2

/* pthread_setspecific() of one of the first keys stores two words; of a later one it may allocate. */
#define FIRST_KEYS 32
static pthread_key_t exit_key;
static bool exit_key_usable;

static int process;	/* whose records these are */

#define INITIAL_EXEC __attribute__((tls_model("initial-exec")))
__thread struct retour_rcu_reader *retour_rcu_reader INITIAL_EXEC;
static __thread struct retour_rcu_reader *own INITIAL_EXEC;
static __thread long shared_nesting INITIAL_EXEC;
static __thread long unrecorded INITIAL_EXEC;
static __thread bool torn_down INITIAL_EXEC;

unsigned long reader_count(void)
{
	/* (j) pairs with (i): the slab before the count of its records. */
	return __atomic_load_n(&count, __ATOMIC_ACQUIRE);
}

static int slab_of(unsigned long index)
{
	return 63 - __builtin_clzl(index / FIRST + 1);
}

static unsigned long slab_start(int slab)
{
	return FIRST * ((1UL << slab) - 1);
}

struct retour_rcu_reader *reader_at(unsigned long index)
{
	int slab = slab_of(index);

	/* (j) pairs with (i). */
	return &__atomic_load_n(&slabs[slab], __ATOMIC_ACQUIRE)[index - slab_start(slab)];
}

struct retour_rcu_reader *reader_own(void)
{
	return own;
}

long *reader_shared_nesting(void)
{
	return &shared_nesting;
}

long *reader_unrecorded(void)
{
	return &unrecorded;
}

bool reader_torn_down(void)
{
	return torn_down;
}

bool reader_process_is_known(void)
{
	return process == sys_getpid();
}

/* Is its thread in no section?  Those of retour_rcu_tasks_trace it may have left out when it had no record. */
static bool is_unused(const struct retour_rcu_reader *reader)
{
	/* (l): the leaders of two domains may be at a record whose thread has ended. */
	return !__atomic_load_n(&reader->nesting, __ATOMIC_ACQUIRE) &&
	       __atomic_load_n(&reader->tasks_trace[0], __ATOMIC_ACQUIRE) <= 0 &&
	       __atomic_load_n(&reader->tasks_trace[1], __ATOMIC_ACQUIRE) <= 0;
}

static void raise_count(unsigned long to)
{
	unsigned long old = __atomic_load_n(&count, __ATOMIC_RELAXED);

	/* (i) pairs with (j). */
	while (old < to && !__atomic_compare_exchange_n(&count, &old, to, false, __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
		;
}

/* Makes the record the thread's if its tid is `tid`. */
static bool take(struct retour_rcu_reader *reader, int tid)
{
	/* (l) pairs with (k): what was left in the record. */
	return __atomic_load_n(&reader->tid, __ATOMIC_RELAXED) == tid &&
	       __atomic_compare_exchange_n(&reader->tid, &tid, sys_gettid(), false, __ATOMIC_SEQ_CST,
					   __ATOMIC_RELAXED);
}

/* One that its thread gave back, if the next few are not all in use. */
static struct retour_rcu_reader *take_free(void)
{
	unsigned long end = reader_count(), at = __atomic_load_n(&hint, __ATOMIC_RELAXED);

	for (int looks = LOOKS; looks && end > READER_SHARED + 1; looks--) {
		struct retour_rcu_reader *reader = reader_at(at = at < end ? at : READER_SHARED + 1);

		__atomic_store_n(&hint, ++at, __ATOMIC_RELAXED);
		if (take(reader, 0))
			return reader;
	}
	return NULL;
}

/* One of a thread that ended without running its destructors for the last claim, if among the next suspects. */
static struct retour_rcu_reader *take_dead(void)
{
	unsigned long end = reader_count(), at = __atomic_load_n(&suspect, __ATOMIC_RELAXED);

	for (int asks = ASKS; asks && end > READER_SHARED + 1; asks--) {
		struct retour_rcu_reader *reader = reader_at(at = at < end ? at : READER_SHARED + 1);
		int tid = __atomic_load_n(&reader->tid, __ATOMIC_RELAXED);

		__atomic_store_n(&suspect, ++at, __ATOMIC_RELAXED);
		/* Who died in a section is left to the leader, which tells. */
		if (tid > 0 && is_unused(reader) && thread_is_dead(tid) && take(reader, tid))
			return reader;
	}
	return NULL;
}

static bool grow(int slab)
{
	struct retour_rcu_reader *none = NULL, *fresh;
	size_t size = (FIRST << slab) * sizeof(*fresh);
	long address = sys_call(SYS_mmap, 0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (address < 0 && address > -4096)
		return false;
	fresh = (struct retour_rcu_reader *)address;
	/* (i) pairs with (j). */
	if (!__atomic_compare_exchange_n(&slabs[slab], &none, fresh, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		sys_call(SYS_munmap, address, size, 0, 0, 0, 0);
	return true;
}

/* One that nobody had before. */
static struct retour_rcu_reader *take_fresh(void)
{
	for (;;) {
		unsigned long index = reader_count() > READER_SHARED ? reader_count() : READER_SHARED + 1;
		int slab = slab_of(index);
		bool taken;

		if (slab == SLABS || (!__atomic_load_n(&slabs[slab], __ATOMIC_RELAXED) && !grow(slab)))
			return NULL;
		/* If not, who took it is about to raise the count, or is the thread that this handler interrupted. */
		taken = take(reader_at(index), 0);
		raise_count(index + 1);
		if (taken)
			return reader_at(index);
	}
}

/* Makes the record the calling thread's own; false: a handler has claimed one meanwhile, which stays. */
static bool adopt(struct retour_rcu_reader *reader)
{
	struct retour_rcu_reader *none = NULL;
	int tid;

	__atomic_store_n(&reader->where, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&reader->srcu_cookie, NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&reader->tasks_trace[0], 0, __ATOMIC_RELAXED);
	__atomic_store_n(&reader->tasks_trace[1], 0, __ATOMIC_RELAXED);
	if (!__atomic_compare_exchange_n(&own, &none, reader, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
		/* (k) pairs with (l). */
		__atomic_store_n(&reader->tid, 0, __ATOMIC_RELEASE);
		return false;
	}
	/* A handler may have forked meanwhile: then the tid is the parent's, or none.  From here on a fork sets it. */
	while (!mutant(fork_loses_claim) && (tid = sys_gettid()) != __atomic_load_n(&reader->tid, __ATOMIC_RELAXED))
		__atomic_store_n(&reader->tid, tid, __ATOMIC_RELAXED);
	return true;
}

struct retour_rcu_reader *reader_claim(void)
{
	struct retour_rcu_reader *reader;

	if (own || shared_nesting || unrecorded)
		return own;
	reader = take_free();
	if (!reader)
		reader = take_dead();
	if (!reader)
		reader = take_fresh();
	if (!reader) {
		raise_count(READER_SHARED + 1);
		return NULL;
	}
	if (!adopt(reader))
		return own;
	/* (G) pairs with (L): the claim before the loads of the first section. */
	if (!mutant(no_claim_fence))
		full_fence();
	if (membarrier_usable())
		retour_rcu_reader = reader;
	if (exit_key_usable)
		pthread_setspecific(exit_key, reader);
	return reader;
}

struct retour_rcu_reader *reader_claim_or(long *without)
{
	struct retour_rcu_reader *reader = reader_claim();

	if (reader)
		return reader;
	++*without;
	retour_barrier();	/* (o): from here on no handler claims one; until here it may have. */
	if (own)
		--*without;
	return own;
}

bool reader_report(struct retour_rcu_reader *reader)
{
	int tid = __atomic_load_n(&reader->tid, __ATOMIC_RELAXED);

	/* (K) pairs with (Q), (P): the section before the report, boost after it. */
	if (!__atomic_exchange_n(&reader->special, 0, __ATOMIC_ACQ_REL))
		return false;
	/* (g) pairs with (h): special before boost. */
	full_fence();
	retour_torture_delay();
	/* In the shared record the leader leaves no mark: any word may be slept on. */
	if (!mutant(no_wake))
		boost_give_up(&reader->boost, tid == READER_SHARED_TID ? 0 : tid);
	return true;
}

bool reader_end_tasks_trace(const struct retour_srcu_bank *bank)
{
	struct retour_rcu_reader *reader = own;

	if (!reader || !__atomic_load_n(&reader->tasks_boost, __ATOMIC_RELAXED) ||
	    __atomic_load_n(&reader->tasks_trace[retour_srcu_bank_index_(bank)], __ATOMIC_RELAXED) > 0)
		return false;
	if (!mutant(no_wake))
		boost_give_up(&reader->tasks_boost, __atomic_load_n(&reader->tid, __ATOMIC_RELAXED));
	return true;
}

/* The next claim finds it at once. */
static void hint_at(const struct retour_rcu_reader *reader)
{
	for (int slab = 0; slab < SLABS && slabs[slab]; slab++) {
		unsigned long index = reader - slabs[slab];

		if (index < FIRST << slab)
			__atomic_store_n(&hint, index + slab_start(slab), __ATOMIC_RELAXED);
	}
}

/* The destructor of exit_key. */
static void give_back(void *value)
{
	struct retour_rcu_reader *reader = own;

	torn_down = true;
	/* A thread that ends inside a section is found by the leader. */
	if (!reader || !is_unused(reader))
		return;
	retour_rcu_reader = NULL;
	retour_barrier();	/* (o): a handler that finds the one finds the other. */
	own = NULL;
	retour_barrier();	/* (o) */
	reader_report(reader);
	/* (k) pairs with (l). */
	__atomic_store_n(&reader->tid, 0, __ATOMIC_RELEASE);
	hint_at(reader);
}

void reader_free_dead(struct retour_rcu_reader *reader, int tid)
{
	/* (k).  If each of two leaders misses what the other does, it is found when records run short. */
	if (is_unused(reader))
		__atomic_compare_exchange_n(&reader->tid, &tid, 0, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

bool reader_bury(struct retour_rcu_reader *reader, int tid)
{
	/* (l) pairs with (k). */
	if (__atomic_load_n(&reader->tid, __ATOMIC_ACQUIRE) != tid)
		return false;
	__atomic_store_n(&reader->special, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&reader->boost, 0, __ATOMIC_RELAXED);
	/* (k): another domain's leader may free the record now. */
	__atomic_store_n(&reader->nesting, 0, __ATOMIC_RELEASE);
	reader_free_dead(reader, tid);
	return true;
}

void reader_after_fork(void)
{
	process = sys_getpid();
	reader_at(READER_SHARED)->nesting = shared_nesting;
	for (unsigned long i = 0; i < count; i++) {
		struct retour_rcu_reader *reader = reader_at(i);

		reader->special = 0;
		reader->boost = 0;
		reader->tasks_boost = 0;
		if (reader == own) {
			reader->tid = sys_gettid();
		} else if (i != READER_SHARED && !mutant(fork_keeps_readers)) {
			reader->tid = 0;
			reader->srcu_cookie = NULL;
			reader->nesting = 0;
			reader->tasks_trace[0] = 0;
			reader->tasks_trace[1] = 0;
		}
	}
}

__attribute__((constructor(101))) static void reader_init(void)
{
	process = sys_getpid();
	membarrier_usable();
	exit_key_usable = pthread_key_create(&exit_key, give_back) == 0 && exit_key < FIRST_KEYS;
}

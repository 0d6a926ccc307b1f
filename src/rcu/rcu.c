/* SPDX-License-Identifier: MIT */
/*
 * retour_rcu: the slow paths of its readers and its grace period.
 *
 * The theory, with the proofs and the partners of the lettered barriers, is in
 * docs/rcu.md, section 4.
 */
#include "retour/rcu.h"

#include "rcu/boost.h"
#include "rcu/callback.h"
#include "rcu/domain.h"
#include "rcu/gp.h"
#include "rcu/held.h"
#include "rcu/membarrier.h"
#include "rcu/reader.h"
#include "rcu/report.h"

static void rcu_run(struct retour_rcu_domain *domain);

static void rcu_after_fork(struct retour_rcu_domain *domain)
{
	reader_after_fork();
	callback_after_fork(domain);
}

static const struct retour_rcu_ops rcu_ops = {
	.run = rcu_run,
	.after_fork = rcu_after_fork,
	.holds = retour_rcu_read_lock_held_slow,
};

struct retour_rcu_domain retour_rcu_domain = RETOUR_RCU_DOMAIN_INIT(&rcu_ops, "retour_rcu");

__attribute__((constructor(102))) static void rcu_init(void)
{
	/* If the program has the library twice, by its name it is the first one's, which has listed it. */
	if (retour_rcu_domain.ops == &rcu_ops)
		domain_register(&retour_rcu_domain);
}

/*
 * Readers come here for their first section, and always when membarrier cannot
 * stand for their fences or there is no record for them.
 */
void retour_rcu_read_lock_slow_notrace(void)
{
	struct retour_rcu_reader *reader = reader_claim_or(reader_shared_nesting());

	if (reader)
		retour_rcu_add_(&reader->nesting, 1);
	else
		__atomic_fetch_add(&reader_at(READER_SHARED)->nesting, 1, __ATOMIC_RELAXED);
	/* (H) as a fence. */
	full_fence();
}

void retour_rcu_read_lock_slow(void)
{
	bool first = !reader_own();

	retour_rcu_read_lock_slow_notrace();
	if (first && reader_own())
		hook(RETOUR_RCU_EVENT_READER_CLAIM, &retour_rcu_domain,
		     __atomic_load_n(&reader_own()->tid, __ATOMIC_RELAXED));
}

/* The decrement, where the inline part left it to us; returns the record it was. */
static struct retour_rcu_reader *unlock_without_record(void)
{
	struct retour_rcu_reader *reader = reader_own();
	long *shared = reader_shared_nesting();

	if (*shared) {
		reader = reader_at(READER_SHARED);
		/* (I) and (J) as atomic instruction and fence. */
		__atomic_fetch_sub(&reader->nesting, 1, __ATOMIC_SEQ_CST);
		retour_barrier();	/* (o) */
		--*shared;
	} else if (reader) {
		retour_rcu_add_(&reader->nesting, -1);
	}
	/* (J) as a fence. */
	full_fence();
	return reader;
}

/* The record whose quiescent state is to be reported, or NULL. */
static struct retour_rcu_reader *unlock_slow(void)
{
	struct retour_rcu_reader *reader = retour_rcu_reader;

	if (!reader)
		reader = unlock_without_record();
	if (!reader || __atomic_load_n(&reader->nesting, __ATOMIC_RELAXED) ||
	    !__atomic_load_n(&reader->special, __ATOMIC_RELAXED))
		return NULL;
	retour_torture_delay();
	return reader;
}

void retour_rcu_read_unlock_slow_notrace(void)
{
	struct retour_rcu_reader *reader = unlock_slow();

	if (reader)
		reader_report(reader);
}

void retour_rcu_read_unlock_slow(void)
{
	struct retour_rcu_reader *reader = unlock_slow();

	if (!reader)
		return;
	if (mutant(late_report))
		hook(RETOUR_RCU_EVENT_QS_REPORT, &retour_rcu_domain, __atomic_load_n(&reader->tid, __ATOMIC_RELAXED));
	/* Reported first: a hook that uses readers finds nothing left to report. */
	if (reader_report(reader) && !mutant(late_report))
		hook(RETOUR_RCU_EVENT_QS_REPORT, &retour_rcu_domain, __atomic_load_n(&reader->tid, __ATOMIC_RELAXED));
}

bool retour_rcu_read_lock_held_slow(void)
{
	struct retour_rcu_reader *reader = reader_own();

	return *reader_shared_nesting() || (reader && __atomic_load_n(&reader->nesting, __ATOMIC_RELAXED));
}

static bool in_section(const struct retour_rcu_reader *reader)
{
	/* (N) pairs with (I): the end of the section before the end of the grace period. */
	return __atomic_load_n(&reader->nesting, __ATOMIC_ACQUIRE) != 0;
}

static bool armed(const struct retour_rcu_reader *reader)
{
	/* (Q) pairs with (K), as (N). */
	return __atomic_load_n(&reader->special, __ATOMIC_ACQUIRE) != 0;
}

static void arm(struct retour_rcu_reader *reader)
{
	/* The leader locks on the reader's behalf: "locked by tid" is all the kernel wants to see. */
	__atomic_store_n(&reader->boost, __atomic_load_n(&reader->tid, __ATOMIC_RELAXED), __ATOMIC_RELAXED);
	/* (P) pairs with (K): boost before special. */
	__atomic_store_n(&reader->special, 1, __ATOMIC_RELEASE);
}

static void disarm(struct retour_rcu_reader *reader)
{
	/* (Q), where the reader was faster. */
	if (__atomic_exchange_n(&reader->special, 0, __ATOMIC_ACQUIRE))
		__atomic_store_n(&reader->boost, 0, __ATOMIC_RELAXED);
}

/* Lends the reader this thread's priority meanwhile; false: the thread is dead. */
static bool sleep_boosting(struct retour_rcu_reader *reader, int tid, uint64_t timeout_ns)
{
	unsigned int boost;

	switch (tid == READER_SHARED_TID ? -ENOSYS : boost_sleep(&reader->boost, timeout_ns)) {
	case -ESRCH:
		return mutant(dead_reader_hangs);
	case 0:
	case -ETIMEDOUT:
	case -EAGAIN:
	case -EINTR:
		return true;
	default:
		/* No priority inheritance: the reader is this thread, or shared, or the kernel has none. */
		boost = __atomic_load_n(&reader->boost, __ATOMIC_RELAXED);
		if (armed(reader) && boost)
			futex_wait(&reader->boost, boost, timeout_ns < 10000000 ? timeout_ns : 10000000);
		return true;
	}
}

static void bury(struct retour_rcu_reader *reader, int tid)
{
	const void *where = __atomic_load_n(&reader->where, __ATOMIC_RELAXED);
	unsigned long nesting = __atomic_load_n(&reader->nesting, __ATOMIC_RELAXED);

	if (reader_bury(reader, tid))
		report(&(struct retour_rcu_report){
			.kind = RETOUR_RCU_DEAD_READER,
			.text = "a thread ended inside a read-side section",
			.domain = retour_rcu_domain.name,
			.tid = tid,
			.sections = nesting,
			.where = where,
		});
}

/* Reports for the shared record only wake: another thread may have come in before (M) and since. */
static bool keep_waiting(struct retour_rcu_reader *reader, int tid)
{
	if (armed(reader))
		return true;
	if (tid != READER_SHARED_TID || !in_section(reader))
		return false;
	arm(reader);
	/* (O) as a fence: the shared record's readers have fences of their own. */
	full_fence();
	return true;
}

static int known_tid(int tid)
{
	return tid == READER_SHARED_TID ? 0 : tid;
}

/*
 * Who was armed late may not have seen it, so nobody is slept for before the
 * second membarrier.  Most sections are over before: it comes only now.
 */
static bool show_late(struct retour_rcu_domain *domain, bool *late)
{
	if (!*late || mutant(no_late_membarrier))
		return false;
	*late = false;
	hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, domain, seq_read(&domain->gp));
	/* (O) pairs with (J): late arming before the next look. */
	membarrier_all();
	return true;
}

/*
 * While a thread waits for a PI futex whose owner runs the kernel spins, and
 * keeps other updaters, who might share the grace period, off this CPU.  So a
 * leader that is not alone sleeps without lending first; the mark makes the
 * report wake it.
 */
static bool sleep_for(struct retour_rcu_reader *reader, int tid, struct gp_patience *patience)
{
	bool lends = gp_patience_lends(patience) || tid == READER_SHARED_TID;
	uint64_t timeout_ns;

	gp_show_leader(&retour_rcu_domain);
	boost_lock_for(&reader->boost, tid, lends ? 0 : FUTEX_WAITERS);
	/* (h) pairs with (g): boost before the last look at special. */
	full_fence();
	if (!armed(reader) && !mutant(no_last_look))
		return true;
	gp_patience_report(patience, &retour_rcu_domain, known_tid(tid),
			   __atomic_load_n(&reader->nesting, __ATOMIC_RELAXED),
			   __atomic_load_n(&reader->where, __ATOMIC_RELAXED));
	hook(RETOUR_RCU_EVENT_GP_WAIT, &retour_rcu_domain, known_tid(tid));
	timeout_ns = gp_patience_sleep(patience, &retour_rcu_domain);
	if (lends)
		return sleep_boosting(reader, tid, timeout_ns);
	futex_wait(&reader->boost, tid | FUTEX_WAITERS, timeout_ns < GP_LEND_NS ? timeout_ns : GP_LEND_NS);
	return true;
}

/* The record is armed. */
static void wait_reader(struct retour_rcu_reader *reader, bool *late)
{
	struct gp_patience patience = gp_patience_begin(&retour_rcu_domain);
	int tid;

	while (tid = __atomic_load_n(&reader->tid, __ATOMIC_RELAXED), keep_waiting(reader, tid)) {
		if (!in_section(reader)) {
			disarm(reader);
			break;
		}
		retour_torture_delay();
		if (gp_patience_spin(&patience) || show_late(&retour_rcu_domain, late))
			continue;
		if (!sleep_for(reader, tid, &patience))
			bury(reader, tid);
	}
	gp_patience_end(&patience, &retour_rcu_domain);
}

/* Is the record, the shared one or another thread's, one that membarrier must make visible? */
static bool is_remote(unsigned long index, const struct retour_rcu_reader *reader)
{
	if (index == READER_SHARED)
		return __atomic_load_n(&reader->nesting, __ATOMIC_RELAXED) != 0;
	return __atomic_load_n(&reader->tid, __ATOMIC_RELAXED) != 0 && reader != reader_own();
}

/* Early, so that one membarrier makes both readers visible to us and special visible to them. */
static bool first_look(unsigned long n)
{
	bool remote = false;

	for (unsigned long i = 0; i < n; i++) {
		struct retour_rcu_reader *reader = reader_at(i);

		remote |= is_remote(i, reader);
		if (__atomic_load_n(&reader->nesting, __ATOMIC_RELAXED)) {
			arm(reader);
			/* Its claim may have been under way just now. */
			remote |= reader != reader_own();
		}
	}
	return remote;
}

/* True if a section began between the looks, or a report came too early. */
static bool second_look(unsigned long n)
{
	bool late = false;

	for (unsigned long i = 0; i < n; i++) {
		struct retour_rcu_reader *reader = reader_at(i);

		if (!in_section(reader)) {
			if (armed(reader))
				disarm(reader);
		} else if (!armed(reader) && !mutant(report_trusted)) {
			arm(reader);
			late = true;
		}
	}
	return late;
}

static void rcu_run(struct retour_rcu_domain *domain)
{
	unsigned long n;
	bool remote, late;

	/* (L) pairs with (G), (A): the removal before the look at the records; behind the exchange of seq_begin(). */
	fence_after_atomic();
	n = reader_count();
	remote = first_look(n);
	if (remote && !mutant(no_membarrier)) {
		hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, domain, seq_read(&domain->gp));
		/* (M) pairs with (H), (J): removal and arming before the second look. */
		membarrier_all();
	}
	retour_torture_delay();
	late = !mutant(no_rescan) && second_look(n);
	for (unsigned long i = 0; i < n; i++)
		if (armed(reader_at(i)))
			wait_reader(reader_at(i), &late);
}

void retour_synchronize_rcu(void)
{
	held_check_wait(&retour_rcu_domain, __builtin_return_address(0));
	gp_synchronize(&retour_rcu_domain);
}

void retour_synchronize_rcu_expedited(void)
{
	held_check_wait(&retour_rcu_domain, __builtin_return_address(0));
	gp_synchronize_expedited(&retour_rcu_domain);
}

void retour_call_rcu_extern(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head))
{
	callback_queue(&retour_rcu_domain, head, func);
}

void retour_rcu_barrier(void)
{
	held_check_wait(&retour_rcu_domain, __builtin_return_address(0));
	callback_barrier(&retour_rcu_domain, __builtin_return_address(0));
}

unsigned long retour_get_state_synchronize_rcu(void)
{
	return gp_snap(&retour_rcu_domain);
}

unsigned long retour_start_poll_synchronize_rcu_extern(void)
{
	return callback_start_poll(&retour_rcu_domain);
}

unsigned long retour_start_poll_synchronize_rcu_expedited_extern(void)
{
	gp_expedite(&retour_rcu_domain, gp_snap(&retour_rcu_domain));
	return callback_start_poll(&retour_rcu_domain);
}

bool retour_poll_state_synchronize_rcu(unsigned long cookie)
{
	return gp_poll(&retour_rcu_domain, cookie);
}

void retour_cond_synchronize_rcu(unsigned long cookie)
{
	if (gp_poll(&retour_rcu_domain, cookie))
		return;
	held_check_wait(&retour_rcu_domain, __builtin_return_address(0));
	gp_wait(&retour_rcu_domain, cookie);
}

void retour_cond_synchronize_rcu_expedited(unsigned long cookie)
{
	if (gp_poll(&retour_rcu_domain, cookie))
		return;
	held_check_wait(&retour_rcu_domain, __builtin_return_address(0));
	gp_wait_expedited(&retour_rcu_domain, cookie);
}

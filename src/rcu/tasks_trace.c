/* SPDX-License-Identifier: MIT */
/*
 * The SRCU domain for readers that may fault, sleep and block.
 *
 * Grace periods go by the domain's counters alone.  What each thread counts in
 * its reader record tells only whom they wait for, and what the counters lack
 * when a thread has ended inside.
 */
#include "retour/rcu_tasks_trace.h"

#include "rcu/area.h"
#include "rcu/domain.h"
#include "rcu/mutant.h"
#include "rcu/reader.h"
#include "rcu/report.h"
#include "rcu/srcu.h"
#include "rcu/thread.h"

/* A thread that forked inside sections: they are not in the counters of the child. */
static int forked_inside;

static bool in_section(const struct retour_rcu_reader *reader)
{
	return __atomic_load_n(&reader->tasks_trace[0], __ATOMIC_RELAXED) > 0 ||
	       __atomic_load_n(&reader->tasks_trace[1], __ATOMIC_RELAXED) > 0;
}

void retour_rcu_tasks_trace_count_slow(const struct retour_srcu_bank *bank, long n)
{
	long *unrecorded = reader_unrecorded();
	struct retour_rcu_reader *reader = n > 0 ? reader_claim_or(unrecorded) : reader_own();

	if (reader)
		retour_rcu_add_(&reader->tasks_trace[retour_srcu_bank_index_(bank)], n);
	else if (n < 0 && *unrecorded)
		--*unrecorded;
}

/* Behind (W): who leads sees the thread's count go, or is seen to wait for it. */
void retour_rcu_read_unlock_tasks_trace_slow_notrace(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	srcu_unlock_slow(ssp, bank);
	reader_end_tasks_trace(bank);
}

void retour_rcu_read_unlock_tasks_trace_slow(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	struct retour_rcu_reader *reader = reader_own();
	bool woke = srcu_unlock_slow(ssp, bank);

	if (reader_end_tasks_trace(bank) || woke)
		hook(RETOUR_RCU_EVENT_QS_REPORT, &ssp->domain, reader ? __atomic_load_n(&reader->tid, __ATOMIC_RELAXED) : 0);
}

bool retour_rcu_read_lock_tasks_trace_held_slow(void)
{
	struct retour_rcu_reader *reader = reader_own();

	return *reader_unrecorded() || (reader && in_section(reader));
}

/* How many sections of the bank the thread left open, if it has ended and still has the record. */
static long left_open(const struct retour_rcu_reader *reader, int tid, unsigned int index)
{
	long n;

	if (tid == forked_inside || !thread_is_dead(tid) || mutant(dead_reader_hangs))
		return 0;
	/* (N) pairs with (I): who finds a later owner's count finds its claim. */
	n = __atomic_load_n(&reader->tasks_trace[index], __ATOMIC_ACQUIRE);
	return __atomic_load_n(&reader->tid, __ATOMIC_RELAXED) == tid ? n : 0;
}

static void bury(struct retour_rcu_reader *reader, int tid, struct retour_srcu_bank *bank, long n)
{
	/* Known where debug code told. */
	const void *where = __atomic_load_n(&reader->srcu_cookie, __ATOMIC_RELAXED) == bank ?
				    __atomic_load_n(&reader->srcu_where, __ATOMIC_RELAXED) : NULL;

	area_unlock(bank, n);
	/* (k) */
	__atomic_store_n(&reader->tasks_trace[retour_srcu_bank_index_(bank)], 0, __ATOMIC_RELEASE);
	reader_free_dead(reader, tid);
	report(&(struct retour_rcu_report){
		.kind = RETOUR_RCU_DEAD_READER,
		.text = "a thread ended inside a read-side section",
		.domain = retour_rcu_tasks_trace_srcu_struct.domain.name,
		.tid = tid,
		.sections = n,
		.where = where,
	});
}

static struct retour_rcu_reader *holder(struct retour_srcu_bank *bank)
{
	unsigned int index = retour_srcu_bank_index_(bank);
	struct retour_rcu_reader *found = NULL;

	for (unsigned long i = READER_SHARED + 1; i < reader_count(); i++) {
		struct retour_rcu_reader *reader = reader_at(i);
		int tid = __atomic_load_n(&reader->tid, __ATOMIC_RELAXED);
		long n;

		if (tid <= 0 || __atomic_load_n(&reader->tasks_trace[index], __ATOMIC_RELAXED) <= 0)
			continue;
		n = left_open(reader, tid, index);
		if (n > 0)
			bury(reader, tid, bank, n);
		else
			found = reader;
	}
	return found;
}

static void after_fork(struct retour_rcu_domain *domain)
{
	struct retour_srcu_area *area = retour_rcu_tasks_trace_srcu_struct.area;

	srcu_after_fork(domain);
	reader_after_fork();
	if (reader_own() && in_section(reader_own()) && area != retour_rcu_tasks_trace_srcu_struct.area)
		forked_inside = reader_own()->tid;
}

static const struct retour_rcu_ops ops = {
	.run = srcu_run,
	.after_fork = after_fork,
	.readers_may_block = true,
	.holds = retour_rcu_read_lock_tasks_trace_held_slow,
	.holder = holder,
};

struct retour_srcu_struct retour_rcu_tasks_trace_srcu_struct = RETOUR_SRCU_INIT_OPS_(&ops, "retour_tasks", RETOUR_SRCU_FAST);

__attribute__((constructor(101))) static void tasks_trace_init(void)
{
	/* As in rcu_init(). */
	if (retour_rcu_tasks_trace_srcu_struct.domain.ops == &ops)
		retour_srcu_module_coming(&retour_rcu_tasks_trace_srcu_struct);
}

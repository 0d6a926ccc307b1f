/* SPDX-License-Identifier: MIT */
/*
 * retour_srcu: the slow paths of its readers and its grace period.
 *
 * The theory, with the proofs and the partners of the lettered barriers, is in
 * docs/rcu.md, section 5.
 */
#include "rcu/srcu.h"

#include "rcu/area.h"
#include "rcu/boost.h"
#include "rcu/callback.h"
#include "rcu/domain.h"
#include "rcu/flavour.h"
#include "rcu/gp.h"
#include "rcu/held.h"
#include "rcu/membarrier.h"
#include "rcu/reader.h"
#include "rcu/report.h"

static struct retour_srcu_struct *srcu_of(struct retour_rcu_domain *domain)
{
	return (struct retour_srcu_struct *)((char *)domain - offsetof(struct retour_srcu_struct, domain));
}

/* Where readers find the bank without a call, if they may do without fences. */
static void publish_bank(struct retour_srcu_struct *ssp)
{
	/* Readers may try to put theirs there at the same time; it is the leader's (attach) since before. */
	struct retour_srcu_area *area = __atomic_load_n(&ssp->area, __ATOMIC_RELAXED);

	/* (Y) pairs with (R): the area before the pointer to it. */
	if (membarrier_usable())
		__atomic_store_n(&ssp->current_bank[ssp->flavour], area_bank(area, area->index), __ATOMIC_RELEASE);
}

/* The domain's area, made if there is none. */
static struct retour_srcu_area *attach(struct retour_srcu_struct *ssp)
{
	/* (j) pairs with (i). */
	struct retour_srcu_area *area = __atomic_load_n(&ssp->area, __ATOMIC_ACQUIRE), *none = NULL;

	if (area)
		return area;
	area = area_get();
	/* (i), (j). */
	if (!__atomic_compare_exchange_n(&ssp->area, &none, area, false, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
		area_put(area);
		area = none;
	}
	return area;
}

/*
 * The leader makes no system call as long as nobody came here.  Then readers
 * pass by, so all of them are ordered by the fence of the first.
 */
static void show_reader(struct retour_srcu_struct *ssp, struct retour_srcu_area *area)
{
	struct retour_srcu_bank *none = NULL;

	if (!__atomic_load_n(&ssp->has_readers, __ATOMIC_RELAXED))
		__atomic_store_n(&ssp->has_readers, 1, __ATOMIC_RELAXED);
	if (!membarrier_usable())
		return;
	/* (f) pairs with (L): has_readers before the loads of the first section. */
	full_fence();
	/* (Y), but not publish_bank(): who is not the leader must not undo a flip. */
	__atomic_compare_exchange_n(&ssp->current_bank[ssp->flavour], &none,
				    area_bank(area, __atomic_load_n(&area->index, __ATOMIC_RELAXED)), false,
				    __ATOMIC_RELEASE, __ATOMIC_RELAXED);
}

/* Counts a section of the bank without rseq. */
static struct retour_srcu_bank *count_atomically(struct retour_srcu_bank *bank)
{
	__atomic_fetch_add(&area_slot(bank)->atomic_lock, 1, __ATOMIC_RELAXED);
	if (mutant(srcu_wrong_cookie))
		return retour_srcu_bank_index_(bank) ? bank - 1 : bank + 1;
	return bank;
}

/* For a reader that finds none: the first, one of another flavour, or any where readers need fences. */
static __attribute__((noinline)) struct retour_srcu_bank *
lock_without_bank(struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour, const void *where)
{
	struct retour_srcu_area *area = attach(ssp);
	struct retour_srcu_bank *bank;

	if (ssp->flavour != (unsigned int)flavour)
		flavour_note(ssp, where);
	if (!__atomic_load_n(&ssp->current_bank[ssp->flavour], __ATOMIC_RELAXED))
		show_reader(ssp, area);
	bank = count_atomically(area_bank(area, __atomic_load_n(&area->index, __ATOMIC_RELAXED)));
	/* (R) and (f) as a fence. */
	if (!membarrier_usable())
		full_fence();
	return bank;
}

/* Where there is a bank but no rseq, or a sequence was aborted, there is nothing to do but to count. */
static struct retour_srcu_bank *lock_slow_notrace(struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour,
						  const void *where)
{
	/* (R) pairs with (Y). */
	struct retour_srcu_bank *bank = __atomic_load_n(&ssp->current_bank[flavour], __ATOMIC_CONSUME);

	return bank ? count_atomically(bank) : lock_without_bank(ssp, flavour, where);
}

static struct retour_srcu_bank *lock_slow(struct retour_srcu_struct *ssp, enum retour_srcu_flavour flavour,
					  const void *where)
{
	/* (R) */
	struct retour_srcu_bank *bank = __atomic_load_n(&ssp->current_bank[flavour], __ATOMIC_CONSUME);
	bool first;

	if (bank)
		return count_atomically(bank);
	first = !__atomic_load_n(&ssp->has_readers, __ATOMIC_RELAXED);
	bank = lock_without_bank(ssp, flavour, where);
	flavour_tell(ssp);
	if (first)
		hook(RETOUR_RCU_EVENT_READER_CLAIM, &ssp->domain, 0);
	return bank;
}

struct retour_srcu_bank *retour_srcu_read_lock_slow_notrace(struct retour_srcu_struct *ssp)
{
	return lock_slow_notrace(ssp, RETOUR_SRCU_FAST, __builtin_return_address(0));
}

struct retour_srcu_bank *retour_srcu_read_lock_slow_updown_notrace(struct retour_srcu_struct *ssp)
{
	return lock_slow_notrace(ssp, RETOUR_SRCU_FAST_UPDOWN, __builtin_return_address(0));
}

struct retour_srcu_bank *retour_srcu_read_lock_slow(struct retour_srcu_struct *ssp)
{
	return lock_slow(ssp, RETOUR_SRCU_FAST, __builtin_return_address(0));
}

struct retour_srcu_bank *retour_srcu_read_lock_slow_updown(struct retour_srcu_struct *ssp)
{
	return lock_slow(ssp, RETOUR_SRCU_FAST_UPDOWN, __builtin_return_address(0));
}

void retour_srcu_read_unlock_atomic(struct retour_srcu_bank *bank)
{
	area_unlock(bank, 1);
}

bool srcu_unlock_slow(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	/* (W) pairs with (a): unlock is counted before sleeping is read. */
	full_fence();
	retour_torture_delay();
	if (__atomic_load_n(&ssp->draining, __ATOMIC_RELAXED) != bank || mutant(srcu_no_wake) ||
	    !__atomic_load_n(&ssp->sleeping, __ATOMIC_RELAXED) ||
	    !__atomic_exchange_n(&ssp->sleeping, 0, __ATOMIC_RELAXED))
		return false;
	futex_wake(&ssp->sleeping, 1);
	return true;
}

void retour_srcu_read_unlock_slow_notrace(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	srcu_unlock_slow(ssp, bank);
}

void retour_srcu_read_unlock_slow(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	if (srcu_unlock_slow(ssp, bank))
		hook(RETOUR_RCU_EVENT_QS_REPORT, &ssp->domain, 0);
}

/* From now on unlocks of the domain look whether the leader sleeps. */
static void show_waiting(struct retour_srcu_struct *ssp)
{
	__atomic_store_n(&ssp->waiting, 1, __ATOMIC_RELAXED);
}

/* For any of them. */
static void sleep_for_readers(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank, uint64_t timeout_ns)
{
	__atomic_store_n(&ssp->sleeping, 1, __ATOMIC_RELAXED);
	/* (a) pairs with (W): sleeping before the sum. */
	full_fence();
	retour_torture_delay();
	if (!area_is_drained(bank)) {
		hook(RETOUR_RCU_EVENT_GP_WAIT, &ssp->domain, 0);
		futex_wait(&ssp->sleeping, 1, timeout_ns);
	}
	__atomic_store_n(&ssp->sleeping, 0, __ATOMIC_RELAXED);
}

/* For the one who is known, lending it this thread's priority; false: that cannot be. */
static bool sleep_for_holder(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank,
			     struct retour_rcu_reader *holder, uint64_t timeout_ns)
{
	int tid = __atomic_load_n(&holder->tid, __ATOMIC_RELAXED);
	int err;

	boost_lock_for(&holder->tasks_boost, tid, 0);
	/* (a): the futex before the thread's own count. */
	full_fence();
	retour_torture_delay();
	if (__atomic_load_n(&holder->tasks_trace[retour_srcu_bank_index_(bank)], __ATOMIC_RELAXED) <= 0)
		return true;
	hook(RETOUR_RCU_EVENT_GP_WAIT, &ssp->domain, tid);
	err = boost_sleep(&holder->tasks_boost, timeout_ns);
	return err != -ENOSYS && err != -EINVAL && err != -EDEADLK && err != -EPERM;
}

/* Names who debug code says is in a section of the bank, or the holder, which has none to say where, or nobody. */
static void report_stall(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank, unsigned long sections,
			 struct retour_rcu_reader *holder, struct gp_patience *patience)
{
	const void *where = NULL;

	for (unsigned long i = READER_SHARED + 1; i < reader_count() && !where; i++) {
		struct retour_rcu_reader *reader = reader_at(i);

		if (__atomic_load_n(&reader->srcu_cookie, __ATOMIC_RELAXED) == bank) {
			holder = reader;
			where = __atomic_load_n(&reader->srcu_where, __ATOMIC_RELAXED);
		}
	}
	gp_patience_report(patience, &ssp->domain, holder ? __atomic_load_n(&holder->tid, __ATOMIC_RELAXED) : 0,
			   sections, where);
}

static void sleep_in_drain(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank, unsigned long sections,
			   struct gp_patience *patience)
{
	struct retour_rcu_reader *holder = ssp->domain.ops->holder ? ssp->domain.ops->holder(bank) : NULL;
	bool lends = holder && gp_patience_lends(patience);
	uint64_t timeout_ns;

	gp_show_leader(&ssp->domain);
	if (gp_patience_is_over(patience))
		report_stall(ssp, bank, sections, holder, patience);
	timeout_ns = gp_patience_sleep(patience, &ssp->domain);
	if (lends && sleep_for_holder(ssp, bank, holder, timeout_ns))
		return;
	sleep_for_readers(ssp, bank, holder && !lends && timeout_ns > GP_LEND_NS ? GP_LEND_NS : timeout_ns);
}

static void drain(struct retour_srcu_struct *ssp, struct retour_srcu_bank *bank)
{
	struct gp_patience patience;
	unsigned long sections;

	if (area_is_drained(bank))
		return;
	__atomic_store_n(&ssp->draining, bank, __ATOMIC_RELAXED);
	patience = gp_patience_begin(&ssp->domain);
	while ((sections = area_sections(bank))) {
		if (gp_patience_spin(&patience))
			continue;
		if (!__atomic_load_n(&ssp->waiting, __ATOMIC_RELAXED)) {
			show_waiting(ssp);
			hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, &ssp->domain, seq_read(&ssp->domain.gp));
			/* (Z) pairs with (T): waiting before the sum. */
			membarrier_all();
			continue;
		}
		sleep_in_drain(ssp, bank, sections, &patience);
	}
	gp_patience_end(&patience, &ssp->domain);
}

void srcu_run(struct retour_rcu_domain *domain)
{
	struct retour_srcu_struct *ssp = srcu_of(domain);
	struct retour_srcu_area *area;
	struct retour_srcu_bank *old, *idle;

	/* (L) pairs with (f), (A): the removal before the look for readers. */
	fence_after_atomic();
	if (!__atomic_load_n(&ssp->has_readers, __ATOMIC_RELAXED) && !mutant(srcu_unused_membarrier))
		return;
	flavour_tell(ssp);
	area = attach(ssp);
	old = area_bank(area, area->index);
	idle = area_bank(area, !area->index);
	publish_bank(ssp);
	if (!area_is_drained(old) || !area_is_drained(idle))
		show_waiting(ssp);
	if (!process_is_single_threaded() && !mutant(srcu_no_membarrier)) {
		hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, domain, seq_read(&domain->gp));
		/* (X) pairs with (R), (T): the removal, and waiting, before the sums. */
		membarrier_all();
	}
	retour_torture_delay();
	if (!mutant(srcu_single_phase))
		drain(ssp, idle);
	if (!mutant(srcu_no_flip)) {
		__atomic_store_n(&area->index, !area->index, __ATOMIC_RELAXED);
		publish_bank(ssp);
	}
	retour_torture_delay();
	drain(ssp, old);
	__atomic_store_n(&ssp->waiting, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ssp->draining, NULL, __ATOMIC_RELAXED);
}

/*
 * Sections of the parent's other threads never end here, so their counters are
 * left behind, and with them those of this thread: its open sections protect
 * nothing any more, and their cookies do no harm.
 */
void srcu_after_fork(struct retour_rcu_domain *domain)
{
	struct retour_srcu_struct *ssp = srcu_of(domain);
	struct retour_srcu_area *area;

	callback_after_fork(domain);
	ssp->waiting = 0;
	ssp->sleeping = 0;
	ssp->draining = NULL;
	if (!ssp->has_readers || process_was_single_threaded() || mutant(fork_keeps_readers))
		return;
	area = ssp->area;
	ssp->area = area_get();
	publish_bank(ssp);
	/* This thread may be the leader, in a handler that forks. */
	if (ssp->area != area && !mutant(fork_leader_waits))
		area_forget(area);
}

static void srcu_end_section(struct retour_rcu_domain *domain, struct retour_srcu_bank *bank)
{
	retour_srcu_read_unlock_fast_notrace(srcu_of(domain), bank);
}

const struct retour_rcu_ops retour_srcu_ops = {
	.run = srcu_run,
	.after_fork = srcu_after_fork,
	.readers_may_block = true,
	.end_section = srcu_end_section,
};

bool retour_srcu_readers_active(const struct retour_srcu_struct *ssp)
{
	/* (j) pairs with (i). */
	struct retour_srcu_area *area = __atomic_load_n(&ssp->area, __ATOMIC_ACQUIRE);

	return area && (!area_is_drained(area_bank(area, 0)) || !area_is_drained(area_bank(area, 1)));
}

int retour_init_srcu_struct_named(struct retour_srcu_struct *ssp, const char *name, enum retour_srcu_flavour flavour)
{
	if (flavour != RETOUR_SRCU_FAST && flavour != RETOUR_SRCU_FAST_UPDOWN)
		return -EINVAL;
	domain_unregister(&ssp->domain);
	*ssp = (struct retour_srcu_struct)RETOUR_SRCU_INIT_(name, flavour);
	if (area_is_shared(attach(ssp)))
		return -ENOMEM;
	domain_register(&ssp->domain);
	return 0;
}

/* A leader keeps the area; false: there is one. */
static bool give_area_back(struct retour_srcu_struct *ssp)
{
	struct retour_srcu_area *area;
	unsigned long at;

	if (!seq_begin(&ssp->domain.gp, &at) && !mutant(cleanup_under_leader))
		return false;
	area = ssp->area;
	__atomic_store_n(&ssp->current_bank[ssp->flavour], NULL, __ATOMIC_RELAXED);
	__atomic_store_n(&ssp->has_readers, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&ssp->area, NULL, __ATOMIC_RELAXED);
	area_put(area);
	seq_end(&ssp->domain.gp, at);
	return true;
}

int retour_cleanup_srcu_struct(struct retour_srcu_struct *ssp)
{
	int err;

	flavour_tell(ssp);
	if (retour_srcu_readers_active(ssp))
		return -EBUSY;
	err = callback_stop(&ssp->domain, __builtin_return_address(0));
	if (err)
		return err;
	if (!give_area_back(ssp))
		return -EBUSY;
	domain_unregister(&ssp->domain);
	return 0;
}

void retour_srcu_module_coming(struct retour_srcu_struct *ssp)
{
	domain_register(&ssp->domain);
}

/* Waits for nobody: this may be an exit amid readers, updaters, and callbacks, one of which never returns. */
void retour_srcu_module_going(struct retour_srcu_struct *ssp)
{
	if (callback_is_drained(&ssp->domain))
		retour_cleanup_srcu_struct(ssp);
}

void retour_synchronize_srcu(struct retour_srcu_struct *ssp)
{
	held_check_wait(&ssp->domain, __builtin_return_address(0));
	gp_synchronize(&ssp->domain);
}

void retour_synchronize_srcu_expedited(struct retour_srcu_struct *ssp)
{
	held_check_wait(&ssp->domain, __builtin_return_address(0));
	gp_synchronize_expedited(&ssp->domain);
}

void retour_call_srcu_extern(struct retour_srcu_struct *ssp, struct retour_rcu_head *head,
			     void (*func)(struct retour_rcu_head *head))
{
	callback_queue(&ssp->domain, head, func);
}

void retour_srcu_barrier(struct retour_srcu_struct *ssp)
{
	held_check_wait(&ssp->domain, __builtin_return_address(0));
	callback_barrier(&ssp->domain, __builtin_return_address(0));
}

unsigned long retour_get_state_synchronize_srcu(struct retour_srcu_struct *ssp)
{
	return gp_snap(&ssp->domain);
}

unsigned long retour_start_poll_synchronize_srcu_extern(struct retour_srcu_struct *ssp)
{
	return callback_start_poll(&ssp->domain);
}

unsigned long retour_start_poll_synchronize_srcu_expedited_extern(struct retour_srcu_struct *ssp)
{
	gp_expedite(&ssp->domain, gp_snap(&ssp->domain));
	return callback_start_poll(&ssp->domain);
}

bool retour_poll_state_synchronize_srcu(struct retour_srcu_struct *ssp, unsigned long cookie)
{
	return gp_poll(&ssp->domain, cookie);
}

void retour_cond_synchronize_srcu(struct retour_srcu_struct *ssp, unsigned long cookie)
{
	if (gp_poll(&ssp->domain, cookie))
		return;
	held_check_wait(&ssp->domain, __builtin_return_address(0));
	gp_wait(&ssp->domain, cookie);
}

void retour_cond_synchronize_srcu_expedited(struct retour_srcu_struct *ssp, unsigned long cookie)
{
	if (gp_poll(&ssp->domain, cookie))
		return;
	held_check_wait(&ssp->domain, __builtin_return_address(0));
	gp_wait_expedited(&ssp->domain, cookie);
}

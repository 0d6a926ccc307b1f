/* SPDX-License-Identifier: MIT */
/*
 * The grace-period engine that all domains share.
 *
 * The sequence word of a domain is its lock, its counter and its cookies in
 * one.  Who wants a grace period and finds none under way runs it, for itself
 * and for all that came meanwhile; the others sleep.
 */
#include "rcu/gp.h"

#include <sched.h>

#include "rcu/boost.h"
#include "rcu/membarrier.h"
#include "rcu/report.h"
#include "rcu/thread.h"

#define SPIN_LONG_NS 200000
#define LONG_EVERY 256	/* in so many grace periods one spins long, to see whether that is enough */
#ifdef RETOUR_TORTURE
#define SPIN_NS 0			/* what relies on time to pass is found */
#define SLEEP_NS (3600 * 1000000000ull)	/* what relies on the limit hangs */
#else
#define SPIN_NS 4000	/* about what sleep and wake-up cost */
#define SLEEP_NS 1000000000ull
#endif
#define SLEEP_BETWEEN_HOLDERS_NS 1000000000ull
#define SLEEP_WITHOUT_MEMBARRIER_NS 1000000

#define STALL_NEVER_MS (INT64_MAX / 1000000)	/* more would be no time in nanoseconds */

static unsigned long stall_timeout_ms = 21000;

void retour_rcu_set_stall_timeout(unsigned long ms)
{
	__atomic_store_n(&stall_timeout_ms, ms < STALL_NEVER_MS ? ms : STALL_NEVER_MS, __ATOMIC_RELAXED);
}

bool gp_poll(const struct retour_rcu_domain *domain, unsigned long cookie)
{
	if (!seq_done(&domain->gp, cookie))
		return false;
	/* (E) pairs with (A): full ordering for what follows. */
	full_fence();
	retour_tsan_acquire(&domain->gp);
	return true;
}

void gp_show_leader(struct retour_rcu_domain *domain)
{
	unsigned int none = 0;

	if (__atomic_load_n(&domain->gp_leader, __ATOMIC_RELAXED))
		return;
	/* If not now, because a follower has it that was just woken, then before the next sleep. */
	__atomic_compare_exchange_n(&domain->gp_leader, &none, sys_gettid(), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

static void hide_leader(struct retour_rcu_domain *domain)
{
	int tid;

	if (!__atomic_load_n(&domain->gp_leader, __ATOMIC_RELAXED))
		return;
	tid = sys_gettid();
	if ((__atomic_load_n(&domain->gp_leader, __ATOMIC_RELAXED) & FUTEX_TID_MASK) == (unsigned int)tid)
		boost_give_up(&domain->gp_leader, tid);
}

static bool is_real_time(void)
{
	int policy = sys_call(SYS_sched_getscheduler, 0, 0, 0, 0, 0, 0);

	return policy == SCHED_FIFO || policy == SCHED_RR || policy == SCHED_DEADLINE;
}

/*
 * Sleeps while another thread leads.  A real-time thread lends that one its
 * priority, and so, through it, the reader; a leader that does not sleep is
 * not shown, so it looks for one every now and then.  The others need no more
 * than to be woken, all at once.
 */
static void follow(struct retour_rcu_domain *domain, unsigned long seen)
{
	if (!is_real_time())
		seq_sleep(&domain->gp, seen, 0);
	else if (!__atomic_load_n(&domain->gp_leader, __ATOMIC_RELAXED) ||
		 boost_sleep(&domain->gp_leader, GP_LEND_NS * 1000ull) != 0)
		seq_sleep(&domain->gp, seen, GP_LEND_NS);
}

/* False if it counts for nothing. */
static bool lead(struct retour_rcu_domain *domain, unsigned long at)
{
	bool ended;

	retour_tsan_release(domain);
	hook(RETOUR_RCU_EVENT_GP_START, domain, at);
	domain->ops->run(domain);
	retour_torture_delay();
	ended = seq_end(&domain->gp, at);
	hide_leader(domain);
	hook(RETOUR_RCU_EVENT_GP_END, domain, at);
	return ended;
}

void gp_wait(struct retour_rcu_domain *domain, unsigned long cookie)
{
	unsigned long at;

	while (!seq_done(&domain->gp, cookie)) {
		if (seq_begin(&domain->gp, &at))
			lead(domain, at);
		else
			follow(domain, at + SEQ_RUNNING);
	}
	/* (E) pairs with (A). */
	full_fence();
	retour_tsan_acquire(&domain->gp);
}

void gp_synchronize(struct retour_rcu_domain *domain)
{
	unsigned long at;

	/* Who can lead at once needs no cookie: (L) is behind all that it did. */
	if (!seq_begin(&domain->gp, &at)) {
		gp_wait(domain, gp_snap(domain));
	} else if (lead(domain, at)) {
		/* (E), behind the exchange of seq_end(). */
		fence_after_atomic();
		retour_tsan_acquire(&domain->gp);
	} else {
		gp_wait(domain, at + SEQ_STEP);
	}
}

void gp_synchronize_expedited(struct retour_rcu_domain *domain)
{
	gp_wait_expedited(domain, gp_snap(domain));
}

void gp_expedite(struct retour_rcu_domain *domain, unsigned long cookie)
{
	seq_want(&domain->gp_expedited, cookie);
}

void gp_wait_expedited(struct retour_rcu_domain *domain, unsigned long cookie)
{
	gp_expedite(domain, cookie);
	gp_wait(domain, cookie);
}

/*
 * How the last wait for a reader went.  Updaters that share grace periods may
 * have to share a CPU, too: their leader gives it up as soon as it can.  Whose
 * long spin was enough spins long again, which spares the reader, whose unlock
 * does the waking, the system call.
 */
enum gp_last_wait { GP_WAIT_SLEPT, GP_WAIT_SPUN, GP_WAIT_SHARED };

static uint64_t stall_timeout_ns(void)
{
	return __atomic_load_n(&stall_timeout_ms, __ATOMIC_RELAXED) * 1000000ull;
}

static bool is_expedited(const struct retour_rcu_domain *domain)
{
	return !seq_done(&domain->gp, __atomic_load_n(&domain->gp_expedited, __ATOMIC_RELAXED));
}

static bool long_spin_may_pay(const struct retour_rcu_domain *domain)
{
	if (domain->gp_last_wait == GP_WAIT_SHARED)
		return false;
	return domain->gp_last_wait == GP_WAIT_SPUN || seq_read(&domain->gp) / SEQ_STEP % LONG_EVERY == 0;
}

struct gp_patience gp_patience_begin(const struct retour_rcu_domain *domain)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);
	bool expedited = is_expedited(domain);

	return (struct gp_patience){
		.start = now,
		.spin_until = now + (expedited || long_spin_may_pay(domain) ? SPIN_LONG_NS : SPIN_NS),
		.lend_from = now + (expedited || domain->gp_last_wait != GP_WAIT_SHARED ? 0 : GP_LEND_NS),
		.next_report = now + stall_timeout_ns(),
	};
}

void gp_patience_end(const struct gp_patience *patience, struct retour_rcu_domain *domain)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (seq_read(&domain->gp) & SEQ_SLEEPERS)
		domain->gp_last_wait = GP_WAIT_SHARED;
	else if (now > patience->start + SPIN_NS)
		domain->gp_last_wait = now < patience->spin_until ? GP_WAIT_SPUN : GP_WAIT_SLEPT;
}

bool gp_patience_spin(const struct gp_patience *patience)
{
	for (int i = 0; i < 10; i++)
		cpu_relax();
	return now_ns(CLOCK_MONOTONIC) < patience->spin_until;
}

bool gp_patience_lends(const struct gp_patience *patience)
{
	return now_ns(CLOCK_MONOTONIC) >= patience->lend_from;
}

uint64_t gp_patience_sleep(const struct gp_patience *patience, const struct retour_rcu_domain *domain)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC), limit = SLEEP_NS;

	/* Nobody wakes a leader when a thread ends. */
	if (domain->ops->holder)
		limit = SLEEP_BETWEEN_HOLDERS_NS;
	/* Without membarrier a wake-up can be missed. */
	if (!membarrier_usable())
		limit = SLEEP_WITHOUT_MEMBARRIER_NS;
	if (!stall_timeout_ns() || patience->next_report > now + limit)
		return limit;
	return patience->next_report > now ? patience->next_report - now : 1;
}

bool gp_patience_is_over(const struct gp_patience *patience)
{
	return stall_timeout_ns() && now_ns(CLOCK_MONOTONIC) >= patience->next_report;
}

void gp_patience_report(struct gp_patience *patience, const struct retour_rcu_domain *domain, int tid,
			unsigned long sections, const void *where)
{
	uint64_t now = now_ns(CLOCK_MONOTONIC);

	if (!gp_patience_is_over(patience))
		return;
	patience->next_report = now + stall_timeout_ns();
	report(&(struct retour_rcu_report){
		.kind = RETOUR_RCU_STALL,
		.text = "a grace period waits for a reader",
		.domain = domain->name,
		.tid = tid,
		.sections = sections,
		.duration_ms = (now - patience->start) / 1000000,
		.where = where ? where : thread_pc(tid),
	});
}

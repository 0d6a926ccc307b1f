/* SPDX-License-Identifier: MIT */
/* The three domains behind one table, so that each test runs on each. */
#ifndef TEST_RCU_DOMAINS_H
#define TEST_RCU_DOMAINS_H

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "retour/rcu.h"
#include "retour/srcu.h"
#include "unit/task.h"
#include "unit/test.h"

RETOUR_DEFINE_STATIC_SRCU_FAST(test_srcu);

struct domain {
	const char *name;
	void *(*lock)(void);
	void (*unlock)(void *cookie);
	void *(*lock_notrace)(void);
	void (*unlock_notrace)(void *cookie);
	void (*synchronize)(void);
	void (*expedited)(void);
	void (*call)(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head));
	void (*barrier)(void);
	unsigned long (*get_state)(void);
	unsigned long (*start_poll)(void);
	unsigned long (*start_poll_expedited)(void);
	bool (*poll)(unsigned long cookie);
	void (*cond)(unsigned long cookie);
	void (*cond_expedited)(unsigned long cookie);
	bool (*held)(void);
};

static inline void *rcu_lock(void)
{
	retour_rcu_read_lock();
	return NULL;
}

static inline void rcu_unlock(void *cookie)
{
	retour_rcu_read_unlock();
}

static inline void *rcu_lock_notrace(void)
{
	retour_rcu_read_lock_notrace();
	return NULL;
}

static inline void rcu_unlock_notrace(void *cookie)
{
	retour_rcu_read_unlock_notrace();
}

static inline bool rcu_held(void)
{
	return retour_rcu_read_lock_held();
}

static inline void rcu_call(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head))
{
	retour_call_rcu(head, func);
}

static inline unsigned long rcu_start_poll(void)
{
	return retour_start_poll_synchronize_rcu();
}

static inline unsigned long rcu_start_poll_expedited(void)
{
	return retour_start_poll_synchronize_rcu_expedited();
}

static inline void *srcu_lock(void)
{
	return retour_srcu_read_lock_fast(&test_srcu);
}

static inline void srcu_unlock(void *cookie)
{
	retour_srcu_read_unlock_fast(&test_srcu, cookie);
}

static inline void *srcu_lock_notrace(void)
{
	return retour_srcu_read_lock_fast_notrace(&test_srcu);
}

static inline void srcu_unlock_notrace(void *cookie)
{
	retour_srcu_read_unlock_fast_notrace(&test_srcu, cookie);
}

static inline void srcu_synchronize(void)
{
	retour_synchronize_srcu(&test_srcu);
}

static inline void srcu_expedited(void)
{
	retour_synchronize_srcu_expedited(&test_srcu);
}

static inline void srcu_call(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head))
{
	retour_call_srcu(&test_srcu, head, func);
}

static inline void srcu_barrier(void)
{
	retour_srcu_barrier(&test_srcu);
}

static inline unsigned long srcu_get_state(void)
{
	return retour_get_state_synchronize_srcu(&test_srcu);
}

static inline unsigned long srcu_start_poll(void)
{
	return retour_start_poll_synchronize_srcu(&test_srcu);
}

static inline unsigned long srcu_start_poll_expedited(void)
{
	return retour_start_poll_synchronize_srcu_expedited(&test_srcu);
}

static inline bool srcu_poll(unsigned long cookie)
{
	return retour_poll_state_synchronize_srcu(&test_srcu, cookie);
}

static inline void srcu_cond(unsigned long cookie)
{
	retour_cond_synchronize_srcu(&test_srcu, cookie);
}

static inline void srcu_cond_expedited(unsigned long cookie)
{
	retour_cond_synchronize_srcu_expedited(&test_srcu, cookie);
}

static inline bool srcu_held(void)
{
	return retour_srcu_read_lock_held(&test_srcu);
}

static inline void *trace_lock(void)
{
	return retour_rcu_read_lock_tasks_trace();
}

static inline void trace_unlock(void *cookie)
{
	retour_rcu_read_unlock_tasks_trace(cookie);
}

static inline void *trace_lock_notrace(void)
{
	return retour_rcu_read_lock_tasks_trace_notrace();
}

static inline void trace_unlock_notrace(void *cookie)
{
	retour_rcu_read_unlock_tasks_trace_notrace(cookie);
}

static inline void trace_synchronize(void)
{
	retour_synchronize_rcu_tasks_trace();
}

static inline void trace_expedited(void)
{
	retour_synchronize_rcu_tasks_trace_expedited();
}

static inline void trace_call(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head))
{
	retour_call_rcu_tasks_trace(head, func);
}

static inline void trace_barrier(void)
{
	retour_rcu_barrier_tasks_trace();
}

static inline unsigned long trace_get_state(void)
{
	return retour_get_state_synchronize_rcu_tasks_trace();
}

static inline unsigned long trace_start_poll(void)
{
	return retour_start_poll_synchronize_rcu_tasks_trace();
}

static inline unsigned long trace_start_poll_expedited(void)
{
	return retour_start_poll_synchronize_rcu_tasks_trace_expedited();
}

static inline bool trace_poll(unsigned long cookie)
{
	return retour_poll_state_synchronize_rcu_tasks_trace(cookie);
}

static inline void trace_cond(unsigned long cookie)
{
	retour_cond_synchronize_rcu_tasks_trace(cookie);
}

static inline void trace_cond_expedited(unsigned long cookie)
{
	retour_cond_synchronize_rcu_tasks_trace_expedited(cookie);
}

static inline bool trace_held(void)
{
	return retour_rcu_read_lock_tasks_trace_held();
}

static const struct domain domains[] = {
	{ "retour_rcu", rcu_lock, rcu_unlock, rcu_lock_notrace, rcu_unlock_notrace, retour_synchronize_rcu,
	  retour_synchronize_rcu_expedited, rcu_call, retour_rcu_barrier, retour_get_state_synchronize_rcu,
	  rcu_start_poll, rcu_start_poll_expedited, retour_poll_state_synchronize_rcu, retour_cond_synchronize_rcu,
	  retour_cond_synchronize_rcu_expedited, rcu_held },
	{ "retour_srcu", srcu_lock, srcu_unlock, srcu_lock_notrace, srcu_unlock_notrace, srcu_synchronize, srcu_expedited,
	  srcu_call, srcu_barrier, srcu_get_state, srcu_start_poll, srcu_start_poll_expedited, srcu_poll, srcu_cond,
	  srcu_cond_expedited, srcu_held },
	{ "tasks_trace", trace_lock, trace_unlock, trace_lock_notrace, trace_unlock_notrace, trace_synchronize,
	  trace_expedited, trace_call, trace_barrier, trace_get_state, trace_start_poll, trace_start_poll_expedited,
	  trace_poll, trace_cond, trace_cond_expedited, trace_held },
};

#define for_each_domain(d) for (const struct domain *d = domains; d < domains + 3; d++)

static inline void sleep_ms(unsigned long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t))
		;
}

static inline double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

/* In seconds, for what never comes. */
#ifndef PATIENCE
#define PATIENCE 60
#endif

/* Whether it comes to that, on however busy a machine. */
#define COMES(condition)                                                       \
	({                                                                     \
		double end_ = seconds() + PATIENCE;                            \
		while (!(condition) && seconds() < end_)                       \
			sleep_ms(1);                                           \
		(condition);                                                   \
	})

/* The linker's. */
extern const char __executable_start[], etext[];

/* Is it code of the test, not of a shared library? */
static inline bool is_call_site(const void *where)
{
	return (const char *)where >= __executable_start && (const char *)where < etext;
}

/* A thread that is in a section from holder_begin() to holder_end(). */
struct holder {
	const struct domain *domain;
	pthread_t thread;
	atomic_bool in, leave, left;
};

static inline void *holder_main(void *arg)
{
	struct holder *h = arg;
	void *cookie = h->domain->lock();

	h->in = true;
	while (!h->leave)
		sleep_ms(1);
	h->left = true;
	h->domain->unlock(cookie);
	return NULL;
}

static inline void holder_begin(struct holder *h, const struct domain *domain)
{
	h->domain = domain;
	h->in = h->leave = h->left = false;
	CHECK(pthread_create(&h->thread, NULL, holder_main, h) == 0);
	while (!h->in)
		sched_yield();
}

static inline void holder_end(struct holder *h)
{
	h->leave = true;
	CHECK(pthread_join(h->thread, NULL) == 0);
}

static inline int domains_main(int argc, char **argv)
{
#ifdef __SANITIZE_ADDRESS__
	/* Each test is a child: forked while the workers start, it would find the sanitizer's allocator locked. */
	sleep_ms(300);
#endif
	return test_main(argc, argv);
}

#endif

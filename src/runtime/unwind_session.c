/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU events: one CPU's events want chains of many threads, a thread may
 * owe its chain to many CPUs, and threads migrate between asking and leaving.
 *
 * So a session has one descriptor and is one tracer, whoever of its events
 * asks; the descriptor has a list of events for each possible CPU, and the record
 * goes to the first one of the CPU on which the thread leaves.  A removed
 * event is waited for on its CPU only.
 */
#include "runtime/unwind_event.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "rcu/domain.h"
#include "rcu/percpu.h"
#include "rcu/sys.h"
#include "retour/rcu.h"
#include "runtime/mutant.h"

/* The count of deliveries in flight; above it the times that it became 0. */
#define IDLE_ONE (1ul << 32)

struct cpu_events {
	struct retour_unwind_event *first;
	unsigned long processing;
	unsigned int waiting;		/* removals that sleep, on the upper half of processing */
} __attribute__((aligned(64)));

struct unwind_session {
	struct retour_unwind_work work;
	struct unwind_session *next;
	unsigned long id;
	unsigned int n_events;
	pid_t pid;			/* a child has none of its parent's other threads */
	unsigned long missed;
	struct retour_rcu_head head;
	struct cpu_events cpu[];
};

static struct unwind_session *sessions;	/* under the lock of the domains, which is held over a fork */

static unsigned int *idle_word(struct cpu_events *on)
{
	return (unsigned int *)&on->processing + 1;
}

static void begin_processing(struct cpu_events *on)
{
	__atomic_fetch_add(&on->processing, !mutant(unwind_no_processing), __ATOMIC_RELAXED);
	/* (a) pairs with (b): processing is up before the list is read. */
	full_fence();
	retour_torture_delay();
}

static void end_processing(struct cpu_events *on)
{
	unsigned long old = __atomic_load_n(&on->processing, __ATOMIC_RELAXED), now;

	retour_torture_delay();
	do {
		now = old - !mutant(unwind_no_processing);
		if (!(unsigned int)now)
			now += IDLE_ONE;
		/* (c) pairs with (d): the delivery is over before it is not counted any more. */
	} while (!__atomic_compare_exchange_n(&on->processing, &old, now, false, __ATOMIC_RELEASE, __ATOMIC_RELAXED));
	/* (e) pairs with (b): processing is down before waiting is read. */
	full_fence();
	if (!(unsigned int)now && __atomic_load_n(&on->waiting, __ATOMIC_RELAXED) && !mutant(unwind_no_wake))
		futex_wake(idle_word(on), INT_MAX);
}

static void deliver(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	struct unwind_session *session = (struct unwind_session *)work;
	struct cpu_events *on = &session->cpu[(unsigned int)sched_getcpu() % percpu_possible()];
	struct retour_unwind_event *event;

	begin_processing(on);
	/* (f) pairs with (g): the event behind its pointer. */
	event = __atomic_load_n(&on->first, __ATOMIC_ACQUIRE);
	retour_torture_delay();
	if (event)
		event->attr.deliver(event->attr.data, trace, cookie);
	else
		__atomic_fetch_add(&session->missed, 1, __ATOMIC_RELAXED);
	end_processing(on);
}

/* The count was 0 once since the event left the list: nobody who saw it there is still at it. */
static void wait_for_deliveries(struct cpu_events *on)
{
	unsigned long first, now;

	__atomic_fetch_add(&on->waiting, 1, __ATOMIC_RELAXED);
	/* (b) pairs with (a), (e): the event has left the list, and waiting is up, before processing is read. */
	full_fence();
	/* (d) pairs with (c): deliveries are over. */
	first = __atomic_load_n(&on->processing, __ATOMIC_ACQUIRE);
	for (now = first; (unsigned int)now && first / IDLE_ONE == now / IDLE_ONE;) {
		futex_wait(idle_word(on), (unsigned int)(now / IDLE_ONE), 0);
		/* (d) pairs with (c) */
		now = __atomic_load_n(&on->processing, __ATOMIC_ACQUIRE);
	}
	__atomic_fetch_sub(&on->waiting, 1, __ATOMIC_RELAXED);
}

static struct unwind_session *new_session(unsigned long id)
{
	size_t size = sizeof(struct unwind_session) + percpu_possible() * sizeof(struct cpu_events);
	struct unwind_session *session = aligned_alloc(_Alignof(struct unwind_session), size);

	if (!session)
		return NULL;
	memset(session, 0, size);
	session->id = id;
	session->pid = getpid();
	return session;
}

static struct unwind_session **find_session(unsigned long id)
{
	struct unwind_session **at = &sessions;

	while (*at && (*at)->id != id)
		at = &(*at)->next;
	return at;
}

/* The session of this number; *fresh becomes one if there was none. */
static int join_session(unsigned long id, struct unwind_session **fresh)
{
	struct unwind_session **at = find_session(id);
	int err;

	if (*at)
		return 0;
	err = retour_unwind_deferred_init(&(*fresh)->work, deliver);
	if (!err) {
		*at = *fresh;
		*fresh = NULL;
	}
	return err;
}

int unwind_session_add(struct retour_unwind_event *event)
{
	/* Before the lock: there the allocator's could be a thread's that waits for this one. */
	struct unwind_session *fresh = new_session(event->attr.session), *session;
	struct retour_unwind_event **last;
	sigset_t saved;
	int err;

	if (!fresh)
		return -ENOMEM;
	domains_lock(&saved);
	err = join_session(event->attr.session, &fresh);
	if (!err) {
		session = *find_session(event->attr.session);
		session->n_events++;
		event->session = session;
		for (last = &session->cpu[event->attr.cpu].first; *last;)
			last = &(*last)->next;
		/* (g) pairs with (f): the event before the pointer to it. */
		__atomic_store_n(last, event, __ATOMIC_RELEASE);
	}
	domains_unlock(&saved);
	free(fresh);
	return err;
}

int unwind_session_request(struct unwind_session *session, uint64_t *cookie)
{
	return retour_unwind_deferred_request(&session->work, cookie);
}

unsigned long unwind_session_missed(const struct unwind_session *session)
{
	return __atomic_load_n(&session->missed, __ATOMIC_RELAXED);
}

static void free_session(struct retour_rcu_head *head)
{
	free((char *)head - offsetof(struct unwind_session, head));
}

/* True if it was the session's last event. */
static bool unlink_event(struct retour_unwind_event *event)
{
	struct unwind_session *session = event->session;
	struct retour_unwind_event **at = &session->cpu[event->attr.cpu].first;
	sigset_t saved;
	bool last;

	domains_lock(&saved);
	while (*at != event)
		at = &(*at)->next;
	/* (g) pairs with (f) */
	__atomic_store_n(at, event->next, __ATOMIC_RELEASE);
	last = --session->n_events == 0;
	if (last)
		*find_session(session->id) = session->next;
	domains_unlock(&saved);
	return last;
}

void unwind_session_remove(struct retour_unwind_event *event)
{
	struct unwind_session *session = event->session;
	bool last = unlink_event(event);

	if (session->pid != getpid())
		unwind_deferred_synchronize();
	else
		wait_for_deliveries(&session->cpu[event->attr.cpu]);
	if (last) {
		retour_unwind_deferred_cancel(&session->work);
		retour_call_rcu_extern(&session->head, free_session);
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * Task-bound events: each thread keeps a list of its events that asked.
 *
 * All of them are one tracer, which is called anew for each that asks later in
 * the same entry.  The list is empty when an entry is over, so a closed event
 * is in none after all entries were waited for.
 */
#include "runtime/unwind_event.h"

#include <errno.h>

#include "rcu/domain.h"
#include "runtime/mutant.h"

static __thread struct retour_unwind_event *asked __attribute__((tls_model("initial-exec")));

/* Registered with the first event and kept: what is one for all threads is hardly ever free. */
static struct retour_unwind_work tracer;
static bool registered;		/* under the lock of the domains, which is held over a fork */

static void deliver(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	struct retour_unwind_event *event = __atomic_exchange_n(&asked, NULL, __ATOMIC_RELAXED), *next;

	for (; event; event = next) {
		next = event->next;
		if (!__atomic_load_n(&event->closed, __ATOMIC_RELAXED))
			event->attr.deliver(event->attr.data, trace, cookie);
	}
}

int unwind_task_add(struct retour_unwind_event *event)
{
	sigset_t saved;
	int err = 0;

	event->task = &retour_runtime_task;
	domains_lock(&saved);
	if (!registered)
		err = retour_unwind_deferred_init(&tracer, deliver);
	registered = !err;
	domains_unlock(&saved);
	return err;
}

int unwind_task_request(struct retour_unwind_event *event, uint64_t *cookie)
{
	int err;

	if (event->task != &retour_runtime_task)
		return -EPERM;
	err = unwind_deferred_request_again(&tracer, cookie);
	if (err)
		return err;
	if (__atomic_exchange_n(&event->cookie, *cookie, __ATOMIC_RELAXED) == *cookie)
		return 1;
	/* A handler may come between, and ask for another event. */
	event->next = __atomic_load_n(&asked, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&asked, &event->next, event, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return 0;
}

void unwind_task_remove(struct retour_unwind_event *event)
{
	__atomic_store_n(&event->closed, 1, __ATOMIC_RELAXED);
	if (!mutant(unwind_task_no_wait))
		unwind_deferred_synchronize();
}

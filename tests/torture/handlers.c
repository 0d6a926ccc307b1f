/* SPDX-License-Identifier: MIT */
/*
 * Readers and callers where they are least expected: in signal handlers, at
 * random instructions of whatever the thread does, and in the hooks of the
 * library.  One of the two signals is handled on an alternate stack.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "torture/torture.h"

#define STACK_SIZE 65536
#define HEADS 256

#ifdef __SANITIZE_THREAD__
#define TSAN 1
#else
#define TSAN 0
#endif

/* Of callbacks that handlers queue. */
static struct handler_head {
	struct retour_rcu_head head;
	bool queued;
} heads[HEADS];

static __thread unsigned int hook_depth;
static __thread timer_t timer;
static __thread bool armed;
static __thread void *stack;
static unsigned long ran;

unsigned long handlers_ran(void)
{
	return __atomic_load_n(&ran, __ATOMIC_RELAXED);
}

static void arm(void)
{
	struct itimerspec when = { .it_value.tv_nsec = 1 + torture_random() % (one_in(4) ? 20000 : 1000000) };

	timer_settime(timer, 0, &when, NULL);
}

static void release_head(struct retour_rcu_head *head)
{
	if (!__atomic_exchange_n(&((struct handler_head *)head)->queued, false, __ATOMIC_RELEASE))
		torture_fail("a callback was called twice");
	/* Time for a fork, or for the next call with this head. */
	if (one_in(64))
		sleep_us(200);
}

static void queue_head(void)
{
	struct handler_head *head = &heads[torture_random() % HEADS];

	if (!__atomic_exchange_n(&head->queued, true, __ATOMIC_ACQUIRE))
		torture->call(&head->head, release_head);
}

static void handler(int signal)
{
	int saved = errno;

	errno = EXDEV;
	read_once();
	if (one_in(16))
		queue_head();
	if (one_in(16))
		torture->poll(torture->start_poll());
	/* ThreadSanitizer runs handlers late, in calls of libc, and several in a row. */
	if (errno != EXDEV && !TSAN)
		torture_fail("a reader changed errno");
	__atomic_fetch_add(&ran, 1, __ATOMIC_RELAXED);
	if (armed)
		arm();
	errno = saved;
}

/* Longer, now and then, than a grace period: the next one finds this reader too. */
static void probe(const struct retour_rcu_domain *domain, unsigned long arg)
{
	if (hook_depth++)
		torture_fail("a hook runs in a hook");
	read_nested(1);
	if (one_in(8))
		queue_head();
	hook_depth--;
}

void probe_hooks(bool on)
{
	for (int event = 0; event < RETOUR_RCU_EVENTS; event++)
		retour_rcu_set_hook(event, on ? probe : NULL);
}

void handlers_init(void)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_RESTART };

	sigaction(SIGRTMIN, &action, NULL);
	action.sa_flags |= SA_ONSTACK;
	sigaction(SIGRTMIN + 1, &action, NULL);
}

void handlers_begin(void)
{
	stack_t alternate = { .ss_sp = stack = malloc(STACK_SIZE), .ss_size = STACK_SIZE };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN + one_in(2) };

	event._sigev_un._tid = gettid();
	sigaltstack(&alternate, NULL);
	if (timer_create(CLOCK_MONOTONIC, &event, &timer))
		torture_fail("no timer");
	armed = true;
	arm();
}

void handlers_end(void)
{
	stack_t none = { .ss_flags = SS_DISABLE };

	armed = false;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	timer_delete(timer);
	sigaltstack(&none, NULL);
	free(stack);
}

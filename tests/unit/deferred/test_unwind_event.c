/* SPDX-License-Identifier: MIT */
/* Events, per CPU and task-bound: who gets which record, and sessions that come and go. */
#include "unit/task.h"
#include "unit/test.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <time.h>

#include "retour/rcu.h"
#include "retour/unwind_deferred.h"

#define ALIVE 0x600df00du
#define DEAD 0xdeadu

/* What an event delivers to. */
struct sink {
	struct retour_unwind_event *event;
	unsigned int state;
	unsigned int n;
	unsigned int nr;
	uint64_t cookie;
};

static unsigned int n_delivered;	/* all in all */
static _Atomic bool is_slow;
static _Atomic bool in_delivery, has_delivered;

static void deliver(void *data, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	struct sink *sink = data;

	CHECK(__atomic_load_n(&sink->state, __ATOMIC_RELAXED) == ALIVE);
	in_delivery = has_delivered = true;
	/* Until the first thread waits for this. */
	if (is_slow)
		task_wait_until_it_sleeps(getpid());
	__atomic_fetch_add(&sink->n, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&sink->nr, trace->nr, __ATOMIC_RELAXED);
	__atomic_store_n(&sink->cookie, cookie, __ATOMIC_RELAXED);
	__atomic_fetch_add(&n_delivered, 1, __ATOMIC_RELAXED);
	CHECK(__atomic_load_n(&sink->state, __ATOMIC_RELAXED) == ALIVE);
	in_delivery = false;
}

static int try_open(struct sink *sink, unsigned long session, int cpu)
{
	struct retour_unwind_event_attr attr = { session, cpu, deliver, sink };

	memset(sink, 0, sizeof(*sink));
	sink->state = ALIVE;
	return retour_unwind_event_open(&attr, &sink->event);
}

static void open_event(struct sink *sink, unsigned long session, int cpu)
{
	CHECK(!try_open(sink, session, cpu));
}

static void close_event(struct sink *sink)
{
	CHECK(!retour_unwind_event_close(sink->event));
	sink->state = DEAD;
}

static void move_to(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(0, sizeof(set), &set));
}

/* Two CPUs of this process, or one twice. */
static void two_cpus(int cpu[2])
{
	cpu_set_t set;
	int n = 0;

	CHECK(!sched_getaffinity(0, sizeof(set), &set));
	for (int i = 0; i < CPU_SETSIZE && n < 2; i++)
		if (CPU_ISSET(i, &set))
			cpu[n++] = i;
	if (n < 2)
		cpu[1] = cpu[0];
}

static uint64_t one_entry(struct sink *sink, int ask_on, int leave_on)
{
	uint64_t cookie;

	move_to(ask_on);
	retour_runtime_enter();
	CHECK(retour_unwind_event_request(sink->event, &cookie) == 0);
	move_to(leave_on);
	retour_runtime_leave();
	return cookie;
}

TEST(the_record_goes_to_the_cpu_of_leaving)
{
	struct sink on[2];
	uint64_t cookie;
	int cpu[2];

	two_cpus(cpu);
	if (cpu[0] == cpu[1])
		SKIP("one CPU");
	open_event(&on[0], 1, cpu[0]);
	open_event(&on[1], 1, cpu[1]);
	cookie = one_entry(&on[0], cpu[0], cpu[1]);
	CHECK(on[0].n == 0 && on[1].n == 1 && on[1].cookie == cookie && on[1].nr > 3);
	CHECK_U64((uint32_t)cookie, (uint64_t)cpu[0] + 1);
	cookie = one_entry(&on[0], cpu[1], cpu[0]);
	CHECK(on[0].n == 1 && on[1].n == 1 && on[0].cookie == cookie);
	close_event(&on[0]);
	cookie = one_entry(&on[1], cpu[0], cpu[0]);
	CHECK(on[1].n == 1);
	CHECK_U64(retour_unwind_event_missed(on[1].event), 1);
	close_event(&on[1]);
}

TEST(the_first_event_of_a_cpu_gets_the_record)
{
	struct sink sink[3];
	int cpu[2];

	two_cpus(cpu);
	for (int i = 0; i < 3; i++)
		open_event(&sink[i], 1, cpu[0]);
	one_entry(&sink[2], cpu[0], cpu[0]);
	CHECK(sink[0].n == 1 && sink[1].n == 0 && sink[2].n == 0);
	close_event(&sink[0]);
	one_entry(&sink[2], cpu[0], cpu[0]);
	CHECK(sink[1].n == 1 && sink[2].n == 0);
	close_event(&sink[1]);
	close_event(&sink[2]);
}

TEST(sessions_do_not_see_each_other)
{
	struct sink a, b;
	uint64_t cookies[2];
	int cpu[2];

	two_cpus(cpu);
	open_event(&a, 1, cpu[0]);
	open_event(&b, 2, cpu[0]);
	one_entry(&a, cpu[0], cpu[0]);
	CHECK(a.n == 1 && b.n == 0);
	retour_runtime_enter();
	CHECK(retour_unwind_event_request(a.event, &cookies[0]) == 0);
	CHECK(retour_unwind_event_request(b.event, &cookies[1]) == 0);
	CHECK(retour_unwind_event_request(b.event, &cookies[1]) == 1);
	CHECK(retour_unwind_event_close(a.event) == -EDEADLK);
	retour_runtime_leave();
	CHECK(a.n == 2 && b.n == 1 && a.cookie == b.cookie && cookies[0] == cookies[1]);
	close_event(&a);
	close_event(&b);
}

/* ---- Task-bound ---- */

static struct retour_unwind_event *foreign;

static void *ask_foreign(void *arg)
{
	uint64_t cookie;

	retour_runtime_enter();
	CHECK(retour_unwind_event_request(foreign, &cookie) == -EPERM);
	retour_runtime_leave();
	return NULL;
}

static struct sink chained[2];

static void ask_for_the_other(void *data, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	uint64_t again;

	deliver(data, trace, cookie);
	CHECK(retour_unwind_event_request(chained[0].event, &again) == 1);
	CHECK(retour_unwind_event_request(chained[1].event, &again) == 0);
	CHECK_U64(again, cookie);
}

TEST(task_bound_events_get_their_own_records)
{
	struct retour_unwind_event_attr attr = { 0, RETOUR_UNWIND_TASK, ask_for_the_other, &chained[0] };
	pthread_t thread;
	uint64_t cookie;

	chained[0].state = ALIVE;
	CHECK(!retour_unwind_event_open(&attr, &chained[0].event));
	open_event(&chained[1], 0, RETOUR_UNWIND_TASK);
	foreign = chained[0].event;
	CHECK(!pthread_create(&thread, NULL, ask_foreign, NULL));
	pthread_join(thread, NULL);
	retour_runtime_enter();
	CHECK(retour_unwind_event_request(chained[0].event, &cookie) == 0);
	CHECK(retour_unwind_event_request(chained[0].event, &cookie) == 1);
	retour_runtime_leave();
	CHECK(chained[0].n == 1 && chained[1].n == 1);
	CHECK(chained[0].cookie == cookie && chained[1].cookie == cookie && chained[0].nr == chained[1].nr);
	close_event(&chained[0]);
	close_event(&chained[1]);
}

/* ---- Set-up that fails ---- */

static int allocations_left = -1;	/* -1: no limit */
static long balance;			/* of allocations of set-up */

void *__libc_calloc(size_t n, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define INJECTS 1
static bool may_allocate(void)
{
	if (allocations_left < 0)
		return true;
	if (!allocations_left)
		return false;
	allocations_left--;
	balance++;
	return true;
}

void *calloc(size_t n, size_t size)
{
	return may_allocate() ? __libc_calloc(n, size) : NULL;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	return may_allocate() ? __libc_memalign(alignment, size) : NULL;
}

void free(void *p)
{
	if (p && allocations_left >= 0)
		balance--;
	__libc_free(p);
}
#endif

static unsigned int free_bits(void)
{
	static struct retour_unwind_work work[64];
	unsigned int n = 0;

	while (!retour_unwind_deferred_init(&work[n], NULL))
		n++;
	for (unsigned int i = 0; i < n; i++)
		CHECK(!retour_unwind_deferred_cancel(&work[i]));
	return n;
}

TEST(set_up_that_fails_undoes_itself)
{
	static struct retour_unwind_work work[64];
	struct sink sink;
	unsigned int n_steps;

#ifndef INJECTS
	SKIP("the sanitizer has the allocator");
#endif
	CHECK(try_open(&sink, 1, 1 << 20) == -EINVAL);
	for (n_steps = 0;; n_steps++) {
		int err;

		allocations_left = (int)n_steps;
		balance = 0;
		err = try_open(&sink, 1, 0);
		allocations_left = -1;
		if (!err)
			break;
		CHECK(err == -ENOMEM);
		CHECK_U64((uint64_t)balance, 0);
		CHECK_U64(free_bits(), 62);
	}
	CHECK_U64(n_steps, 2);
	CHECK_U64(free_bits(), 61);
	close_event(&sink);
	CHECK_U64(free_bits(), 62);
	for (unsigned int i = 0; i < 62; i++)
		CHECK(!retour_unwind_deferred_init(&work[i], NULL));
	for (int cpu = RETOUR_UNWIND_TASK; cpu <= 0; cpu++) {
		allocations_left = 10;
		balance = 0;
		CHECK(try_open(&sink, 1, cpu) == -EBUSY);
		allocations_left = -1;
		CHECK_U64((uint64_t)balance, 0);
	}
	CHECK(!retour_unwind_deferred_cancel(&work[3]));
	open_event(&sink, 1, 0);
	one_entry(&sink, 0, 0);
	CHECK_U64(sink.n, 1);
	close_event(&sink);
}

/* ---- Closing ---- */

static struct sink slow;
static int slow_cpu;

static void *deliver_once(void *arg)
{
	one_entry(&slow, slow_cpu, slow_cpu);
	return NULL;
}

static void close_while_delivering(int cpu)
{
	struct sink other;
	pthread_t thread;
	int cpus[2];

	alarm(40);	/* who is not woken hangs */
	two_cpus(cpus);
	slow_cpu = cpus[0];
	open_event(&other, 1, cpus[0]);		/* keeps the session */
	close_event(&other);
	open_event(&slow, 1, cpu == RETOUR_UNWIND_TASK ? cpu : slow_cpu);
	open_event(&other, 1, slow_cpu);
	is_slow = true;
	CHECK(!pthread_create(&thread, NULL, deliver_once, NULL));
	while (!has_delivered)
		usleep(100);
	close_event(&slow);
	CHECK(!in_delivery);
	CHECK_U64(slow.n, 1);
	pthread_join(thread, NULL);
	close_event(&other);
}

TEST(closing_waits_for_the_delivery)
{
	close_while_delivering(0);
}

static _Atomic int stage;

static void *open_and_ask(void *arg)
{
	uint64_t cookie;

	open_event(&slow, 0, RETOUR_UNWIND_TASK);
	retour_runtime_enter();
	CHECK(retour_unwind_event_request(slow.event, &cookie) == 0);
	stage = 1;
	task_wait_until_it_sleeps(getpid());
	stage = 2;
	retour_runtime_leave();
	return NULL;
}

TEST(closing_a_task_bound_event_waits_for_its_thread)
{
	pthread_t thread;
	unsigned int n;

	CHECK(!pthread_create(&thread, NULL, open_and_ask, NULL));
	while (!stage)
		usleep(100);
	close_event(&slow);
	CHECK(stage == 2);
	n = slow.n;
	pthread_join(thread, NULL);
	CHECK(n == slow.n && n <= 1);
	CHECK(!retour_runtime_task.nesting);
}

/* ---- Torture ---- */

#define SESSIONS 4
#define THREADS 4

static struct retour_unwind_event *published[SESSIONS][2];
static _Atomic bool stop;
static unsigned long n_requests, n_sessions;

static unsigned int next_random(unsigned int *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 8;
}

static void request_some(unsigned int random)
{
	struct retour_unwind_event *event;
	uint64_t cookie;
	int ret = -EINVAL;

	retour_rcu_read_lock();
	event = retour_rcu_dereference(published[random % SESSIONS][random / SESSIONS % 2]);
	if (event)
		ret = retour_unwind_event_request(event, &cookie);
	retour_rcu_read_unlock();
	if (!ret)
		__atomic_fetch_add(&n_requests, 1, __ATOMIC_RELAXED);
}

static void on_signal(int signal, siginfo_t *info, void *ucontext)
{
	int saved = errno;

	retour_runtime_enter();
	request_some((unsigned int)(unsigned long)ucontext >> 4);
	request_some((unsigned int)info->si_pid);
	retour_runtime_leave_handler(ucontext);
	errno = saved;
}

static void *ask_and_migrate(void *arg)
{
	unsigned int seed = (unsigned int)(unsigned long)arg;
	int cpu[2];

	two_cpus(cpu);
	while (!stop) {
		unsigned int random = next_random(&seed);

		retour_runtime_enter();
		request_some(random);
		if (random % 5 == 0)
			move_to(cpu[random / 8 % 2]);
		if (random % 7 == 0)
			sched_yield();
		request_some(random / 16);
		retour_runtime_leave();
	}
	return NULL;
}

/* Each thread has its sessions; data are dead as soon as an event is closed. */
static void *open_and_close(void *arg)
{
	unsigned long session = (unsigned long)arg;
	unsigned int seed = (unsigned int)session + 77;
	int cpu[2];

	two_cpus(cpu);
	while (!stop) {
		struct sink *sinks = calloc(2, sizeof(*sinks));

		for (int i = 0; i < 2; i++) {
			open_event(&sinks[i], session + 1, cpu[i]);
			retour_rcu_assign_pointer(published[session][i], sinks[i].event);
		}
		usleep(next_random(&seed) % 300);
		for (int i = 0; i < 2; i++) {
			retour_rcu_assign_pointer(published[session][i], NULL);
			close_event(&sinks[i]);
		}
		free(sinks);
		__atomic_fetch_add(&n_sessions, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

TEST(sessions_come_and_go_under_fire)
{
	struct sigaction action = { .sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART };
	pthread_t thread[THREADS + SESSIONS];
	struct timespec now, end;

	CHECK(!sigaction(SIGUSR1, &action, NULL));
	for (unsigned long i = 0; i < THREADS + SESSIONS; i++)
		CHECK(!pthread_create(&thread[i], NULL, i < THREADS ? ask_and_migrate : open_and_close,
				      (void *)(i < THREADS ? i : i - THREADS)));
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 2;
	do {
		for (unsigned int i = 0; i < THREADS; i++)
			pthread_kill(thread[i], SIGUSR1);
		usleep(200);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec || (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	stop = true;
	for (unsigned int i = 0; i < THREADS + SESSIONS; i++)
		pthread_join(thread[i], NULL);
	printf("# %lu requests, %u deliveries, %lu sessions\n", n_requests, n_delivered, n_sessions);
	CHECK(n_requests > 0 && n_delivered > 0 && n_sessions > 0 && n_delivered <= n_requests);
	CHECK_U64(free_bits(), 62);
}

TEST(a_child_has_its_parents_sessions)
{
	struct sink sink;
	int cpu[2], status;
	pid_t pid;

	two_cpus(cpu);
	open_event(&sink, 1, cpu[0]);
	pid = fork();
	one_entry(&sink, cpu[0], cpu[0]);
	CHECK_U64(sink.n, 1);
	close_event(&sink);
	CHECK_U64(free_bits(), 62);
	if (!pid)
		_exit(0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

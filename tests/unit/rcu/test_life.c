/* SPDX-License-Identifier: MIT */
/*
 * How domains and their threads begin and end.  pthread_create() is wrapped,
 * and only the forms of calls are used that start no thread at load time.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#include "retour/rcu.h"
#include "retour/srcu.h"
#include "unit/test.h"

RETOUR_DEFINE_STATIC_SRCU_FAST(defined);

int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg);

static atomic_int created, called;
static atomic_bool refused, sluggish;

static void sleep_ms(unsigned long ms)
{
	struct timespec t = { ms / 1000, ms % 1000 * 1000000 };

	while (nanosleep(&t, &t))
		;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
	pthread_t local;
	int err;

	created++;
	if (refused)
		return EAGAIN;
	err = __real_pthread_create(&local, attr, run, arg);
	if (sluggish)
		sleep_ms(1);
	*thread = local;
	return err;
}

static void count(struct retour_rcu_head *head)
{
	called++;
}

static void wait_until_called(int n)
{
	while (called < n)
		sleep_ms(1);
	CHECK(called == n);
}

static void call_in_handler(int sig)
{
	static struct retour_rcu_head heads[2];

	retour_call_srcu_extern(&defined, &heads[0], count);
	retour_call_rcu_extern(&heads[1], count);
	retour_start_poll_synchronize_rcu_extern();
}

TEST(a_call_creates_no_thread)
{
	signal(SIGUSR1, call_in_handler);
	raise(SIGUSR1);
	sleep_ms(20);
	CHECK(created == 0 && called == 0);
	retour_rcu_start_worker();
	wait_until_called(2);
	/* The starter and two workers. */
	CHECK(created == 3);
	retour_rcu_start_worker();
	CHECK(created == 3);
}

static struct retour_rcu_report last_report;
static atomic_int reports;

/* Uses what the library has. */
static void hear_report(const struct retour_rcu_report *report, void *arg)
{
	struct retour_srcu_struct srcu;

	last_report = *report;
	reports++;
	if (report->kind != RETOUR_RCU_NO_WORKER)
		return;
	CHECK(retour_init_srcu_struct_fast(&srcu) == 0);
	retour_srcu_read_unlock_fast(&srcu, retour_srcu_read_lock_fast(&srcu));
	retour_synchronize_srcu(&srcu);
	CHECK(retour_cleanup_srcu_struct(&srcu) == 0);
}

static void wait_in_callback(struct retour_rcu_head *head)
{
	retour_srcu_barrier(&defined);
	called++;
}

TEST(without_threads_a_barrier_calls)
{
	struct retour_rcu_head heads[2];
	unsigned long cookie;

	refused = true;
	retour_rcu_set_report(hear_report, NULL);
	retour_call_srcu_extern(&defined, &heads[0], count);
	cookie = retour_start_poll_synchronize_srcu_extern(&defined);
	retour_srcu_barrier(&defined);
	CHECK(called == 1);
	CHECK(retour_poll_state_synchronize_srcu(&defined, cookie));
	CHECK(reports == 1 && last_report.kind == RETOUR_RCU_NO_WORKER && last_report.error == EAGAIN);
	retour_call_srcu_extern(&defined, &heads[1], wait_in_callback);
	retour_srcu_barrier(&defined);
	CHECK(called == 2 && last_report.kind == RETOUR_RCU_DEADLOCK);
}

TEST(a_worker_that_could_not_be_created_is_tried_again)
{
	struct retour_rcu_head heads[2];

	retour_rcu_set_report(hear_report, NULL);
	refused = true;
	retour_rcu_start_worker();
	CHECK(reports == 1);
	refused = false;
	retour_rcu_start_worker();
	refused = true;
	retour_call_srcu_extern(&defined, &heads[0], count);
	while (reports < 2)
		sleep_ms(1);
	CHECK(reports == 2 && called == 0);
	refused = false;
	/* The report came after the state. */
	retour_call_srcu_extern(&defined, &heads[1], count);
	wait_until_called(2);
}

TEST(a_barrier_covers_polled_grace_periods)
{
	retour_rcu_start_worker();
	for (int i = 0; i < 100; i++) {
		unsigned long cookie = retour_start_poll_synchronize_srcu_extern(&defined);

		retour_srcu_barrier(&defined);
		CHECK(retour_poll_state_synchronize_srcu(&defined, cookie));
	}
}

TEST(a_cleanup_may_race_with_the_start_of_the_worker)
{
	struct retour_rcu_head head;

	sluggish = true;
	retour_rcu_start_worker();
	for (int i = 0; i < 200; i++) {
		struct retour_srcu_struct *srcu = malloc(sizeof(*srcu));

		CHECK(retour_init_srcu_struct_fast(srcu) == 0);
		if (i % 2)
			retour_call_srcu_extern(srcu, &head, count);
		else
			retour_start_poll_synchronize_srcu_extern(srcu);
		if (i % 4 < 2)
			sched_yield();
		CHECK(retour_cleanup_srcu_struct(srcu) == 0);
		memset(srcu, 0x55, sizeof(*srcu));
		free(srcu);
	}
	CHECK(called == 100);
}

static sem_t posted;

static void post(struct retour_rcu_head *head)
{
	sem_post(&posted);
}

/* Waits for the first worker of another domain. */
static void wait_for_another_domain(struct retour_rcu_head *head)
{
	static struct retour_rcu_head inner[2];

	retour_call_srcu_extern(&defined, &inner[0], post);
	while (sem_wait(&posted))
		;
	retour_call_srcu_extern(&retour_rcu_tasks_trace_srcu_struct, &inner[1], post);
	retour_srcu_barrier(&retour_rcu_tasks_trace_srcu_struct);
	called++;
}

TEST(a_callback_may_wait_for_one_of_another_domain)
{
	struct retour_rcu_head head;

	sem_init(&posted, 0, 0);
	retour_rcu_start_worker();
	retour_call_rcu_extern(&head, wait_for_another_domain);
	retour_rcu_barrier();
	CHECK(called == 1);
}

static int cleanup_result;

static void clean_up_own_domain(struct retour_rcu_head *head)
{
	cleanup_result = retour_cleanup_srcu_struct(&defined);
	called++;
}

TEST(a_cleanup_in_a_callback_of_the_domain_is_refused)
{
	struct retour_rcu_head head;

	retour_rcu_set_report(hear_report, NULL);
	retour_rcu_start_worker();
	retour_call_srcu_extern(&defined, &head, clean_up_own_domain);
	retour_srcu_barrier(&defined);
	CHECK(called == 1 && cleanup_result == -EDEADLK);
	CHECK(last_report.kind == RETOUR_RCU_DEADLOCK && last_report.tid > 0 && last_report.where);
	retour_call_srcu_extern(&defined, &head, count);
	retour_srcu_barrier(&defined);
	CHECK(called == 2);
}

static struct retour_srcu_struct prepared;
static sem_t begun, go_on;

static void stop_leader(const struct retour_rcu_domain *domain, unsigned long arg)
{
	sem_post(&begun);
	while (sem_wait(&go_on))
		;
}

static void *synchronize(void *arg)
{
	retour_synchronize_srcu(arg);
	return NULL;
}

/* A leader that stays at the event until go_on is posted. */
static pthread_t begin_leader(struct retour_srcu_struct *ssp, enum retour_rcu_event event)
{
	pthread_t thread;

	sem_init(&begun, 0, 0);
	sem_init(&go_on, 0, 0);
	retour_rcu_set_hook(event, stop_leader);
	CHECK(pthread_create(&thread, NULL, synchronize, ssp) == 0);
	while (sem_wait(&begun))
		;
	retour_rcu_set_hook(event, NULL);
	return thread;
}

static void end_leader(pthread_t thread)
{
	sem_post(&go_on);
	CHECK(pthread_join(thread, NULL) == 0);
}

TEST(a_domain_is_not_cleaned_up_under_a_leader)
{
	pthread_t leader;

	CHECK(retour_init_srcu_struct_fast(&prepared) == 0);
	retour_srcu_read_unlock_fast(&prepared, retour_srcu_read_lock_fast(&prepared));
	leader = begin_leader(&prepared, RETOUR_RCU_EVENT_GP_MEMBARRIER);
	CHECK(retour_cleanup_srcu_struct(&prepared) == -EBUSY);
	/* What a destructor does at exit. */
	retour_srcu_module_going(&prepared);
	end_leader(leader);
	CHECK(retour_cleanup_srcu_struct(&prepared) == 0);
}

TEST(a_child_forked_amid_the_first_grace_period_works)
{
	pthread_t leader;
	int status;
	pid_t pid;

	CHECK(retour_init_srcu_struct_fast(&prepared) == 0);
	for (int i = 0; i < 2; i++) {
		struct retour_srcu_struct *ssp = i ? &prepared : &defined;

		leader = begin_leader(ssp, RETOUR_RCU_EVENT_GP_START);
		pid = fork();
		if (pid == 0) {
			alarm(60);
			retour_synchronize_srcu(ssp);
			_exit(0);
		}
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
		end_leader(leader);
	}
}

TEST(a_domain_may_be_prepared_twice)
{
	int status;
	pid_t pid;

	for (int i = 0; i < 3; i++) {
		CHECK(retour_init_srcu_struct_fast(&prepared) == 0);
		CHECK(retour_init_srcu_struct_fast(&defined) == 0);
	}
	pid = fork();
	if (pid == 0)
		_exit(0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(retour_cleanup_srcu_struct(&prepared) == 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

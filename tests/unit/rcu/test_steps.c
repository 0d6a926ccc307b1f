/* SPDX-License-Identifier: MIT */
/*
 * Handlers at every instruction of every function of RCU: a handler reads in
 * every domain, polls, and now and then queues a callback, on the thread's
 * stack and on an alternate one.  The functions are those that the version
 * script leaves visible; the last test finds the one that was left out.
 */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sys/mman.h>

#include "domains.h"
#include "steps.h"

RETOUR_DEFINE_STATIC_SRCU_FAST_UPDOWN(handed);

/* What the library exports, shared by the processes of the tests. */
static struct exported {
	char name[80];
	const void *address;
	atomic_bool stepped;
} *exported;

#define EXPORTED_MAX 128

#ifdef RETOUR_RCU_DEBUG
#define IS_REQUIRED(name) (strstr(name, "rcu") && strstr(name, "debug"))
#else
#define IS_REQUIRED(name) (strstr(name, "rcu") && !strstr(name, "debug"))
#endif

static void list_exported(void)
{
	char line[512], name[sizeof(exported->name)];
	Dl_info library;
	int n = 0;
	FILE *names;

	exported = mmap(NULL, EXPORTED_MAX * sizeof(*exported), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(exported != MAP_FAILED && dladdr((void *)retour_synchronize_rcu, &library));
	snprintf(line, sizeof(line), "nm -D --defined-only '%s'", library.dli_fname);
	names = popen(line, "r");
	CHECK(names);
	while (fgets(line, sizeof(line), names)) {
		if (sscanf(line, "%*x T %79[^@\n]", name) != 1 || !IS_REQUIRED(name))
			continue;
		strcpy(exported[n].name, name);
		exported[n].address = dlsym(RTLD_DEFAULT, name);
		CHECK(exported[n].address && n++ < EXPORTED_MAX - 2);
	}
	pclose(names);
}

static void note_function(const void *pc)
{
	for (struct exported *e = exported; e->address; e++)
		if (e->address == pc)
			e->stepped = true;
}

#define QUEUED 256

/* Callbacks that handlers queue, each again only when it was called. */
static struct queued {
	struct retour_rcu_head head;
	atomic_bool busy;
} queued[3][QUEUED];
static unsigned int queue_period = 16;	/* in steps */
static atomic_int reports;

static void be_called(struct retour_rcu_head *head)
{
	((struct queued *)head)->busy = false;
}

static void queue_in_handler(const struct domain *d, unsigned int n)
{
	struct queued *q = &queued[d - domains][n % QUEUED];

	if (!atomic_exchange(&q->busy, true))
		d->call(&q->head, be_called);
}

static long steps;
/* When the handler does something: at this one step, if it is not 0; from this function on, if it is not NULL. */
static long only_at;
static const void *from;

/* On an error the process ends: a handler cannot do more. */
static void read_in_handler(const void *pc)
{
	note_function(pc);
	if (pc == from)
		from = NULL;
	if ((++steps != only_at && only_at) || from)
		return;
	if (only_at)
		steps_end();
	for_each_domain(d) {
		void *cookie;

		errno = 12345;
		cookie = d->lock();
		if (!d->held())
			_exit(2);
		d->unlock(cookie);
		if (steps % queue_period == 0) {
			d->poll(d->start_poll());
			queue_in_handler(d, steps / queue_period);
		}
		if (errno != 12345)
			_exit(3);
	}
	retour_srcu_up_read_fast(&handed, retour_srcu_down_read_fast(&handed));
}

static void count_report(const struct retour_rcu_report *report, void *arg)
{
	reports++;
}

struct stepped {
	void (*run)(const struct domain *d);
	const struct domain *domain;
};

static void *step_through(void *arg)
{
	static char stack[64 * 1024];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) }, before;
	const struct stepped *stepped = arg;

	CHECK(sigaltstack(&alternate, &before) == 0);
	steps_begin();
	stepped->run(stepped->domain);
	steps_end();
	CHECK(sigaltstack(&before, NULL) == 0);
	return NULL;
}

/* In a thread that never read. */
static void step(void (*run)(const struct domain *d), const struct domain *d)
{
	struct stepped stepped = { run, d };
	pthread_t thread;

	steps = 0;
	CHECK(pthread_create(&thread, NULL, step_through, &stepped) == 0);
	CHECK(pthread_join(thread, NULL) == 0);
}

static void begin(int flags)
{
	if (!steps_init(read_in_handler, flags))
		SKIP("single steps are made on x86-64 only");
	retour_rcu_set_report(count_report, NULL);
}

/* Nothing is left: no section, no callback, no report. */
static void check_end(void)
{
	only_at = 0;
	for_each_domain(d) {
		CHECK(!d->held());
		d->barrier();
		for (int i = 0; i < QUEUED; i++)
			CHECK(!queued[d - domains][i].busy);
		d->synchronize();
	}
	CHECK(reports == 0);
}

#define ON_BOTH_STACKS(flags) for (int flags = 0; flags <= SA_ONSTACK; flags += SA_ONSTACK)

static void read_first(const struct domain *d)
{
	bool before = d->held();
	void *cookie = d->lock();
	bool inside = d->held();

	d->unlock(cookie);
	/* Where no record tells, "held" is of any section: the handler's, too. */
	if (!inside || (before && d == domains))
		_exit(4);
}

static void read_first_notrace(const struct domain *d)
{
	from = d == domains ? (void *)retour_rcu_read_lock_slow_notrace : (void *)retour_srcu_read_lock_slow_notrace;
	d->unlock_notrace(d->lock_notrace());
}

static int membarriers;

static void count_membarrier(const struct retour_rcu_domain *domain, unsigned long arg)
{
	membarriers++;
}

/* A record that an ended thread left behind would cost one. */
static void check_records_are_given_back(void)
{
	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, count_membarrier);
	retour_synchronize_rcu();
	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_MEMBARRIER, NULL);
	CHECK(membarriers == 0);
}

/* At one instruction in each thread: the others would find the handler's claim done. */
TEST(a_handler_may_be_the_first_reader_at_any_instruction_of_the_first_reader)
{
	begin(SA_ONSTACK);
	for_each_domain(d) {
		only_at = 1;
		do {
			step(read_first, d);
		} while (steps == only_at++);
		CHECK(only_at > 50);
		only_at = 0;
		step(read_first_notrace, d);
		from = NULL;
	}
	check_records_are_given_back();
	check_end();
}

static void read_nested(const struct domain *d)
{
	void *outer = d->lock_notrace(), *inner = d->lock();

	d->unlock_notrace(outer);
	if (!d->held())
		_exit(4);
	d->unlock(inner);
	{
		retour_guard_rcu();
		retour_guard_srcu_fast(&test_srcu);
		retour_guard_rcu_tasks_trace();
	}
}

static void hand_over(const struct domain *d)
{
	struct retour_srcu_bank *bank = retour_srcu_down_read_fast(&handed);

	if (!retour_srcu_read_lock_held(&handed) || !retour_srcu_readers_active(&handed))
		_exit(4);
	retour_srcu_up_read_fast(&handed, bank);
	retour_guard_srcu_fast_updown(&handed);
	retour_guard_srcu_fast_updown_notrace(&handed);
}

TEST(readers)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		for_each_domain(d) {
			step(read_nested, d);
			CHECK(steps > 100);
			step(hand_over, d);
		}
		check_end();
	}
}

static void *synchronize_main(void *arg)
{
	((const struct domain *)arg)->synchronize();
	return NULL;
}

/* The thread above, or the worker, which it follows then.  0: nobody waits yet. */
static atomic_int leader_tid;

static void note_wait(const struct retour_rcu_domain *domain, unsigned long arg)
{
	leader_tid = gettid();
}

/* A leader sleeps for the section when this returns. */
static pthread_t begin_leader(const struct domain *d)
{
	pthread_t leader;

	leader_tid = 0;
	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_WAIT, note_wait);
	CHECK(pthread_create(&leader, NULL, synchronize_main, (void *)d) == 0);
	/* It says that it is about to sleep; it may do so for a moment first, and looks by itself in between. */
	while (!leader_tid)
		sleep_ms(1);
	task_wait_until_it_sleeps(leader_tid);
	retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_WAIT, NULL);
	return leader;
}

/* The end of a section that a leader sleeps for.  A handler before the slow path would be faster. */
static void end_waited_for(const struct domain *d, void *(*lock)(void), void (*unlock)(void *cookie), const void *slow)
{
	pthread_t leader;
	void *cookie;

	steps_end();
	cookie = lock();
	leader = begin_leader(d);
	from = slow;
	steps_begin();
	unlock(cookie);
	steps_end();
	/* Without membarrier leaders do not rely on being told. */
	CHECK(!from || !retour_rcu_reader);
	from = NULL;
	CHECK(pthread_join(leader, NULL) == 0);
}

static void read_waited_for(const struct domain *d)
{
	static void *const slow[] = { retour_rcu_read_unlock_slow, retour_srcu_read_unlock_slow,
				      retour_rcu_read_unlock_tasks_trace_slow };
	static void *const slow_notrace[] = { retour_rcu_read_unlock_slow_notrace, retour_srcu_read_unlock_slow_notrace,
					      retour_rcu_read_unlock_tasks_trace_slow_notrace };

	end_waited_for(d, d->lock, d->unlock, NULL);
	end_waited_for(d, d->lock, d->unlock, slow[d - domains]);
	end_waited_for(d, d->lock_notrace, d->unlock_notrace, slow_notrace[d - domains]);
}

TEST(ends_of_sections_that_are_waited_for)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		for_each_domain(d)
			step(read_waited_for, d);
		check_end();
	}
}

static pthread_key_t late_key;

static void end_late(void *arg)
{
	steps_end();
}

/* Up to the library's own destructor of the thread, and through it. */
static void *end_stepped(void *arg)
{
	pthread_setspecific(late_key, &late_key);
	steps_begin();
	read_nested(arg);
	return NULL;
}

TEST(the_end_of_a_thread)
{
	begin(0);
	CHECK(pthread_key_create(&late_key, end_late) == 0);
	for_each_domain(d) {
		pthread_t thread;

		CHECK(pthread_create(&thread, NULL, end_stepped, (void *)d) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
	}
	/* Debug builds say so of readers that come later still. */
	reports = 0;
	check_end();
}

static void poll_everything(const struct domain *d)
{
	d->poll(d->get_state());
	d->poll(d->start_poll());
	d->poll(d->start_poll_expedited());
	d->cond(retour_get_completed_synchronize_rcu());
}

static void wait_normally(const struct domain *d)
{
	d->synchronize();
	d->cond(d->get_state());
}

static void wait_expedited(const struct domain *d)
{
	d->expedited();
	d->cond_expedited(d->get_state());
}

static void wait_for_callbacks(const struct domain *d)
{
	static struct queued own;

	own.busy = true;
	d->call(&own.head, be_called);
	d->barrier();
	if (own.busy)
		_exit(4);
	d->barrier();
}

static void call_once(const struct domain *d)
{
	static struct queued own[3];

	own[d - domains].busy = true;
	d->call(&own[d - domains].head, be_called);
	steps_end();
	d->barrier();
	CHECK(!own[d - domains].busy);
}

TEST(callers_amid_whose_call_handlers_call)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		queue_period = 1;
		for_each_domain(d)
			step(call_once, d);
		check_end();
	}
}

static void (*const updates[])(const struct domain *d) = {
	poll_everything, wait_normally, wait_expedited, wait_for_callbacks,
};

static void step_updates(const struct domain *d)
{
	for (size_t i = 0; i < sizeof(updates) / sizeof(updates[0]); i++) {
		step(updates[i], d);
		CHECK(steps > 50);
	}
}

TEST(updaters)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		for_each_domain(d)
			step_updates(d);
		check_end();
	}
}

static void *leave_soon(void *arg)
{
	sleep_ms(20);
	((struct holder *)arg)->leave = true;
	return NULL;
}

/* For a reader of the same domain, as leader and, behind another one, as follower. */
static void step_waiting(void (*run)(const struct domain *d), const struct domain *d, bool behind)
{
	pthread_t leaver, leader;
	struct holder h;

	holder_begin(&h, d);
	if (behind)
		leader = begin_leader(d);
	CHECK(pthread_create(&leaver, NULL, leave_soon, &h) == 0);
	step(run, d);
	CHECK(h.left || run == poll_everything);
	CHECK(pthread_join(leaver, NULL) == 0);
	holder_end(&h);
	if (behind)
		CHECK(pthread_join(leader, NULL) == 0);
}

TEST(updaters_that_wait_for_a_reader)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		for_each_domain(d)
			for (size_t i = 0; i < sizeof(updates) / sizeof(updates[0]); i++)
				step_waiting(updates[i], d, flags);
		check_end();
	}
}

/* The handler reads in other domains: in one that is being made or given back nobody may. */
static void make_domain(const struct domain *d)
{
	static struct retour_srcu_struct made, empty = RETOUR_SRCU_INIT_("empty", RETOUR_SRCU_FAST);

	if (retour_init_srcu_struct_fast(&made))
		_exit(4);
	retour_srcu_read_unlock_fast(&made, retour_srcu_read_lock_fast(&made));
	retour_synchronize_srcu(&made);
	retour_start_poll_synchronize_srcu(&made);
	if (retour_cleanup_srcu_struct(&made))
		_exit(4);
	retour_srcu_module_coming(&empty);
	retour_srcu_module_going(&empty);
}

TEST(domains_that_come_and_go)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		step(make_domain, NULL);
		check_end();
	}
}

static void nothing(const struct retour_rcu_domain *domain, unsigned long arg)
{
}

static void set_everything(const struct domain *d)
{
	static int value, *pointer = &value;

	for (int event = 0; event < RETOUR_RCU_EVENTS; event++) {
		retour_rcu_set_hook(event, nothing);
		retour_rcu_set_hook(event, NULL);
	}
	retour_rcu_set_stall_timeout(10000);
	retour_rcu_might_block();
	retour_rcu_start_worker();
	/* In a debug build it is reported. */
	retour_rcu_set_report(NULL, NULL);
	(void)retour_rcu_dereference_check(pointer, false);
	retour_rcu_set_report(count_report, NULL);
}

TEST(settings)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		step(set_everything, NULL);
		check_end();
	}
}

/* Readers are the first of a thread in the middle of an allocation. */
static void use_libc(const struct domain *d)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

	pthread_mutex_lock(&lock);
	free(malloc(300000));
	free(malloc(100));
	dlsym(RTLD_DEFAULT, "no such thing");
	pthread_mutex_unlock(&lock);
}

TEST(code_that_holds_locks)
{
	ON_BOTH_STACKS(flags) {
		begin(flags);
		step(use_libc, NULL);
		CHECK(steps > 300);
		/* The claim, too, and not only before any lock is taken. */
		for (long at = 1; at == 1 || steps == only_at; at += flags ? 59 : 61) {
			only_at = at;
			step(use_libc, NULL);
		}
		check_end();
	}
}

TEST(no_function_was_left_out)
{
	int missing = 0, n = 0;

	if (!STEPS_POSSIBLE)
		SKIP("single steps are made on x86-64 only");
	for (struct exported *e = exported; e->address; e++, n++) {
		if (!e->stepped)
			printf("# %s was not stepped through\n", e->name);
		missing += !e->stepped;
	}
	CHECK(n > 5);
	CHECK(!missing);
}

int main(int argc, char **argv)
{
	list_exported();
	return domains_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/* fork() of a threaded process, with readers, updaters and callbacks in flight. */
#include "domains.h"
#include "steps.h"

static atomic_int called;

static void count(struct retour_rcu_head *head)
{
	called++;
}

/* Everything a domain offers, in a child. */
static void use(const struct domain *d)
{
	struct retour_rcu_head head;
	unsigned long cookie;
	int before = called;

	d->unlock(d->lock());
	d->synchronize();
	cookie = d->start_poll();
	d->cond(cookie);
	CHECK(d->poll(cookie));
	d->call(&head, count);
	d->barrier();
	CHECK(called >= before + 1);
}

static void child_succeeds(pid_t pid)
{
	int status;

	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(a_child_does_not_wait_for_its_parents_readers)
{
	struct holder h[3];
	pid_t pid;

	for_each_domain(d)
		holder_begin(&h[d - domains], d);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		for_each_domain(d)
			use(d);
		_exit(0);
	}
	child_succeeds(pid);
	for_each_domain(d) {
		CHECK(!h[d - domains].left);
		holder_end(&h[d - domains]);
		use(d);
	}
}

TEST(pending_callbacks_are_called_once_on_each_side)
{
	struct retour_rcu_head heads[3][5];
	struct holder h[3];
	pid_t pid;

	for_each_domain(d) {
		holder_begin(&h[d - domains], d);
		for (int i = 0; i < 5; i++) {
			d->call(&heads[d - domains][i], count);
			/* One batch that waits, and a queue behind it. */
			sleep_ms(i == 2 ? 10 : 0);
		}
	}
	pid = fork();
	if (pid == 0) {
		alarm(60);
		for_each_domain(d)
			d->barrier();
		_exit(called == 15 ? 0 : 1);
	}
	child_succeeds(pid);
	CHECK(called == 0);
	for_each_domain(d) {
		holder_end(&h[d - domains]);
		d->barrier();
	}
	CHECK(called == 15);
}

static void *synchronize_main(void *arg)
{
	((const struct domain *)arg)->synchronize();
	return NULL;
}

TEST(a_child_does_not_wait_for_its_parents_leaders)
{
	struct holder h[3];
	pthread_t leaders[3], followers[3];
	pid_t pid;

	for_each_domain(d) {
		holder_begin(&h[d - domains], d);
		CHECK(pthread_create(&leaders[d - domains], NULL, synchronize_main, (void *)d) == 0);
		CHECK(pthread_create(&followers[d - domains], NULL, synchronize_main, (void *)d) == 0);
	}
	sleep_ms(20);
	pid = fork();
	if (pid == 0) {
		alarm(60);
		for_each_domain(d)
			use(d);
		_exit(0);
	}
	child_succeeds(pid);
	for_each_domain(d) {
		holder_end(&h[d - domains]);
		pthread_join(leaders[d - domains], NULL);
		pthread_join(followers[d - domains], NULL);
	}
}

static pid_t forked;

static void fork_in_handler(int sig)
{
	forked = fork();
	if (forked == 0)
		alarm(30);
}

struct interruption {
	pthread_t thread;
	struct holder holder;
};

static void *interrupt(void *arg)
{
	struct interruption *i = arg;

	sleep_ms(10);
	pthread_kill(i->thread, SIGUSR1);
	sleep_ms(10);
	i->holder.leave = true;
	return NULL;
}

/* Waits for a reader of another thread, amid which a handler forks: the child goes on without the reader. */
static void fork_amid(const struct domain *d, void (*wait)(void), bool follow)
{
	struct interruption i = { .thread = pthread_self() };
	pthread_t leader, interrupter;
	struct retour_rcu_head head;

	forked = -1;
	holder_begin(&i.holder, d);
	if (follow) {
		CHECK(pthread_create(&leader, NULL, synchronize_main, (void *)d) == 0);
		sleep_ms(5);
	}
	d->call(&head, count);
	CHECK(pthread_create(&interrupter, NULL, interrupt, &i) == 0);
	wait();
	if (forked == 0) {
		d->barrier();
		use(d);
		_exit(0);
	}
	pthread_join(interrupter, NULL);
	holder_end(&i.holder);
	child_succeeds(forked);
	if (follow)
		pthread_join(leader, NULL);
	d->barrier();
}

TEST(a_handler_may_fork_amid_a_wait)
{
	signal(SIGUSR1, fork_in_handler);
	for_each_domain(d) {
		for (int follow = 0; follow < 2; follow++) {
			fork_amid(d, d->synchronize, follow);
			fork_amid(d, d->expedited, follow);
			fork_amid(d, d->barrier, follow);
		}
	}
}

TEST(a_section_open_across_a_fork_still_protects_in_the_child)
{
	struct retour_rcu_head head;
	pid_t pid;

	retour_rcu_read_lock();
	pid = fork();
	if (pid == 0) {
		alarm(60);
		CHECK(retour_rcu_read_lock_held());
		retour_call_rcu(&head, count);
		sleep_ms(30);
		CHECK(called == 0);
		retour_rcu_read_unlock();
		retour_rcu_barrier();
		_exit(called == 1 ? 0 : 1);
	}
	child_succeeds(pid);
	retour_rcu_read_unlock();
	retour_synchronize_rcu();
}

TEST(a_cookie_from_before_the_fork_does_no_harm)
{
	struct holder other;
	void *cookie;
	pid_t pid;

	for_each_domain(d) {
		cookie = d->lock();
		pid = fork();
		if (pid == 0) {
			alarm(60);
			d->unlock(cookie);
			holder_begin(&other, d);
			unsigned long poll = d->start_poll();
			sleep_ms(30);
			CHECK(!d->poll(poll));
			holder_end(&other);
			use(d);
			_exit(0);
		}
		child_succeeds(pid);
		d->unlock(cookie);
		use(d);
	}
}

static atomic_int fork_status;

static void fork_in_callback(struct retour_rcu_head *head)
{
	pid_t pid = fork();

	if (pid == 0) {
		static struct retour_rcu_head again;

		alarm(60);
		/* This thread is the worker here, too. */
		retour_call_rcu(&again, count);
		retour_synchronize_srcu(&test_srcu);
		for_each_domain(d)
			d->unlock(d->lock());
		_exit(0);
	}
	if (waitpid(pid, (int *)&fork_status, 0) != pid)
		fork_status = -1;
	called++;
}

TEST(a_callback_may_fork)
{
	struct retour_rcu_head head;

	retour_call_rcu(&head, fork_in_callback);
	retour_rcu_barrier();
	CHECK(called == 1 && fork_status == 0);
}

static atomic_bool stop;

static void *read_all(void *arg)
{
	while (!stop)
		for_each_domain(d)
			d->unlock(d->lock());
	return NULL;
}

/* What a child has to call first. */
static atomic_int pending;

static void free_pending(struct retour_rcu_head *head)
{
	pending--;
	free(head);
}

static void *update_all(void *arg)
{
	while (!stop) {
		for_each_domain(d) {
			if (pending < 1000) {
				pending++;
				d->call(malloc(sizeof(struct retour_rcu_head)), free_pending);
			}
			d->synchronize();
		}
	}
	return NULL;
}

TEST(forks_at_any_moment)
{
	pthread_t threads[4];

#ifdef __SANITIZE_ADDRESS__
	SKIP("a child forked while threads allocate finds the allocator of the sanitizer locked");
#endif
	for (int i = 0; i < 4; i++)
		CHECK(pthread_create(&threads[i], NULL, i < 2 ? read_all : update_all, NULL) == 0);
	for (int i = 0; i < 60; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			alarm(60);
			for_each_domain(d)
				use(d);
			if (i % 2) {
				pid = fork();
				if (pid == 0) {
					for_each_domain(d)
						use(d);
					_exit(0);
				}
				child_succeeds(pid);
			}
			_exit(0);
		}
		child_succeeds(pid);
	}
	stop = true;
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
}

static void wait_for_ever(struct retour_rcu_head *head)
{
	for (;;)
		pause();
}

TEST(a_process_may_exit_with_callbacks_queued)
{
	pid_t pid = fork();

	if (pid == 0) {
		static struct retour_rcu_head heads[1000];

		alarm(60);
		for (int i = 0; i < 1000; i++)
			domains[i % 3].call(&heads[i], i < 900 ? count : wait_for_ever);
		exit(0);
	}
	child_succeeds(pid);
}

static atomic_int step, fork_at;
static volatile pid_t step_child;

static void fork_once(const void *pc)
{
	if (step++ < fork_at)
		return;
	steps_end();
	step_child = fork();
}

/* In the child too. */
static void *read_amid_a_fork(void *arg)
{
	steps_begin();
	retour_rcu_read_lock();
	steps_end();
	if (step_child == 0 && step > fork_at) {
		struct retour_rcu_reader *own = retour_rcu_reader;

		_exit(own && own->tid == gettid() && own->nesting == 1 ? 0 : 1);
	}
	retour_rcu_read_unlock();
	return NULL;
}

TEST(a_handler_may_fork_at_any_instruction_of_a_first_section)
{
	pthread_t thread;

	if (!steps_init(fork_once, 0))
		SKIP("single steps are made on x86-64 only");
	retour_rcu_read_lock();
	if (!retour_rcu_reader)
		SKIP("readers need fences");
	retour_rcu_read_unlock();
	do {
		step = 0;
		CHECK(pthread_create(&thread, NULL, read_amid_a_fork, NULL) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		if (step > fork_at)
			child_succeeds(step_child);
	} while (step > fork_at++);
	CHECK(fork_at > 50);
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/* A program that knows nothing of the agent, in parts.  Each says "done" if nothing was as it should not be. */
#include "subject.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

extern char **environ;
const char *self;

static uint64_t now(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

__attribute__((noinline)) unsigned long spin(unsigned int ms)
{
	uint64_t end = now(CLOCK_THREAD_CPUTIME_ID) + ms * 1000000ull;
	volatile unsigned long x = 1;

	while (now(CLOCK_THREAD_CPUTIME_ID) < end)
		for (int i = 0; i < 20000; i++)
			x = x * 3 + 1;
	return x;
}

__attribute__((noinline)) static unsigned long deep(unsigned int depth, unsigned int ms)
{
	return depth ? deep(depth - 1, ms) + 1 : spin(ms);
}

static void part_spin(void)
{
	deep(20, 300);
}

/* For a while; once samples interrupt it, until there were some, on whatever machine. */
static void part_sleep(void)
{
	uint64_t end = now(CLOCK_MONOTONIC) + 300000000;
	unsigned int interrupted = 0;

	while (now(CLOCK_MONOTONIC) < end || (interrupted && interrupted < 50))
		interrupted += usleep(50000) != 0;
}

/* ---- threads ------------------------------------------------------------------ */

enum { ROUNDS = 10, THREADS = 8 };

static void *thread_work(void *arg)
{
	long number = (long)arg;
	char name[16];

	snprintf(name, sizeof(name), "worker-%ld", number);
	if (number % 2)
		prctl(PR_SET_NAME, name);
	else
		pthread_setname_np(pthread_self(), name);
	spin(6);
	/* A third each: return, exit, are cancelled. */
	if (number % 3 == 1)
		pthread_exit(arg);
	while (number % 3 == 2)
		pause();
	return arg;
}

static void part_threads(void)
{
	pthread_t threads[THREADS];
	void *value;

	for (long round = 0; round < ROUNDS; round++) {
		for (long i = 0; i < THREADS; i++)
			MUST(!pthread_create(&threads[i], NULL, thread_work, (void *)(round * THREADS + i)));
		usleep(1000);
		for (long i = 0; i < THREADS; i++) {
			long number = round * THREADS + i;

			if (number % 3 == 2)
				MUST(!pthread_cancel(threads[i]));
			MUST(!pthread_join(threads[i], &value));
			MUST(value == (number % 3 == 2 ? PTHREAD_CANCELED : (void *)number));
		}
	}
	spin(20);
}

/* ---- processes ------------------------------------------------------------------ */

static void wait_for(pid_t pid)
{
	int status;

	MUST(waitpid(pid, &status, 0) == pid && !status);
}

static void part_fork(void)
{
	spin(20);
	for (int i = 0; i < 4; i++) {
		pid_t pid = fork(), grandchild;

		if (!pid) {
			grandchild = fork();
			spin(50);
			if (!grandchild)
				_exit(0);
			wait_for(grandchild);
			_exit(0);
		}
		wait_for(pid);
	}
}

/* All threads but one fork at a time, with others at work. */
static void *fork_often(void *arg)
{
	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (!pid) {
			spin(2);
			_exit(0);
		}
		spin(2);
		wait_for(pid);
	}
	return NULL;
}

static void part_fork_threads(void)
{
	pthread_t threads[4];

	for (int i = 0; i < 4; i++)
		MUST(!pthread_create(&threads[i], NULL, fork_often, NULL));
	for (int i = 0; i < 4; i++)
		MUST(!pthread_join(threads[i], NULL));
}

static void part_exec(void)
{
	char *argv[] = { (char *)self, (char *)"quiet", NULL };
	pid_t pid = fork();

	if (!pid) {
		execv(self, argv);
		_exit(1);
	}
	wait_for(pid);
	pid = vfork();
	if (!pid) {
		execv(self, argv);
		_exit(1);
	}
	wait_for(pid);
	MUST(!posix_spawn(&pid, self, NULL, NULL, argv, environ));
	wait_for(pid);
	MUST(!system("exit 0"));
	spin(20);
	/* And in its own place. */
	argv[1] = (char *)"spin";
	execv(self, argv);
	MUST(!"exec");
}

static void part_quiet(void)
{
	spin(50);
	/* Nothing is said. */
	_exit(0);
}

/* Descriptors are the program's own: none more than without us, and none of them matters. */
static void part_daemon(void)
{
	int fd;

	fd = open("/dev/null", O_RDONLY);
	MUST(fd == 3);
	for (int i = 0; i < 1024; i++)
		if (i != STDOUT_FILENO)
			close(i);
	MUST(open("/dev/null", O_RDONLY) == 0);
	MUST(setsid() >= 0 || errno == EPERM);
	spin(200);
	for (int i = 2; i < 20; i++)
		MUST(open("/dev/null", O_RDONLY) == i);
	spin(100);
}

/* ---- objects ------------------------------------------------------------------------ */

static void part_dlopen(void)
{
	for (int i = 0; i < 3; i++) {
		void *handle = dlopen(PLUGIN, RTLD_NOW), *named;
		unsigned long (*work)(unsigned int);

		MUST(handle);
		work = (unsigned long (*)(unsigned int))dlsym(handle, "plugin_work");
		MUST(work);
		work(50);
		/* Found by the RUNPATH of who calls, or not at all. */
		named = dlopen("libagent_named.so", RTLD_NOW);
		MUST(named);
		MUST(dlopen("libagent_nowhere.so", RTLD_NOW) == NULL && dlerror());
		MUST(!dlclose(named));
		MUST(!dlclose(handle));
	}
}

/* ---- filters ------------------------------------------------------------------------ */

/* The program under a filter that refuses what the agent needs, and has been there before it, as in containers. */
static void under_filter(unsigned int refused)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, refused, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog filter = { sizeof(code) / sizeof(code[0]), code };
	char *argv[] = { (char *)self, (char *)"spin", NULL };
	int (*unseen_prctl)(int, ...) = (int (*)(int, ...))dlsym(dlopen("libc.so.6", RTLD_NOW), "prctl");

	MUST(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) && !unseen_prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
	execv(self, argv);
	MUST(!"exec");
}

static void part_no_timers(void)
{
	under_filter(SYS_timer_create);
}

static void part_no_sockets(void)
{
	under_filter(SYS_socket);
}

static void part_no_memfd(void)
{
	under_filter(SYS_memfd_create);
}

static int c11_work(void *arg)
{
	prctl(PR_SET_NAME, "c11");
	spin(50);
	return *(int *)arg;
}

static void part_c11(void)
{
	int number = 42, ret = 0;
	thrd_t thread;

	MUST(thrd_create(&thread, c11_work, &number) == thrd_success);
	MUST(thrd_join(thread, &ret) == thrd_success && ret == 42);
}

static bool has_timers(void)
{
	FILE *f = fopen("/proc/self/timers", "r");
	bool has;

	MUST(f);
	has = fgetc(f) != EOF;
	fclose(f);
	return has;
}

/* One thread, which the library does not meet again once its recorder is gone. */
static void part_outlive(void)
{
	uint64_t end = now(CLOCK_THREAD_CPUTIME_ID) + 20000000000;

	MUST(has_timers());
	while (has_timers() && now(CLOCK_THREAD_CPUTIME_ID) < end)
		spin(10);
	MUST(!has_timers());
	spin(20);
}

extern volatile bool early_enough;

/* Another object has begun a thread as it was loaded. */
static void part_early(void)
{
	spin(100);
	usleep(200000);
	early_enough = true;
}

static void *spin_named(void *name)
{
	prctl(PR_SET_NAME, name);
	spin(50);
	return NULL;
}

static void run_thread(const char *name)
{
	pthread_t thread;

	MUST(!pthread_create(&thread, NULL, spin_named, (void *)name) && !pthread_join(thread, NULL));
}

/* The user has no signals left for more timers; a thread and a child go without. */
static void part_no_budget(void)
{
	struct rlimit limit;
	pid_t child;

	run_thread("before");
	MUST(!getrlimit(RLIMIT_SIGPENDING, &limit));
	limit.rlim_cur = 0;
	MUST(!setrlimit(RLIMIT_SIGPENDING, &limit));
	run_thread("refused");
	child = fork();
	if (!child) {
		spin(20);
		_exit(0);
	}
	wait_for(child);
	limit.rlim_cur = limit.rlim_max;
	MUST(!setrlimit(RLIMIT_SIGPENDING, &limit));
	run_thread("after");
}

/* ---- main ----------------------------------------------------------------------------- */

static const struct part parts[] = {
	{ "spin", part_spin }, { "sleep", part_sleep }, { "threads", part_threads }, { "c11", part_c11 }, { "fork", part_fork },
	{ "fork_threads", part_fork_threads }, { "exec", part_exec }, { "quiet", part_quiet },
	{ "no_budget", part_no_budget }, { "outlive", part_outlive },
	{ "early", part_early }, { "daemon", part_daemon }, { "dlopen", part_dlopen },
	{ "no_timers", part_no_timers }, { "no_sockets", part_no_sockets }, { "no_memfd", part_no_memfd }, { NULL, NULL },
};

int main(int argc, char **argv)
{
	const struct part *all[] = { parts, signal_parts, seccomp_parts, NULL };

	self = argv[0];
	for (int i = 0; argc > 1 && all[i]; i++)
		for (const struct part *part = all[i]; part->name; part++)
			if (!strcmp(part->name, argv[1])) {
				part->run();
				puts("done");
				return 0;
			}
	return 2;
}

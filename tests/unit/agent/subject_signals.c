/* SPDX-License-Identifier: MIT */
/* Parts about signals, whose every number belongs to the program. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static volatile sig_atomic_t hits[65];

static void count(int sig)
{
	hits[sig]++;
}

static void catch(int sig, void (*handler)(int), int flags)
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = flags }, seen;

	sigfillset(&action.sa_mask);
	MUST(!sigaction(sig, &action, NULL));
	MUST(!sigaction(sig, NULL, &seen) && seen.sa_handler == handler);
	for (int other = SIGRTMIN; other <= SIGRTMAX; other++)
		MUST(sigismember(&seen.sa_mask, other) == 1);
}

/* The program's own profiler and alarm. */
static void part_sigprof(void)
{
	struct itimerval every = { { 0, 5000 }, { 0, 5000 } };

	catch(SIGPROF, count, SA_RESTART);
	catch(SIGALRM, count, SA_RESTART);
	MUST(!setitimer(ITIMER_PROF, &every, NULL));
	MUST(!setitimer(ITIMER_REAL, &every, NULL));
	spin(300);
	MUST(hits[SIGPROF] > 5 && hits[SIGALRM] > 5);
}

/* All real-time signals, each with a handler, as if we were not there. */
static void part_all_signals(void)
{
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		struct sigaction old;

		MUST(!sigaction(sig, NULL, &old) && old.sa_handler == SIG_DFL && !(old.sa_flags & SA_SIGINFO));
		if (sig % 2)
			catch(sig, count, 0);
		else
			MUST(signal(sig, count) == SIG_DFL);
	}
	for (int round = 0; round < 3; round++) {
		spin(50);
		for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
			MUST(!raise(sig));
	}
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		MUST(hits[sig] == 3);
		MUST(signal(sig, SIG_IGN) == count);
		MUST(!raise(sig));
	}
	spin(50);
}

static bool mask_is(const sigset_t *want)
{
	sigset_t is;

	MUST(!pthread_sigmask(SIG_BLOCK, NULL, &is));
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && sigismember(&is, sig) != sigismember(want, sig))
			return false;
	return true;
}

static void *with_all_blocked(void *arg)
{
	sigset_t all;

	sigfillset(&all);
	MUST(mask_is(&all));
	spin(150);
	return NULL;
}

static void part_masks(void)
{
	sigset_t all, none, one, *both = &one, old;
	pthread_t thread;

	sigfillset(&all);
	sigemptyset(&none);
	MUST(mask_is(&none));
	MUST(!sigprocmask(SIG_SETMASK, &all, &old));
	MUST(mask_is(&all));
	spin(150);
	MUST(!pthread_create(&thread, NULL, with_all_blocked, NULL) && !pthread_join(thread, NULL));
	/* One set for both. */
	one = none;
	MUST(!pthread_sigmask(SIG_SETMASK, &one, both));
	MUST(mask_is(&none));
	for (int sig = 1; sig <= SIGRTMAX; sig++)
		if (sig != SIGKILL && sig != SIGSTOP && (sig < 32 || sig >= SIGRTMIN))
			MUST(sigismember(&one, sig) == 1);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		sigemptyset(&one);
		sigaddset(&one, sig);
		MUST(!pthread_sigmask(SIG_BLOCK, &one, &old) && mask_is(&one));
		MUST(!sigprocmask(SIG_UNBLOCK, &one, &old) && mask_is(&none));
		MUST(sigismember(&old, sig) == 1);
	}
	spin(50);
	MUST(sigprocmask(77, &one, NULL) == -1 && errno == EINVAL);
}

static int n_taken;

static void *wait_for_signals(void *arg)
{
	struct timespec soon = { 0, 100000000 };
	sigset_t all;
	int sig = 0;

	sigfillset(&all);
	for (int i = 0; i < 20; i++) {
		MUST(!sigwait(&all, &sig) && sig == SIGUSR1);
		__atomic_fetch_add(&n_taken, 1, __ATOMIC_RELAXED);
	}
	/* As with every handler's signal, it may be interrupted. */
	MUST(sigtimedwait(&all, NULL, &soon) == -1 && (errno == EAGAIN || errno == EINTR));
	return NULL;
}

/* Who waits for everything gets what was sent. */
static void part_sigwait(void)
{
	pthread_t thread;
	sigset_t all;

	sigfillset(&all);
	MUST(!pthread_sigmask(SIG_BLOCK, &all, NULL));
	MUST(!pthread_create(&thread, NULL, wait_for_signals, NULL));
	for (int i = 0; i < 20; i++) {
		spin(10);
		MUST(!pthread_kill(thread, SIGUSR1));
		/* Two that nobody has taken are one. */
		do
			usleep(10000);
		while (__atomic_load_n(&n_taken, __ATOMIC_RELAXED) <= i);
	}
	MUST(!pthread_join(thread, NULL));
}

/* Every real-time signal, blocked, comes to who waits for it, whoever it was sent to. */
static void *wait_for_all(void *arg)
{
	siginfo_t info;
	sigset_t all;
	int got;

	sigfillset(&all);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		if (sig % 2)
			MUST(!sigwait(&all, &got) && got == sig);
		else
			MUST(sigwaitinfo(&all, &info) == sig && info.si_value.sival_int == sig);
	return NULL;
}

static void part_sigwait_all(void)
{
	pthread_t thread;
	sigset_t all, pending;

	sigfillset(&all);
	MUST(!pthread_sigmask(SIG_BLOCK, &all, NULL));
	MUST(!pthread_create(&thread, NULL, wait_for_all, NULL));
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		spin(5);
		MUST(!sigqueue(getpid(), sig, (union sigval){ sig }));
		usleep(10000);
	}
	MUST(!pthread_join(thread, NULL));
	MUST(!raise(SIGRTMAX - 1) && !sigpending(&pending) && sigismember(&pending, SIGRTMAX - 1) == 1);
	spin(20);
	MUST(mask_is(&all));
}

static void part_signalfd(void)
{
	struct signalfd_siginfo info;
	sigset_t set;
	int fd;

	sigemptyset(&set);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		sigaddset(&set, sig);
	MUST(!sigprocmask(SIG_BLOCK, &set, NULL));
	fd = signalfd(-1, &set, 0);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		spin(2);
		MUST(!kill(getpid(), sig) && read(fd, &info, sizeof(info)) == sizeof(info));
		MUST(info.ssi_signo == (unsigned int)sig && info.ssi_code == SI_USER);
	}
}

static int ends[2];

static void see_mask(int sig)
{
	sigset_t is;

	MUST(!pthread_sigmask(SIG_BLOCK, NULL, &is) && sigismember(&is, SIGUSR1) == 1);
	hits[sig]++;
	MUST(write(ends[1], "", 1) == 1);
}

/* False: the signal came before the call, which then finds what the handler has written. */
static bool is_interrupted(int sig, long ms)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = sig };
	struct itimerspec soon = { .it_value = { ms / 1000, ms % 1000 * 1000000 } };
	struct sigaction action = { .sa_handler = see_mask, .sa_flags = SA_RESETHAND }, now;
	timer_t timer;
	bool interrupted;
	char c;

	hits[sig] = 0;
	sigaddset(&action.sa_mask, SIGUSR1);
	MUST(!sigaction(sig, &action, NULL));
	MUST(!timer_create(CLOCK_MONOTONIC, &event, &timer) && !timer_settime(timer, 0, &soon, NULL));
	interrupted = read(ends[0], &c, 1) == -1;
	MUST((!interrupted || (errno == EINTR && read(ends[0], &c, 1) == 1)) && hits[sig] == 1);
	MUST(!sigaction(sig, NULL, &now) && now.sa_handler == SIG_DFL);
	timer_delete(timer);
	return interrupted;
}

/* Calls that are interrupted, signals that are blocked meanwhile, actions that are for once. */
static void part_actions(void)
{
	MUST(!pipe(ends));
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		long ms = 30;

		while (!is_interrupted(sig, ms))
			MUST((ms *= 2) < 10000);
	}
}

static void part_default_actions(void)
{
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		pid_t child = fork();
		int status;

		if (!child) {
			raise(sig);
			_exit(0);
		}
		MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == sig);
	}
}

/* A shell between vfork() and exec: what it changes is its own, and is changed. */
static void part_vfork(void)
{
	pid_t child;
	sigset_t all, none;
	int status;

	sigfillset(&all);
	sigemptyset(&none);
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		catch(sig, count, 0);
	MUST(!sigprocmask(SIG_SETMASK, &all, NULL));
	for (volatile int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		child = vfork();
		if (!child) {
			struct sigaction standard = { .sa_handler = SIG_DFL };

			for (int other = SIGRTMIN; other <= SIGRTMAX; other++)
				if (other % 2)
					signal(other, SIG_DFL);
				else
					sigaction(other, &standard, NULL);
			sigprocmask(SIG_SETMASK, &none, NULL);
			prctl(PR_SET_NAME, "vforked");
			kill(getpid(), sig);
			_exit(0);
		}
		MUST(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == sig);
	}
	MUST(mask_is(&all) && !sigprocmask(SIG_SETMASK, &none, NULL));
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++) {
		struct sigaction seen;

		MUST(!sigaction(sig, NULL, &seen) && seen.sa_handler == count && sigismember(&seen.sa_mask, sig) == 1);
		MUST(!raise(sig) && hits[sig] == 1);
	}
	spin(50);
}

/* The agent's thread, which has descriptors of its own, runs no handler of the program's. */
static void part_agent_thread(void)
{
	char path[64], line[128];
	unsigned long long blocked = 0;

	for (int i = 0; i < 2000 && !(blocked >> (SIGRTMAX - 2) & 1); i++) {
		DIR *dir = opendir("/proc/self/task");

		usleep(10000);
		for (struct dirent *entry; (entry = readdir(dir));) {
			bool is = false;
			FILE *f;

			snprintf(path, sizeof(path), "/proc/self/task/%.20s/status", entry->d_name);
			f = fopen(path, "r");
			while (f && fgets(line, sizeof(line), f)) {
				is |= !strcmp(line, "Name:\tretour-agent\n");
				if (is)
					sscanf(line, "SigBlk: %llx", &blocked);
			}
			if (f)
				fclose(f);
		}
		closedir(dir);
	}
	for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
		MUST(blocked >> (sig - 1) & 1);
}

/* ---- small alternate stacks ------------------------------------------------------- */

static char area[1 << 16];

static void spin_there(int sig)
{
	char here;

	hits[sig]++;
	MUST(&here > area && &here < area + sizeof(area));
	spin(200);
}

/* A handler works on a stack that has room for one frame of the kernel's, and 2 KB. */
static void part_sigaltstack(void)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ), guard = 16384;
	size_t room = (frame ? frame : 2048) + 2048;
	stack_t stack = { .ss_sp = area + guard, .ss_size = room };

	memset(area, 0x5a, sizeof(area));
	MUST(!sigaltstack(&stack, NULL));
	catch(SIGUSR2, spin_there, SA_ONSTACK);
	MUST(!raise(SIGUSR2) && hits[SIGUSR2] == 1);
	for (size_t i = 0; i < guard; i++)
		MUST(area[i] == 0x5a);
}

const struct part signal_parts[] = {
	{ "sigprof", part_sigprof }, { "all_signals", part_all_signals }, { "masks", part_masks },
	{ "sigwait", part_sigwait }, { "sigaltstack", part_sigaltstack },
	{ "sigwait_all", part_sigwait_all }, { "signalfd", part_signalfd }, { "actions", part_actions },
	{ "default_actions", part_default_actions }, { "vfork", part_vfork }, { "agent_thread", part_agent_thread }, { NULL, NULL },
};

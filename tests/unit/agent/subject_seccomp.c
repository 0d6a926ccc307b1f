/* SPDX-License-Identifier: MIT */
/* Parts about programs that forbid themselves system calls, on pain of death. */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "subject.h"

#define KILL(nr) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, nr, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

/* What the program does without and the agent does not. */
static struct sock_filter kills[] = {
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	KILL(SYS_timer_create), KILL(SYS_timer_settime), KILL(SYS_timer_delete), KILL(SYS_process_vm_readv),
	KILL(SYS_socket), KILL(SYS_rt_sigtimedwait), KILL(SYS_rt_tgsigqueueinfo), KILL(SYS_kill),
	KILL(SYS_unlink), KILL(SYS_prctl),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
};
static struct sock_fprog filter = { sizeof(kills) / sizeof(kills[0]), kills };

enum how { BY_PRCTL, BY_SECCOMP, BY_SYSCALL_PRCTL };

static void confine(enum how how, unsigned int flags)
{
	MUST(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (how == BY_PRCTL)
		MUST(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
	else if (how == BY_SECCOMP)
		MUST(!syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &filter));
	else
		MUST(!syscall(SYS_prctl, PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter));
}

static void must_succeed(pid_t child)
{
	int status;

	MUST(child > 0 && waitpid(child, &status, 0) == child);
	MUST(status == 0);
}

/* ---- strict ------------------------------------------------------------------------ */

static volatile bool enough, strict;

/* No call is allowed but to end. */
static void *work_strictly(void *arg)
{
	volatile unsigned long x = 1;

	spin(20);
	MUST(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	strict = true;
	while (!enough)
		x = x * 3 + 1;
	syscall(SYS_exit, 0);
	return NULL;
}

static void part_strict(void)
{
	struct timespec used = { 0, 0 };
	pthread_t thread;
	clockid_t clock;

	MUST(!pthread_create(&thread, NULL, work_strictly, NULL) && !pthread_getcpuclockid(thread, &clock));
	while (!strict || (used.tv_sec == 0 && used.tv_nsec < 120000000)) {
		usleep(10000);
		MUST(!clock_gettime(clock, &used));
	}
	enough = true;
	spin(20);
	/* Not joined: its end is none of the library's. */
}

/* ---- filters that kill ------------------------------------------------------------- */

static void part_kill(void)
{
	for (enum how how = BY_PRCTL; how <= BY_SYSCALL_PRCTL; how += BY_SYSCALL_PRCTL) {
		pid_t child;

		fflush(stdout);
		child = fork();
		if (!child) {
			spin(20);
			confine(how, 0);
			spin(60);
			exit(0);
		}
		must_succeed(child);
	}
	spin(20);
}

static void *spin_until(void *arg)
{
	while (!enough)
		spin(5);
	return NULL;
}

static void part_tsync(void)
{
	pthread_t threads[2];
	pid_t child = fork();

	if (!child) {
		for (int i = 0; i < 2; i++)
			MUST(!pthread_create(&threads[i], NULL, spin_until, NULL));
		spin(20);
		confine(BY_SECCOMP, SECCOMP_FILTER_FLAG_TSYNC);
		spin(60);
		enough = true;
		for (int i = 0; i < 2; i++)
			MUST(!pthread_join(threads[i], NULL));
		exit(0);
	}
	must_succeed(child);
	spin(20);
}

static void *spin_some(void *arg)
{
	spin(60);
	return NULL;
}

/* A thread, a child, and a program that the child becomes. */
static void part_inherited(void)
{
	char *argv[] = { (char *)self, (char *)"quiet", NULL };
	pthread_t thread;
	pid_t child;

	spin(20);
	confine(BY_SECCOMP, 0);
	MUST(!pthread_create(&thread, NULL, spin_some, NULL) && !pthread_join(thread, NULL));
	child = fork();
	if (!child) {
		spin(60);
		execv(self, argv);
		_exit(1);
	}
	must_succeed(child);
}

/* ---- refusals ------------------------------------------------------------------------ */

/* Who asks whether there are filters has none. */
static void *probe(void *arg)
{
	prctl(PR_SET_NAME, "probe");
	MUST(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, NULL) == -1 && errno == EFAULT);
	MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, NULL) == -1 && errno == EFAULT);
	spin(60);
	return arg;
}

/* The thread is sampled again. */
static void *be_refused(void *arg)
{
	struct sock_filter nonsense[] = { BPF_STMT(0xffff, 0) };
	struct sock_fprog bad = { 1, nonsense };

	for (int i = 0; i < 3; i++)
		MUST(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &bad) == -1 && errno == EINVAL);
	prctl(PR_SET_NAME, "refused");
	spin(60);
	return arg;
}

static void part_refused(void)
{
	pthread_t thread;

	MUST(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	MUST(!pthread_create(&thread, NULL, probe, NULL) && !pthread_join(thread, NULL));
	MUST(!pthread_create(&thread, NULL, be_refused, NULL) && !pthread_join(thread, NULL));
	/* Other calls are what they were. */
	MUST(syscall(SYS_getpid) == getpid() && syscall(SYS_close, -1) == -1 && errno == EBADF);
}

const struct part seccomp_parts[] = {
	{ "seccomp_strict", part_strict }, { "seccomp_kill", part_kill }, { "seccomp_tsync", part_tsync },
	{ "seccomp_inherited", part_inherited }, { "seccomp_refused", part_refused }, { NULL, NULL },
};

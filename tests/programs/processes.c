/* SPDX-License-Identifier: MIT */
/*
 * Processes by every road: `fork` without exec, whose child works on a stack in
 * shared memory that fork does not map for it; `vfork`, whose child works on its
 * parent's stack; `exec`, which replaces itself again and again; and `storm`,
 * --count (10000) processes that live for microseconds.
 */
#include "program.h"

#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#define STACK (256 * 1024)

extern char **environ;
static ucontext_t outside, inside;
static char *program;

FRAME static void child_side(void)
{
	burn_until_end();
	_exit(0);
}

/* The parent must not run on the stack that it shares with its child. */
FRAME static void leaves_stack(void)
{
	swapcontext(&inside, &outside);
	child_side();
}

FRAME static void deeper(int depth)
{
	char page[4096];	/* so that the frames lie on pages of their own */

	asm volatile("" : : "r"(page) : "memory");
	if (depth > 1)
		deeper(depth - 1);
	else
		leaves_stack();
	asm volatile("" : : "r"(page) : "memory");
}

FRAME static void coroutine(void)
{
	deeper(16);
}

FRAME static void mode_fork(void)
{
	pid_t pid;

	must(!getcontext(&inside), "getcontext");
	inside.uc_stack.ss_sp = map_stack(STACK, MAP_SHARED | MAP_ANONYMOUS, -1);
	inside.uc_stack.ss_size = STACK;
	makecontext(&inside, coroutine, 0);
	swapcontext(&outside, &inside);
	pid = fork();
	must(pid >= 0, "fork");
	if (!pid)
		swapcontext(&outside, &inside);
	waitpid(pid, NULL, 0);
}

FRAME static void in_vfork_child(void)
{
	for (int i = 0; i < 50; i++)
		burn();
}

FRAME static void vfork_here(void)
{
	pid_t pid = vfork();

	must(pid >= 0, "vfork");
	if (!pid) {
		in_vfork_child();
		_exit(0);
	}
	waitpid(pid, NULL, 0);
}

FRAME static void before_exec(void)
{
	for (int i = 0; i < 50; i++)
		burn();
}

FRAME static void mode_exec(void)
{
	char left[24];

	snprintf(left, sizeof(left), "%ld", program_count(200) - 1);
	before_exec();
	if (program_count(200) > 0)
		execl(program, program, "exec", "--count", left, (char *)NULL);
}

FRAME static void mode_storm(void)
{
	char mode[] = "brief", *arguments[] = { program, mode, NULL };
	pid_t pid;

	for (long i = 0; i < program_count(10000); i++) {
		must(!posix_spawn(&pid, program, NULL, NULL, arguments, environ), "posix_spawn");
		waitpid(pid, NULL, 0);
	}
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	program = argv[0];
	must(program_mode() != NULL, "a mode");
	if (!strcmp(program_mode(), "fork"))
		mode_fork();
	else if (!strcmp(program_mode(), "exec"))
		mode_exec();
	else if (!strcmp(program_mode(), "storm"))
		mode_storm();
	else if (!strcmp(program_mode(), "brief"))
		before_exec();
	else
		while (running())
			vfork_here();
	return 0;
}

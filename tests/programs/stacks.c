/* SPDX-License-Identifier: MIT */
/*
 * Stacks that lose what is above the work, which never returns:
 * `holes` unmaps pages of it, `scribbled` has another thread write over it.
 */
#include "program.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#define PAGE 4096
#define STACK (64 * PAGE)
#define DEPTH 20

static char *stack;
static char *volatile victim;	/* the lowest address that may be destroyed */
static ucontext_t outside, inside;

FRAME static void bottom(void)
{
	burn_until_end();
	_exit(0);
}

FRAME static void intact(int depth)
{
	if (depth > 1)
		intact(depth - 1);
	else
		bottom();
}

FRAME static void unmaps(void)
{
	must(!munmap(victim, PAGE), "munmap");
	intact(5);
}

FRAME static void *scribbler(void *arg)
{
	uint64_t x = 88172645463325252ULL;

	while (true) {
		for (char *p = victim; p + 8 <= stack + STACK; p += 8) {
			x ^= x << 13;
			x ^= x >> 7;
			x ^= x << 17;
			/* Not canonical, so nobody can take it for an address. */
			*(volatile uint64_t *)p = x | 1ULL << 62;
		}
		usleep(50);
	}
	return arg;
}

FRAME static void scribbled(void)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, scribbler, NULL), "pthread_create");
	intact(5);
}

FRAME static void doomed(int depth)
{
	char page[PAGE];

	asm volatile("" : : "r"(page) : "memory");
	if (depth > 1) {
		doomed(depth - 1);
		asm volatile("" : : "r"(page) : "memory");
		return;
	}
	/* A few frames stay whole. */
	victim = (char *)(((uintptr_t)page + 3 * PAGE) & ~(uintptr_t)(PAGE - 1));
	if (!strcmp(program_mode(), "holes"))
		unmaps();
	else
		scribbled();
	asm volatile("" : : "r"(page) : "memory");
}

FRAME static void coroutine(void)
{
	doomed(DEPTH);
}

int main(int argc, char **argv)
{
	program_start(argc, argv);
	must(program_mode() != NULL, "holes or scribbled");
	stack = map_stack(STACK, MAP_PRIVATE | MAP_ANONYMOUS, -1);
	must(!getcontext(&inside), "getcontext");
	inside.uc_stack.ss_sp = stack;
	inside.uc_stack.ss_size = STACK;
	makecontext(&inside, coroutine, 0);
	swapcontext(&outside, &inside);
	return 0;
}

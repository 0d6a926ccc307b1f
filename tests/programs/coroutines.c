/* SPDX-License-Identifier: MIT */
/*
 * Four coroutines, each at a depth of its own, resumed in turn by swapcontext;
 * two of them give way by setcontext.  Behind their stacks nothing can be read.
 */
#include "program.h"

#include <stdint.h>
#include <sys/mman.h>
#include <ucontext.h>

#define N 4
#define STACK (64 * 1024)
#define GUARD 4096

static ucontext_t scheduler, coroutines[N];

FRAME static void yields(int self)
{
	volatile bool resumed;

	while (true) {
		for (int i = 0; i < 5; i++)
			burn();
		if (self & 1) {
			swapcontext(&coroutines[self], &scheduler);
			continue;
		}
		resumed = false;
		getcontext(&coroutines[self]);
		if (!resumed) {
			resumed = true;
			setcontext(&scheduler);
		}
	}
}

FRAME static void nest(int self, int depth)
{
	if (depth > 1)
		nest(self, depth - 1);
	else
		yields(self);
}

FRAME static void coroutine_0(void) { nest(0, 1); }
FRAME static void coroutine_1(void) { nest(1, 5); }
FRAME static void coroutine_2(void) { nest(2, 20); }
FRAME static void coroutine_3(void) { nest(3, 100); }

int main(int argc, char **argv)
{
	void (*const entry[N])(void) = { coroutine_0, coroutine_1, coroutine_2, coroutine_3 };

	program_start(argc, argv);
	for (int i = 0; i < N; i++) {
		must(!getcontext(&coroutines[i]), "getcontext");
		coroutines[i].uc_stack.ss_sp = map_stack(STACK + GUARD, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		must(!mprotect((char *)coroutines[i].uc_stack.ss_sp + STACK, GUARD, PROT_NONE), "mprotect");
		coroutines[i].uc_stack.ss_size = STACK;
		makecontext(&coroutines[i], entry[i], 0);
	}
	while (running())
		for (int i = 0; i < N; i++)
			swapcontext(&scheduler, &coroutines[i]);
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A parent and a child that take turns on one CPU: the parent waits for a number
 * to grow, and when the child says that it has the parent takes the CPU from it.
 * Started on one CPU with a real-time priority (SCHED_FIFO), each switch between
 * them is the program's own doing, and an event per switch gives the same chains
 * every time.  They meet in a futex, as the kernel wakes who waits there when it
 * holds no lock: a pipe's is a lock to sleep for with PREEMPT_RT, two more switches.
 */
#include "freestanding.h"

enum { SWITCHES = 20, FIFO = 1, LOW_PRIORITY = 55 /* above that of threads that serve interrupts */ };
enum { FUTEX_WAIT, FUTEX_WAKE };

FRAME static void takes(volatile int *number, int seen)
{
	sys(__NR_futex, (long)number, FUTEX_WAIT, seen, 0);
}

FRAME static void gives(volatile int *number)
{
	++*number;
	sys(__NR_futex, (long)number, FUTEX_WAKE, 1, 0);
}

FRAME static void parent(volatile int *number)
{
	for (int i = 0; i < SWITCHES; i++)
		takes(number, i);
}

FRAME static void child(volatile int *number)
{
	int priority = LOW_PRIORITY;

	/* The parent goes on until it waits. */
	sys(__NR_sched_setscheduler, 0, FIFO, (long)&priority, 0);
	for (int i = 0; i < SWITCHES; i++)
		gives(number);
}

FRAME static void main_(long *stack)
{
	volatile int *number = (int *)raw(__NR_mmap, 0, PAGE, 3, 0x21 /* MAP_SHARED | MAP_ANONYMOUS */, -1);

	*number = 0;
	if (sys(__NR_fork, 0, 0, 0, 0))
		parent(number);
	else
		child(number);
	sys(__NR_exit_group, 0, 0, 0, 0);
}

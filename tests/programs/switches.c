/* SPDX-License-Identifier: MIT */
/*
 * A parent and a child that take turns on one CPU: the parent waits for a byte,
 * and when the child writes one the parent takes the CPU from it.  Started on
 * one CPU with a real-time priority (SCHED_FIFO), each switch between them is the
 * program's own doing, and an event per switch gives the same chains every time.
 */
#include "freestanding.h"

enum { SWITCHES = 20, FIFO = 1, LOW_PRIORITY = 2 };

FRAME static void takes(int from)
{
	char byte;

	sys(__NR_read, from, (long)&byte, 1, 0);
}

FRAME static void gives(int to)
{
	sys(__NR_write, to, (long)"", 1, 0);
}

FRAME static void parent(int from)
{
	for (int i = 0; i < SWITCHES; i++)
		takes(from);
}

FRAME static void child(int to)
{
	int priority = LOW_PRIORITY;

	/* The parent goes on until it waits. */
	sys(__NR_sched_setscheduler, 0, FIFO, (long)&priority, 0);
	for (int i = 0; i < SWITCHES; i++)
		gives(to);
}

FRAME static void main_(long *stack)
{
	int ends[2];

	sys(__NR_pipe, (long)ends, 0, 0, 0);
	if (sys(__NR_fork, 0, 0, 0, 0))
		parent(ends[0]);
	else
		child(ends[1]);
	sys(__NR_exit_group, 0, 0, 0, 0);
}

/* SPDX-License-Identifier: MIT */
/*
 * Deferred work, in microseconds (median, 99th percentile) or per second.
 *
 *	callbacks latency TIMES		from call to callback
 *	callbacks barrier TIMES		a barrier behind one callback
 *	callbacks poll TIMES		from start_poll until poll says so
 *	callbacks flood HEADS		callbacks a second, to the end of a barrier
 *
 * In the first three the library has nothing else to do, and had not for a while.
 */
#include "bench.h"

#include <sched.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include IMPL

#ifdef HAVE_CALL

static sem_t called;
static long called_at;

static void note(struct bench_head *head)
{
	called_at = now_ns();
	sem_post(&called);
}

static void ignore(struct bench_head *head)
{
}

static long latency(void)
{
	static struct bench_head head;
	long begin = now_ns();

	call(&head, note);
	offline();
	sem_wait(&called);
	online();
	return called_at - begin;
}

static long barrier(void)
{
	static struct bench_head head;
	long begin = now_ns();

	call(&head, ignore);
	callback_barrier();
	return now_ns() - begin;
}

#ifdef HAVE_POLL
static long poll_wait(void)
{
	long begin = now_ns();
	unsigned long cookie = start_poll();

	while (!poll_state(cookie))
		sched_yield();
	return now_ns() - begin;
}
#endif

static int measure_idle(long (*once)(void), long times)
{
	double *us = calloc(times, sizeof(*us));

	if (!us)
		return 1;
	sem_init(&called, 0, 0);
	/* The first time the worker is not there yet. */
	once();
	for (long i = 0; i < times; i++) {
		offline();
		usleep(1000);
		online();
		us[i] = once() / 1e3;
	}
	print_percentiles(us, times);
	return 0;
}

static int flood(long n)
{
	struct bench_head *heads = calloc(n, sizeof(*heads));
	long begin;

	if (!heads)
		return 1;
	memset(heads, 1, n * sizeof(*heads));
	barrier();
	begin = now_ns();
	for (long i = 0; i < n; i++) {
		call(&heads[i], ignore);
		quiescent();
	}
	callback_barrier();
	printf("%.6g\n", n * 1e9 / (now_ns() - begin));
	return 0;
}

int measure_callbacks(int argc, char **argv)
{
	long n = argc == 3 ? atol(argv[2]) : 0;

	if (n <= 0)
		return 2;
	/* There is a thread that reads. */
	reader_begin();
	section_end(section_begin());
	if (strcmp(argv[1], "latency") == 0)
		return measure_idle(latency, n);
	if (strcmp(argv[1], "barrier") == 0)
		return measure_idle(barrier, n);
#ifdef HAVE_POLL
	if (strcmp(argv[1], "poll") == 0)
		return measure_idle(poll_wait, n);
#endif
	return strcmp(argv[1], "flood") == 0 ? flood(n) : 2;
}

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Sites that are on: on THREADS MS HOW
 *
 * Each thread, on a CPU of its own, records two ints as fast as it can for so
 * long.  Nanoseconds an event, of the slowest thread.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include IMPL
#include "on.h"

enum { EVENTS = 1000, MAX_THREADS = 16 };

struct writer {
	pthread_t id;
	int cpu;
	double ms, each;
	double times[MAX_BATCHES];
};

static pthread_barrier_t barrier;

static __attribute__((noinline)) void fire(int i)
{
	for (int n = 0; n < EVENTS; n++)
		FIRE(n, i);
}

static void *write_events(void *arg)
{
	struct writer *w = arg;
	double end;
	size_t n = 0;

	stay_on_cpu(w->cpu);
	fire(0);
	pthread_barrier_wait(&barrier);
	end = now_ns() + w->ms * 1e6;
	for (double begin = now_ns(), now; begin < end; begin = now) {
		fire(w->cpu);
		now = now_ns();
		w->times[n++ % MAX_BATCHES] = (now - begin) / EVENTS;
	}
	w->each = median(w->times, n < MAX_BATCHES ? n : MAX_BATCHES);
	return NULL;
}

int measure_on(int argc, char **argv)
{
	static struct writer writers[MAX_THREADS];
	int n = argc == 4 ? atoi(argv[1]) : 0;
	double slowest = 0;

	if (n < 1 || n > MAX_THREADS || on_begin(argv[3]))
		return 1;
	pthread_barrier_init(&barrier, NULL, n);
	for (int i = 0; i < n; i++) {
		writers[i] = (struct writer){ .cpu = i, .ms = atof(argv[2]) };
		pthread_create(&writers[i].id, NULL, write_events, &writers[i]);
	}
	for (int i = 0; i < n; i++) {
		pthread_join(writers[i].id, NULL);
		slowest = writers[i].each > slowest ? writers[i].each : slowest;
	}
	printf("%.6g\n", slowest);
	return 0;
}

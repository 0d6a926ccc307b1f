/* SPDX-License-Identifier: MIT */
/*
 * Sites that are on: on WRITERS MS HOW threads|processes
 *
 * Each writer, on a CPU of its own, records two ints as fast as it can for so
 * long.  Nanoseconds an event, of the slowest writer.  Processes have nothing in
 * common: they show what the CPUs themselves take from each other.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include IMPL
#include "on.h"

enum { EVENTS = 1000, MAX_WRITERS = 16 };

struct writer {
	pthread_t thread;
	int cpu;
	double ms, each;
	double times[MAX_BATCHES];
};

/* Shared with the processes. */
static struct writers {
	pthread_barrier_t begin;
	struct writer writers[MAX_WRITERS];
} *shared;

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
	pthread_barrier_wait(&shared->begin);
	end = now_ns() + w->ms * 1e6;
	for (double begin = now_ns(), now; begin < end; begin = now) {
		fire(w->cpu);
		now = now_ns();
		w->times[n++ % MAX_BATCHES] = (now - begin) / EVENTS;
	}
	w->each = median(w->times, n < MAX_BATCHES ? n : MAX_BATCHES);
	return NULL;
}

static int in_threads(int n, const char *how)
{
	if (on_begin(how))
		return 1;
	for (int i = 0; i < n; i++)
		pthread_create(&shared->writers[i].thread, NULL, write_events, &shared->writers[i]);
	for (int i = 0; i < n; i++)
		pthread_join(shared->writers[i].thread, NULL);
	return 0;
}

static int in_processes(int n, const char *how)
{
	int status, failed = 0;

	for (int i = 0; i < n; i++) {
		if (fork())
			continue;
		if (on_begin(how))
			_exit(1);
		write_events(&shared->writers[i]);
		_exit(0);
	}
	for (int i = 0; i < n; i++)
		failed |= wait(&status) < 0 || status;
	return failed;
}

int measure_on(int argc, char **argv)
{
	int n = argc == 5 ? atoi(argv[1]) : 0;
	double slowest = 0;
	pthread_barrierattr_t of_processes;

	if (n < 1 || n > MAX_WRITERS)
		return 1;
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED)
		return 1;
	pthread_barrierattr_init(&of_processes);
	pthread_barrierattr_setpshared(&of_processes, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&shared->begin, &of_processes, n);
	for (int i = 0; i < n; i++)
		shared->writers[i] = (struct writer){ .cpu = i, .ms = atof(argv[2]) };
	if ((strcmp(argv[4], "processes") == 0 ? in_processes : in_threads)(n, argv[3]))
		return 1;
	for (int i = 0; i < n; i++)
		slowest = shared->writers[i].each > slowest ? shared->writers[i].each : slowest;
	printf("%.6g\n", slowest);
	return 0;
}

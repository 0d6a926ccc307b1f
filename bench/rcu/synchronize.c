/* SPDX-License-Identifier: MIT */
/*
 * How long synchronize takes, in microseconds: median, 99th percentile.
 *
 *	synchronize none MS			nobody has ever read
 *	synchronize idle MS THREADS		so many threads have read and sleep
 *	synchronize beside MS SECTION_NS	a reader on another CPU, section after section
 *	synchronize preempted MS SECTION_NS	a reader on the same CPU
 *
 * It is called again and again for MS milliseconds; with a preempted reader
 * after a pause, for the writer's waking is what preempts it in a section.
 */
#include "bench.h"

#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include IMPL

#define SAMPLES 100000
/* What is over in less than two readings of the clock is timed in batches. */
#define BATCH 1000
#define PAUSE_US 200

enum { WRITER_CPU, OTHER_CPU };

static sem_t ready;

static void *read_once(void *arg)
{
	reader_begin();
	section_end(section_begin());
	offline();
	sem_post(&ready);
	for (;;)
		pause();
	return NULL;
}

static void start_idle_readers(long n)
{
	sem_init(&ready, 0, 0);
	for (long i = 0; i < n; i++)
		start_thread(read_once, NULL);
	for (long i = 0; i < n; i++)
		sem_wait(&ready);
}

static double *times;

static void measure(long ms, int batch, int pause_us)
{
	long begin, end = now_ns() + ms * 1000000;
	size_t n = 0;

	do {
		if (pause_us)
			usleep(pause_us);
		begin = now_ns();
		for (int i = 0; i < batch; i++)
			synchronize();
		times[n++] = (now_ns() - begin) / 1e3 / batch;
	} while (n < SAMPLES && now_ns() < end);
	print_percentiles(times, n);
}

int measure_synchronize(int argc, char **argv)
{
	bool none = argc == 3 && strcmp(argv[1], "none") == 0;
	bool preempted = argc == 4 && strcmp(argv[1], "preempted") == 0;

	if (!none && argc != 4)
		return 2;
	times = calloc(SAMPLES, sizeof(*times));
	if (!times)
		return 1;
	updater_begin();
	if (!none && strcmp(argv[1], "idle") == 0)
		start_idle_readers(atol(argv[3]));
	else if (!none)
		start_reader(&(struct reader){ preempted ? WRITER_CPU : OTHER_CPU, atol(argv[3]) });
	stay_on_cpu(WRITER_CPU);
	measure(atol(argv[2]), none ? BATCH : 1, preempted ? PAUSE_US : 0);
	return 0;
}

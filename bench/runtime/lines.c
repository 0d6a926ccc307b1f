/* SPDX-License-Identifier: MIT */
/*
 * Two threads, on two CPUs, that record when they are told to: lines HOW FD FD FD FD
 *
 * Thread i reads a byte from the first two descriptors' i-th, records, and
 * writes a byte to the last two's i-th.  They touch nothing else together, so
 * what of the process's memory has changed in between is the recording's.
 */
#include "bench.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include IMPL
#include "on.h"

enum { EVENTS = 500 };

struct follower {
	int cpu, from, to;
	pthread_t id;
} __attribute__((aligned(64)));

static void *follow(void *arg)
{
	const struct follower *f = arg;
	char byte;

	stay_on_cpu(f->cpu);
	while (read(f->from, &byte, 1) == 1) {
		for (int i = 0; i < EVENTS; i++)
			FIRE(i, f->cpu);
		if (write(f->to, &byte, 1) != 1)
			break;
	}
	return NULL;
}

int measure_lines(int argc, char **argv)
{
	static struct follower followers[2];

	if (argc != 6 || on_begin(argv[1]))
		return 1;
	for (int i = 0; i < 2; i++) {
		followers[i] = (struct follower){ .cpu = i, .from = atoi(argv[2 + i]), .to = atoi(argv[4 + i]) };
		pthread_create(&followers[i].id, NULL, follow, &followers[i]);
	}
	for (int i = 0; i < 2; i++)
		pthread_join(followers[i].id, NULL);
	return 0;
}

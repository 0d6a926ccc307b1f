/* SPDX-License-Identifier: MIT */
/*
 * --count (80) threads at once, each at a depth of its own, which it prints; or,
 * in mode `churn`, threads that are made and joined one after the other.
 */
#include "program.h"

#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MAX 512

FRAME static void thread_bottom(void)
{
	burn_until_end();
}

FRAME static void nest(long depth)
{
	if (depth > 1)
		nest(depth - 1);
	else
		thread_bottom();
}

FRAME static void *thread_main(void *arg)
{
	long depth = (long)(intptr_t)arg;

	printf("{\"tid\": %d, \"depth\": %ld}\n", gettid(), depth);
	nest(depth);
	return NULL;
}

FRAME static void *brief_thread(void *arg)
{
	burn();
	return arg;
}

int main(int argc, char **argv)
{
	pthread_t threads[MAX];
	long n;

	program_start(argc, argv);
	n = program_count(80);
	must(n <= MAX, "--count");
	if (program_mode() && !strcmp(program_mode(), "churn")) {
		while (running()) {
			must(!pthread_create(&threads[0], NULL, brief_thread, NULL), "pthread_create");
			pthread_join(threads[0], NULL);
		}
		return 0;
	}
	for (long i = 0; i < n; i++)
		must(!pthread_create(&threads[i], NULL, thread_main, (void *)(intptr_t)(i + 1)), "pthread_create");
	for (long i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
	return 0;
}

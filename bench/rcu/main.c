/* SPDX-License-Identifier: MIT */
/* One implementation of RCU under measurement: PROGRAM MEASUREMENT [ARG]... prints figures. */
#include "bench.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include IMPL

#ifdef DEFINE_IMPL
DEFINE_IMPL
#endif

static const struct {
	const char *name;
	int (*measure)(int argc, char **argv);
} measurements[] = {
	{ "read", measure_read },
	{ "synchronize", measure_synchronize },
	{ "updates", measure_updates },
#ifdef HAVE_CALL
	{ "callbacks", measure_callbacks },
#endif
};

void start_thread(void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	pthread_t id;
	int err;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN + 32768);
	err = pthread_create(&id, &attr, run, arg);
	pthread_attr_destroy(&attr);
	if (!err)
		return;
	fprintf(stderr, "thread: %s\n", strerror(err));
	exit(1);
}

void print_percentiles(double *values, size_t n)
{
	double median = percentile(values, n, 0.5);

	printf("%.6g %.6g\n", median, percentile(values, n, 0.99));
}

int main(int argc, char **argv)
{
	int status = 2;

	for (size_t i = 0; argc > 1 && i < sizeof(measurements) / sizeof(*measurements); i++)
		if (strcmp(argv[1], measurements[i].name) == 0)
			status = measurements[i].measure(argc - 1, argv + 1);
	fflush(stdout);
	/* Threads are still in the middle of things. */
	_Exit(status);
}

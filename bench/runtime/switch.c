/* SPDX-License-Identifier: MIT */
/*
 * Switching sites while another thread runs: switch SITES TIMES
 *
 * Microseconds to switch so many tracepoints, each with a site, on: one after
 * the other, and in one batch.
 */
#include "bench.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "impl/retour.h"
#include "sites.h"

#define DECLARE(i, j, k) DECLARE_SITE(number_##i##j##k)
#define FIRE_ONE(i, j, k) FIRE_SITE(number_##i##j##k, a, b);

DECIMAL_SITES(DECLARE)

enum { MAX_SITES = 1000 };

static struct retour_tracepoint *tracepoints[MAX_SITES];
static int sites;
static int found;

__attribute__((noinline)) static void pass(int a, int b)
{
	DECIMAL_SITES(FIRE_ONE)
}

static void *run_through_sites(void *unused)
{
	stay_on_cpu(1);
	for (int i = 0;; i++)
		pass(i, i);
	return NULL;
}

static void probe(void *data, int a, int b)
{
}

static int find_one(const struct retour_tracepoint *tp, void *unused)
{
	if (found < sites)
		tracepoints[found++] = (struct retour_tracepoint *)tp;
	return 0;
}

static void attach(void)
{
	for (int i = 0; i < sites; i++)
		retour_tracepoint_probe_register(tracepoints[i], (void (*)(void))probe, NULL);
}

static void detach(void)
{
	retour_static_key_batch_begin();
	for (int i = 0; i < sites; i++)
		retour_tracepoint_probe_unregister(tracepoints[i], (void (*)(void))probe, NULL);
	retour_static_key_batch_end();
}

static double one_by_one(void)
{
	double begin = now_ns();

	attach();
	return (now_ns() - begin) / 1e3;
}

static double in_one_batch(void)
{
	double begin = now_ns();

	retour_static_key_batch_begin();
	attach();
	retour_static_key_batch_end();
	return (now_ns() - begin) / 1e3;
}

static double measure(double (*attach_all)(void), int times)
{
	static double took[MAX_BATCHES];

	for (int i = 0; i < times && i < MAX_BATCHES; i++) {
		took[i] = attach_all();
		detach();
	}
	return median(took, times);
}

int measure_switch(int argc, char **argv)
{
	int times = argc == 3 ? atoi(argv[2]) : 0;
	pthread_t other;

	sites = argc == 3 ? atoi(argv[1]) : 0;
	retour_tracepoint_for_each(find_one, NULL);
	if (found < sites || pthread_create(&other, NULL, run_through_sites, NULL))
		return 1;
	stay_on_cpu(0);
	printf("%.6g %.6g\n", measure(one_by_one, times), measure(in_one_batch, times));
	fflush(stdout);
	_Exit(0);
}

/* SPDX-License-Identifier: MIT */
/*
 * Which samples of a recording are looked at, and which part of their chains.
 * A list that is empty lets everything through; the lists are combined with
 * "and", their elements with "or".
 */
#ifndef RETOUR_PROFILE_FILTER_H
#define RETOUR_PROFILE_FILTER_H

#include "base/error.h"
#include "base/vec.h"

#include <stdbool.h>
#include <stdint.h>

struct filter_range {
	uint64_t first, last;	/* both included */
};

typedef VEC(struct filter_range) filter_ranges;

struct filter {
	VEC(char *) comms;
	filter_ranges pids, tids, cpus, times;	/* times in nanoseconds */
	bool no_kernel, no_user;
};

/* "a,b": comms are exact names. */
ERROR_CHECK struct error *filter_add_comms(struct filter *filter, const char *list);
/* "1,2,7-9" */
ERROR_CHECK struct error *filter_add_pids(struct filter *filter, const char *list);
ERROR_CHECK struct error *filter_add_tids(struct filter *filter, const char *list);
ERROR_CHECK struct error *filter_add_cpus(struct filter *filter, const char *list);
/* "A,B", "A," or ",B": seconds on the clock of the recording, as script prints them. */
ERROR_CHECK struct error *filter_add_time(struct filter *filter, const char *range);
void filter_deinit(struct filter *filter);

bool filter_match(const struct filter *filter, const char *comm, uint32_t pid, uint32_t tid, uint32_t cpu,
		  uint64_t time);

#endif

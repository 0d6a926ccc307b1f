/* SPDX-License-Identifier: MIT */
/*
 * What this machine lets this user do.  Every feature is probed by trying it,
 * never inferred from a version.
 */
#ifndef RETOUR_CLI_MACHINE_H
#define RETOUR_CLI_MACHINE_H

#include <stdbool.h>
#include <stddef.h>

struct machine_feature {
	const char *name;	/* stable, for scripts */
	const char *text;	/* what it is, for people */
	bool required;		/* the bpf backend cannot do without */
	bool available;
	char value[64];		/* what was found, may be empty */
	char remedy[320];	/* what to do if it is not available */
};

enum { MACHINE_MAX_FEATURES = 16 };

struct machine {
	struct machine_feature features[MACHINE_MAX_FEATURES];
	size_t n_features;
};

void machine_probe(struct machine *ret);
/* The first required feature that is missing; NULL if the bpf backend can run. */
const struct machine_feature *machine_obstacle(const struct machine *machine);

#endif

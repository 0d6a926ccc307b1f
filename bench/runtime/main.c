/* SPDX-License-Identifier: MIT */
/* One implementation of tracepoints under measurement: PROGRAM MEASUREMENT [ARG]... prints figures. */
#include "bench.h"

#include <stdio.h>
#include <string.h>

static const struct {
	const char *name;
	int (*measure)(int argc, char **argv);
} measurements[] = {
	{ "hot", measure_hot },
#ifdef HAVE_COLD
	{ "cold", measure_cold },
#endif
#ifdef HAVE_ON
	{ "on", measure_on },
	{ "lines", measure_lines },
#endif
#ifdef HAVE_CHAIN
	{ "chain", measure_chain },
	{ "switch", measure_switch },
#endif
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < sizeof(measurements) / sizeof(*measurements); i++)
		if (strcmp(argv[1], measurements[i].name) == 0)
			return measurements[i].measure(argc - 1, argv + 1);
	fprintf(stderr, "%s measures no such thing\n", argv[0]);
	return 2;
}

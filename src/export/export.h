/* SPDX-License-Identifier: MIT */
/*
 * A profile to a file.  One function and one file a format, one table of them.
 * An exporter only writes; that all was written is checked by who closes the
 * stream.
 */
#ifndef RETOUR_EXPORT_EXPORT_H
#define RETOUR_EXPORT_EXPORT_H

#include "base/error.h"
#include "profile/profile.h"

#include <stdbool.h>
#include <stdio.h>

struct export_options {
	const char *title;	/* what was profiled, for formats that show it */
	unsigned int width;	/* columns of the terminal; 0: lines may be as long as they are */
	bool colour;
};

typedef struct error *(*export_fn)(const struct profile *profile, const struct export_options *options, FILE *out);

struct export_format {
	const char *name;
	const char *suffix;	/* of files that have this format; NULL: chosen by name only */
	bool binary;
	bool per_process;	/* wants a profile_options.per_process profile */
	export_fn write;
};

/* NULL if there is none. */
const struct export_format *export_format_named(const char *name);
/* By the longest suffix that fits. */
const struct export_format *export_format_of_file(const char *path);
/* "table, folded, …" */
const char *export_format_names(void);

ERROR_CHECK struct error *export_table(const struct profile *profile, const struct export_options *options, FILE *out);
ERROR_CHECK struct error *export_folded(const struct profile *profile, const struct export_options *options,
					FILE *out);
ERROR_CHECK struct error *export_html(const struct profile *profile, const struct export_options *options, FILE *out);
ERROR_CHECK struct error *export_json(const struct profile *profile, const struct export_options *options, FILE *out);

/* The quality of a recording, for people and for scripts. */
ERROR_CHECK struct error *export_stats(const struct profile *profile, const struct export_options *options,
				       FILE *out);
ERROR_CHECK struct error *export_stats_json(const struct profile *profile, const struct export_options *options,
					    FILE *out);

#endif

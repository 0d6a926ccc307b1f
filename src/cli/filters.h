/* SPDX-License-Identifier: MIT */
/* The options of verbs that read a recording: which file, which samples. */
#ifndef RETOUR_CLI_FILTERS_H
#define RETOUR_CLI_FILTERS_H

#include "cli/cli.h"
#include "perfdata/reader.h"
#include "profile/filter.h"

#include <stdbool.h>

#define CLI_DEFAULT_RECORDING "retour.data"

enum {
	FILTER_OPT_COMM = CLI_LONG_ONLY + 128,
	FILTER_OPT_PID,
	FILTER_OPT_TID,
	FILTER_OPT_CPU,
	FILTER_OPT_TIME,
	FILTER_OPT_NO_KERNEL,
	FILTER_OPT_NO_USER,
};

/* A verb's more_options. */
extern const struct cli_option cli_filter_options[];

/* True if the option was one of them; a bad value ends with CLI_BAD_USAGE. */
bool cli_filter_option(const struct cli_verb *verb, int opt, const char *value, struct filter *filter);

/* Says on stderr what is missing in a recording, if anything. */
void cli_warn_about_recording(const char *path, const struct perfdata_reader *reader);

/* The quality of a recording on standard output, as `retour stats` shows it. */
ERROR_CHECK struct error *cli_show_stats(const char *input, const struct filter *filter, bool json);

#endif

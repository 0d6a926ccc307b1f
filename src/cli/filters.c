/* SPDX-License-Identifier: MIT */
/* The filter options; see filters.h. */
#include "cli/filters.h"

#include <inttypes.h>

const struct cli_option cli_filter_options[] = {
	{ FILTER_OPT_COMM, "comm", "NAME[,NAME]", "only tasks of that name" },
	{ FILTER_OPT_PID, "pid", "PID[,PID]", "only these processes" },
	{ FILTER_OPT_TID, "tid", "TID[,TID]", "only these threads" },
	{ FILTER_OPT_CPU, "cpu", "CPU[,CPU]", "only samples taken on these CPUs, also as 0-3" },
	{ FILTER_OPT_TIME, "time", "A,B", "only from A to B, seconds as script prints them; either may be left out" },
	{ FILTER_OPT_NO_KERNEL, "no-kernel", NULL, "leave out kernel frames" },
	{ FILTER_OPT_NO_USER, "no-user", NULL, "leave out user frames" },
	{ 0 },
};

static const char *option_name(int opt)
{
	for (const struct cli_option *o = cli_filter_options; o->id; o++)
		if (o->id == opt)
			return o->name;
	return "";
}

bool cli_filter_option(const struct cli_verb *verb, int opt, const char *value, struct filter *filter)
{
	struct error *err = NULL;

	switch (opt) {
	case FILTER_OPT_COMM:
		err = filter_add_comms(filter, value);
		break;
	case FILTER_OPT_PID:
		err = filter_add_pids(filter, value);
		break;
	case FILTER_OPT_TID:
		err = filter_add_tids(filter, value);
		break;
	case FILTER_OPT_CPU:
		err = filter_add_cpus(filter, value);
		break;
	case FILTER_OPT_TIME:
		err = filter_add_time(filter, value);
		break;
	case FILTER_OPT_NO_KERNEL:
		filter->no_kernel = true;
		break;
	case FILTER_OPT_NO_USER:
		filter->no_user = true;
		break;
	default:
		return false;
	}
	if (err)
		cli_usage_error(verb, "--%s: %s", option_name(opt), err->text);
	return true;
}

void cli_warn_about_recording(const char *path, const struct perfdata_reader *reader)
{
	const char *warning = perfdata_reader_warning(reader);
	uint64_t corrupt = perfdata_reader_corrupt(reader);

	if (warning)
		fprintf(stderr, "retour: %s: %s\n", path, warning);
	if (corrupt)
		fprintf(stderr, "retour: %s: %" PRIu64 " corrupt records were skipped\n", path, corrupt);
}

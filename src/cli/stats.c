/* SPDX-License-Identifier: MIT */
/* retour stats: the quality of a recording. */
#include "cli/filters.h"

#include "cli/progress.h"
#include "export/export.h"
#include "profile/samples.h"

enum { OPT_JSON = CLI_LONG_ONLY };

static const struct cli_option options[] = {
	{ 'i', "input", "FILE", "the recording to read (default " CLI_DEFAULT_RECORDING ")" },
	{ OPT_JSON, "json", NULL, "print one JSON object" },
	{ 0 },
};

struct error *cli_show_stats(const char *input, const struct filter *filter, bool json)
{
	const struct profile_options how = { .filter = filter, .stats_only = true, .progress = progress_show,
					     .progress_arg = "reading" };
	_cleanup_(profile_freep) struct profile *profile = NULL;
	struct error *err = profile_load(input, &how, &profile);

	if (err)
		return err;
	cli_warn_about_recording(input, samples_reader(profile->samples));
	err = (json ? export_stats_json : export_stats)(profile, &(struct export_options){ 0 }, stdout);
	return err ? err : cli_close_output("-", stdout);
}

static int stats(int argc, char **argv)
{
	const char *input = CLI_DEFAULT_RECORDING;
	struct filter filter = { 0 };
	struct error *err;
	bool json = false;
	int opt;

	while ((opt = cli_getopt(&cli_stats, argc, argv)) != CLI_END) {
		if (opt == 'i')
			input = optarg;
		else if (opt == OPT_JSON)
			json = true;
		else
			cli_filter_option(&cli_stats, opt, optarg, &filter);
	}
	cli_no_arguments(&cli_stats, argc, argv);
	err = cli_show_stats(input, &filter, json);
	filter_deinit(&filter);
	return err ? cli_fail(err) : CLI_OK;
}

const struct cli_verb cli_stats = {
	.name = "stats",
	.synopsis = "[-i FILE] [--json] [filters]",
	.summary = "show the quality of a recording",
	.options = options,
	.more_options = cli_filter_options,
	.run = stats,
};

/* SPDX-License-Identifier: MIT */
/* retour script: one sample after the other. */
#include "cli/filters.h"

#include "cli/progress.h"
#include "export/script.h"

enum { OPT_JSON = CLI_LONG_ONLY, OPT_NO_INLINE };

static const struct cli_option options[] = {
	{ 'i', "input", "FILE", "the recording to read (default " CLI_DEFAULT_RECORDING ")" },
	{ OPT_JSON, "json", NULL, "print one JSON object a line" },
	{ OPT_NO_INLINE, "no-inline", NULL, "do not show inlined functions as frames" },
	{ 0 },
};

static struct error *show(const char *input, const struct samples_options *how, bool json)
{
	_cleanup_(samples_closep) struct samples *samples = NULL;
	struct error *err = samples_open(input, how, &samples);

	if (err)
		return err;
	err = (json ? export_script_json : export_script)(samples, stdout);
	if (!err)
		err = cli_close_output("-", stdout);
	cli_warn_about_recording(input, samples_reader(samples));
	return err;
}

static int script(int argc, char **argv)
{
	const char *input = CLI_DEFAULT_RECORDING;
	struct filter filter = { 0 };
	struct samples_options how = { .filter = &filter };
	struct error *err;
	bool json = false;
	int opt;

	while ((opt = cli_getopt(&cli_script, argc, argv)) != CLI_END) {
		if (opt == 'i')
			input = optarg;
		else if (opt == OPT_JSON)
			json = true;
		else if (opt == OPT_NO_INLINE)
			how.no_inline = true;
		else
			cli_filter_option(&cli_script, opt, optarg, &filter);
	}
	cli_no_arguments(&cli_script, argc, argv);
	/* The samples themselves show the progress. */
	if (!cli_is_terminal(stdout)) {
		how.progress = progress_show;
		how.progress_arg = "reading";
	}
	err = show(input, &how, json);
	filter_deinit(&filter);
	return err ? cli_fail(err) : CLI_OK;
}

const struct cli_verb cli_script = {
	.name = "script",
	.synopsis = "[-i FILE] [--json] [--no-inline] [filters]",
	.summary = "print a recording sample by sample",
	.options = options,
	.more_options = cli_filter_options,
	.run = script,
};

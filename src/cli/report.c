/* SPDX-License-Identifier: MIT */
/* retour report: a recording as table, flame graph, or for another tool. */
#include "cli/filters.h"

#include "cli/progress.h"
#include "export/export.h"
#include "profile/samples.h"

#include <string.h>

enum { OPT_FORMAT = CLI_LONG_ONLY, OPT_NO_INLINE };

static const struct cli_option options[] = {
	{ 'i', "input", "FILE", "the recording to read (default " CLI_DEFAULT_RECORDING ")" },
	{ 'o', "output", "FILE", "where to write the report (default -, standard output)" },
	{ OPT_FORMAT, "format", "table|folded|html|json", "the format (default by the suffix of -o, else table)" },
	{ OPT_NO_INLINE, "no-inline", NULL, "do not show inlined functions as frames" },
	{ 0 },
};

static const struct export_format *choose_format(const char *name, const char *output)
{
	const struct export_format *format;

	if (name) {
		format = export_format_named(name);
		if (!format)
			cli_usage_error(&cli_report, "unknown format '%s', there is %s", name, export_format_names());
		return format;
	}
	if (!strcmp(output, "-"))
		return export_format_named("table");
	format = export_format_of_file(output);
	if (!format)
		cli_usage_error(&cli_report, "the suffix of '%s' is of no format, use --format (%s)", output,
				export_format_names());
	return format;
}

static struct error *write_report(const struct profile *profile, const struct export_format *format,
				  const char *input, const char *output)
{
	FILE *out;
	struct error *err = cli_open_output(output, &out), *close_err;

	if (err)
		return err;
	err = format->write(profile, &(struct export_options){ .title = input, .width = cli_width(out),
							       .colour = cli_has_colour(out) }, out);
	close_err = cli_close_output(output, out);
	if (!err)
		return close_err;
	error_free(close_err);
	return err;
}

static struct error *make_report(const struct export_format *format, struct profile_options how, const char *input,
				 const char *output)
{
	_cleanup_(profile_freep) struct profile *profile = NULL;
	struct error *err;

	how.per_process = format->per_process;
	err = profile_load(input, &how, &profile);

	if (err)
		return err;
	cli_warn_about_recording(input, samples_reader(profile->samples));
	return write_report(profile, format, input, output);
}

static int report(int argc, char **argv)
{
	const char *input = CLI_DEFAULT_RECORDING, *output = "-", *format_name = NULL;
	const struct export_format *format;
	struct filter filter = { 0 };
	struct profile_options how = { .filter = &filter, .progress = progress_show, .progress_arg = "reading" };
	struct error *err;
	int opt;

	while ((opt = cli_getopt(&cli_report, argc, argv)) != CLI_END) {
		if (opt == 'i')
			input = optarg;
		else if (opt == 'o')
			output = optarg;
		else if (opt == OPT_FORMAT)
			format_name = optarg;
		else if (opt == OPT_NO_INLINE)
			how.no_inline = true;
		else
			cli_filter_option(&cli_report, opt, optarg, &filter);
	}
	cli_no_arguments(&cli_report, argc, argv);
	format = choose_format(format_name, output);
	if (format->binary && !strcmp(output, "-") && cli_is_terminal(stdout))
		cli_usage_error(&cli_report, "the format %s is binary, use -o FILE", format->name);
	err = make_report(format, how, input, output);
	filter_deinit(&filter);
	return err ? cli_fail(err) : CLI_OK;
}

const struct cli_verb cli_report = {
	.name = "report",
	.synopsis = "[-i FILE] [-o FILE] [--format FORMAT] [filters]",
	.summary = "show a recording as table, flame graph or call tree",
	.options = options,
	.more_options = cli_filter_options,
	.run = report,
};

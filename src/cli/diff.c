/* SPDX-License-Identifier: MIT */
/* retour diff: what changed between two recordings. */
#include "cli/filters.h"

#include "cli/progress.h"
#include "export/diff.h"
#include "profile/samples.h"

#include <string.h>

enum { OPT_FORMAT = CLI_LONG_ONLY };

static const struct cli_option options[] = {
	{ 'o', "output", "FILE", "where to write the difference (default -, standard output)" },
	{ OPT_FORMAT, "format", "table|json", "the format (default json if -o ends in .json, else table)" },
	{ 0 },
};

struct request {
	const char *input[2];	/* before, after */
	const char *output, *format;
	struct filter filter;
};

static bool wants_json(const struct request *request)
{
	size_t len = strlen(request->output);

	if (!request->format)
		return len > 5 && !strcmp(request->output + len - 5, ".json");
	if (strcmp(request->format, "json") && strcmp(request->format, "table"))
		cli_usage_error(&cli_diff, "unknown format '%s', there is table, json", request->format);
	return !strcmp(request->format, "json");
}

static struct error *load(const struct request *request, int which, struct profile **ret)
{
	/* What is inlined changes from build to build, and only some builds say it. */
	const struct profile_options how = { .filter = &request->filter, .no_inline = true, .progress = progress_show,
					     .progress_arg = "reading" };
	struct error *err = profile_load(request->input[which], &how, ret);

	if (!err)
		cli_warn_about_recording(request->input[which], samples_reader((*ret)->samples));
	return err;
}

static struct error *write_diff(const struct diff *diff, const struct request *request)
{
	struct error *err, *close_err;
	FILE *out;

	err = cli_open_output(request->output, &out);
	if (err)
		return err;
	err = (wants_json(request) ? export_diff_json : export_diff_table)(
		diff, &(struct export_options){ .width = cli_width(out), .colour = cli_has_colour(out) }, out);
	close_err = cli_close_output(request->output, out);
	if (!err)
		return close_err;
	error_free(close_err);
	return err;
}

static struct error *compare(const struct request *request)
{
	_cleanup_(profile_freep) struct profile *before = NULL;
	_cleanup_(profile_freep) struct profile *after = NULL;
	struct error *err = load(request, 0, &before);
	struct diff diff;

	if (!err)
		err = load(request, 1, &after);
	if (!err)
		err = diff_make(before, after, &diff);
	if (err)
		return err;
	err = write_diff(&diff, request);
	diff_free(&diff);
	return err;
}

/* Options may stand before, between and after the two files. */
static void parse(int argc, char **argv, struct request *request)
{
	int n = 0, opt;

	for (;;) {
		opt = cli_getopt(&cli_diff, argc, argv);
		if (opt == 'o')
			request->output = optarg;
		else if (opt == OPT_FORMAT)
			request->format = optarg;
		else if (opt != CLI_END)
			cli_filter_option(&cli_diff, opt, optarg, &request->filter);
		else if (optind < argc && n < 2)
			request->input[n++] = argv[optind++];
		else
			break;
	}
	cli_no_arguments(&cli_diff, argc, argv);
	if (n < 2)
		cli_usage_error(&cli_diff, "two recordings are compared, BEFORE and AFTER");
	wants_json(request);
}

static int diff(int argc, char **argv)
{
	struct request request = { .output = "-" };
	struct error *err;

	parse(argc, argv, &request);
	err = compare(&request);
	filter_deinit(&request.filter);
	return err ? cli_fail(err) : CLI_OK;
}

const struct cli_verb cli_diff = {
	.name = "diff",
	.synopsis = "BEFORE AFTER [-o FILE] [--format table|json] [filters]",
	.summary = "show what changed between two recordings",
	.options = options,
	.more_options = cli_filter_options,
	.run = diff,
};

/* SPDX-License-Identifier: MIT */
/* Options of a verb: parsing and help, both from the verb's own table. */
#include "cli/cli.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 64, HELP_COLUMN = 28 };

static const struct cli_option help_option[] = {
	{ 'h', "help", NULL, "print this help" },
	{ 0 },
};

struct option_tables {
	const struct cli_option *table[3];
};

static struct option_tables tables_of(const struct cli_verb *verb)
{
	return (struct option_tables){ { verb->options, verb->more_options, help_option } };
}

#define each_option(tables, o)                                                    \
	for (int t_##o = 0; t_##o < 3; t_##o++)                                   \
		for (const struct cli_option *o = (tables).table[t_##o]; o && o->id; o++)

static void print_option(const struct cli_option *o)
{
	int width;

	if (!o->help)
		return;
	if (o->id < CLI_LONG_ONLY)
		width = printf("  -%c, ", o->id);
	else
		width = printf("      ");
	width += printf("--%s", o->name);
	if (o->value)
		width += printf(" %s", o->value);
	if (width > HELP_COLUMN - 2)
		width = printf("\n") - 1;
	printf("%*s%s\n", HELP_COLUMN - width, "", o->help);
}

static void print_help(const struct cli_verb *verb)
{
	struct option_tables tables = tables_of(verb);

	printf("usage: retour %s %s\n\n", verb->name, verb->synopsis);
	printf("%c%s.\n\noptions:\n", toupper((unsigned char)verb->summary[0]), verb->summary + 1);
	each_option(tables, o)
		print_option(o);
}

/* getopt's two views of the tables. */
struct getopt_tables {
	struct option longs[MAX_OPTIONS + 1];
	char shorts[2 * MAX_OPTIONS + 3];
};

static void fill_getopt_tables(const struct cli_verb *verb, struct getopt_tables *g)
{
	struct option_tables tables = tables_of(verb);
	int n = 0, s = 0;

	memset(g, 0, sizeof(*g));
	g->shorts[s++] = '+';	/* stop at the first argument */
	g->shorts[s++] = ':';	/* tell a missing value from an unknown option */
	each_option(tables, o) {
		if (n == MAX_OPTIONS)
			break;
		g->longs[n++] = (struct option){ o->name, o->value ? required_argument : no_argument, NULL, o->id };
		if (o->id >= CLI_LONG_ONLY)
			continue;
		g->shorts[s++] = (char)o->id;
		if (o->value)
			g->shorts[s++] = ':';
	}
}

static bool is_reserved(const struct cli_verb *verb, const char *name)
{
	struct option_tables tables = tables_of(verb);

	each_option(tables, o)
		if (!strcmp(o->name, name))
			return !o->help;
	return false;
}

int cli_getopt(const struct cli_verb *verb, int argc, char **argv)
{
	struct getopt_tables g;
	int opt, index = -1;

	fill_getopt_tables(verb, &g);
	opterr = 0;
	opt = getopt_long(argc, argv, g.shorts, g.longs, &index);
	switch (opt) {
	case 'h':
		print_help(verb);
		exit(fflush(stdout) ? CLI_FAILED : CLI_OK);
	case ':':
		cli_usage_error(verb, "option %s needs a value", argv[optind - 1]);
	case '?':
		if (strncmp(argv[optind - 1], "--", 2) && optopt)
			cli_usage_error(verb, "unknown option -%c", optopt);
		cli_usage_error(verb, "unknown option or unexpected value: %s", argv[optind - 1]);
	default:
		if (index >= 0 && is_reserved(verb, g.longs[index].name))
			cli_usage_error(verb, "this version of retour has no --%s", g.longs[index].name);
		return opt;
	}
}

void cli_usage_error(const struct cli_verb *verb, const char *fmt, ...)
{
	va_list ap;

	fprintf(stderr, "retour %s: ", verb->name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, " (try 'retour %s --help')\n", verb->name);
	exit(CLI_BAD_USAGE);
}

void cli_no_arguments(const struct cli_verb *verb, int argc, char **argv)
{
	if (optind < argc)
		cli_usage_error(verb, "unexpected argument '%s'", argv[optind]);
}

uint64_t cli_number(const struct cli_verb *verb, const char *option, const char *text, uint64_t min, uint64_t max)
{
	unsigned long long n;
	char *end;

	errno = 0;
	n = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)text[0]) || *end || errno || n < min || n > max)
		cli_usage_error(verb, "%s takes a number from %llu to %llu, not '%s'", option,
				(unsigned long long)min, (unsigned long long)max, text);
	return n;
}

double cli_seconds(const struct cli_verb *verb, const char *option, const char *text)
{
	double s;
	char *end;

	s = strtod(text, &end);
	if (!(isdigit((unsigned char)text[0]) || text[0] == '.') || end == text || *end || !isfinite(s) || s < 0)
		cli_usage_error(verb, "%s takes a number of seconds, not '%s'", option, text);
	return s;
}

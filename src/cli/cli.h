/* SPDX-License-Identifier: MIT */
/*
 * What every verb of the command shares: how a verb describes itself, option
 * parsing and --help from that description, and how errors are shown.
 *
 * A verb is one file with one object, and one line in the table of main.c:
 *
 *	enum { OPT_JSON = CLI_LONG_ONLY };
 *
 *	static const struct cli_option options[] = {
 *		{ 'i', "input", "FILE", "the recording to read (default retour.data)" },
 *		{ OPT_JSON, "json", NULL, "print JSON instead of text" },
 *		{ 0 },
 *	};
 *
 *	static int stats(int argc, char **argv)
 *	{
 *		int opt;
 *
 *		while ((opt = cli_getopt(&cli_stats, argc, argv)) != CLI_END) {
 *			if (opt == 'i')
 *				input = optarg;
 *			...
 *		}
 *		cli_no_arguments(&cli_stats, argc, argv);
 *		...
 *		return err ? cli_fail(err) : CLI_OK;
 *	}
 *
 *	const struct cli_verb cli_stats = {
 *		.name = "stats", .synopsis = "[-i FILE] [--json]",
 *		.summary = "show the quality of a recording", .options = options, .run = stats,
 *	};
 *
 * -h and --help need no line: every verb has them.  The man pages and the
 * completion are checked against the output of --help.
 */
#ifndef RETOUR_CLI_CLI_H
#define RETOUR_CLI_CLI_H

#include "base/error.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/* The exit status of a verb. */
enum cli_status { CLI_OK = 0, CLI_FAILED = 1, CLI_BAD_USAGE = 2 };

/* Ids of options without a short form count up from here. */
#define CLI_LONG_ONLY 256
#define CLI_END (-1)

struct cli_option {
	int id;			/* the short form's letter, or from CLI_LONG_ONLY up; 0 ends a table */
	const char *name;	/* the long form, without dashes */
	const char *value;	/* what its value is called; NULL: it takes none */
	const char *help;	/* NULL: reserved, refused as not part of this version */
};

struct cli_verb {
	const char *name;
	const char *synopsis;	/* what follows the name in the usage line */
	const char *summary;	/* one line, a phrase without full stop */
	const struct cli_option *options;
	const struct cli_option *more_options;	/* a table that several verbs share, or NULL */
	/* argv[0] is the verb's name.  Returns an enum cli_status. */
	int (*run)(int argc, char **argv);
};

extern const struct cli_verb cli_record, cli_report, cli_script, cli_stats, cli_diff, cli_doctor, cli_list;

/*
 * The id of the next option, its value in optarg; CLI_END after the last one,
 * when argv[optind] is the first argument (arguments after options only, as
 * the first argument may begin a command line).  Prints the help and exits
 * for --help, exits with CLI_BAD_USAGE for an unknown option.
 */
int cli_getopt(const struct cli_verb *verb, int argc, char **argv);

/* "retour VERB: …" and where to look; exits with CLI_BAD_USAGE. */
__attribute__((noreturn, format(printf, 2, 3)))
void cli_usage_error(const struct cli_verb *verb, const char *fmt, ...);

/* Exits with CLI_BAD_USAGE if arguments are left after the options. */
void cli_no_arguments(const struct cli_verb *verb, int argc, char **argv);

/* The value of an option; what is no number within the bounds ends with CLI_BAD_USAGE. */
uint64_t cli_number(const struct cli_verb *verb, const char *option, const char *text, uint64_t min, uint64_t max);
double cli_seconds(const struct cli_verb *verb, const char *option, const char *text);

/* "retour: …" on stderr. */
__attribute__((format(printf, 1, 2)))
void cli_error(const char *fmt, ...);
/* Prints and frees err; CLI_FAILED. */
int cli_fail(struct error *err);

/* The stream for -o: "-" is stdout, anything else a new file. cli_close_output() checks that all was written. */
ERROR_CHECK struct error *cli_open_output(const char *path, FILE **ret);
ERROR_CHECK struct error *cli_close_output(const char *path, FILE *out);

/* May escape sequences be written to this stream? */
bool cli_is_terminal(FILE *out);
bool cli_has_colour(FILE *out);
/* The columns of the terminal; 0: lines may be as long as they are. */
unsigned int cli_width(FILE *out);

#endif

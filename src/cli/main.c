/* SPDX-License-Identifier: MIT */
/* The command: one table of verbs. */
#include "cli/cli.h"
#include "cli/limits.h"

#include <string.h>

static const struct cli_verb *const verbs[] = {
	&cli_record,
	&cli_report,
	&cli_script,
	&cli_stats,
	&cli_diff,
	&cli_doctor,
	&cli_list,
};

#define N_VERBS (sizeof(verbs) / sizeof(verbs[0]))

static void print_usage(FILE *out)
{
	fprintf(out, "usage: retour VERB [options]\n\n"
		     "Profile programs with complete user stacks, walked on the way back to user space.\n\nverbs:\n");
	for (size_t i = 0; i < N_VERBS; i++)
		fprintf(out, "  %-8s %s\n", verbs[i]->name, verbs[i]->summary);
	fprintf(out, "  %-8s %s\n\n"
		     "options:\n  -h, --help     print this help\n      --version  print the version\n\n"
		     "'retour VERB --help' lists the options of a verb.\n", "help", "print this help, or the help of a verb");
}

static const struct cli_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < N_VERBS; i++)
		if (!strcmp(verbs[i]->name, name))
			return verbs[i];
	fprintf(stderr, "retour: unknown verb '%s' (try 'retour --help')\n", name);
	return NULL;
}

static int print_help(const char *name)
{
	char help_option[] = "--help";
	const struct cli_verb *verb;

	if (!name) {
		print_usage(stdout);
		return fflush(stdout) ? CLI_FAILED : CLI_OK;
	}
	verb = find_verb(name);
	return verb ? verb->run(2, (char *[]){ (char *)name, help_option, NULL }) : CLI_BAD_USAGE;
}

int main(int argc, char **argv)
{
	const struct cli_verb *verb;
	struct error *err;

	if (argc < 2) {
		print_usage(stderr);
		return CLI_BAD_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return print_help(argv[2]);
	if (!strcmp(argv[1], "--version")) {
		puts("retour " RETOUR_VERSION);
		return fflush(stdout) ? CLI_FAILED : CLI_OK;
	}
	err = limits_check();
	if (err)
		return cli_fail(err);
	limits_survive_large_files();
	verb = find_verb(argv[1]);
	return verb ? verb->run(argc - 1, argv + 1) : CLI_BAD_USAGE;
}

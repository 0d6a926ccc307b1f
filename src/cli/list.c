/* SPDX-License-Identifier: MIT */
/* retour list: the events that -e takes, and whether this machine has them. */
#include "cli/cli.h"
#include "cli/events.h"

#include <string.h>

enum { OPT_JSON = CLI_LONG_ONLY };

static const struct cli_option options[] = {
	{ OPT_JSON, "json", NULL, "print JSON instead of text" },
	{ 0 },
};

static void print_json(void)
{
	const char *separator = "";

	fputs("{\"events\":[", stdout);
	for (const struct cli_event *e = cli_events; e->name; e++) {
		printf("%s{\"name\":", separator);
		cli_json_string(stdout, e->name);
		printf(",\"available\":%s,\"description\":", cli_event_available(e) ? "true" : "false");
		cli_json_string(stdout, e->description);
		putchar('}');
		separator = ",";
	}
	puts("]}");
}

static void print_text(void)
{
	for (const struct cli_event *e = cli_events; e->name; e++)
		printf("%-18s %s%s\n", e->name, e->description,
		       cli_event_available(e) ? "" : " (this machine has none)");
}

static int list(int argc, char **argv)
{
	bool json = false;

	while (cli_getopt(&cli_list, argc, argv) != CLI_END)
		json = true;
	if (optind < argc && !strcmp(argv[optind], "events"))
		optind++;
	cli_no_arguments(&cli_list, argc, argv);
	if (json)
		print_json();
	else
		print_text();
	return fflush(stdout) ? CLI_FAILED : CLI_OK;
}

const struct cli_verb cli_list = {
	.name = "list", .synopsis = "[--json] [events]",
	.summary = "list the events that record knows, and whether this machine has them",
	.options = options, .run = list,
};

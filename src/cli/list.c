/* SPDX-License-Identifier: MIT */
/* retour list: the events that -e takes, and whether this machine has them. */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/events.h"

#include <string.h>

enum { OPT_JSON = CLI_LONG_ONLY };

static const struct cli_option options[] = {
	{ OPT_JSON, "json", NULL, "print JSON instead of text" },
	{ 0 },
};

static void print_json(void)
{
	struct json j = { .out = stdout };

	json_object(&j);
	json_key(&j, "events"), json_array(&j);
	for (const struct cli_event *e = cli_events; e->name; e++) {
		json_object(&j);
		json_key(&j, "name"), json_string(&j, e->name);
		json_key(&j, "available"), json_bool(&j, cli_event_available(e));
		json_key(&j, "description"), json_string(&j, e->description);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
	putchar('\n');
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

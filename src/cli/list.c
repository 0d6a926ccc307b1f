/* SPDX-License-Identifier: MIT */
/* retour list: the events that -e takes, and whether this machine has them. */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/events.h"
#include "cli/machine.h"

#include <string.h>

enum { OPT_JSON = CLI_LONG_ONLY };

static const struct cli_option options[] = {
	{ OPT_JSON, "json", NULL, "print JSON instead of text" },
	{ 0 },
};

static const struct machine_feature *obstacle_of(struct machine *machine, const struct cli_event *event)
{
	return machine_obstacle(machine, machine_feature_named(event->name));
}

static void print_json(struct machine *machine)
{
	struct json j = { .out = stdout };

	json_object(&j);
	json_key(&j, "events"), json_array(&j);
	for (const struct cli_event *e = cli_events; e->name; e++) {
		json_object(&j);
		json_key(&j, "name"), json_string(&j, e->name);
		json_key(&j, "available"), json_bool(&j, !obstacle_of(machine, e));
		json_key(&j, "description"), json_string(&j, e->description);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
	putchar('\n');
}

static void print_text(struct machine *machine)
{
	for (const struct cli_event *e = cli_events; e->name; e++) {
		const struct machine_feature *obstacle = obstacle_of(machine, e);
		const char *why = !obstacle ? "" : obstacle->value[0] ? obstacle->value : "not usable here";

		printf("%-18s %s%s%s%s\n", e->name, e->description, obstacle ? " (" : "", why, obstacle ? ")" : "");
	}
}

static int list(int argc, char **argv)
{
	struct machine machine = { 0 };
	bool json = false;

	while (cli_getopt(&cli_list, argc, argv) != CLI_END)
		json = true;
	if (optind < argc && !strcmp(argv[optind], "events"))
		optind++;
	cli_no_arguments(&cli_list, argc, argv);
	if (json)
		print_json(&machine);
	else
		print_text(&machine);
	return fflush(stdout) ? CLI_FAILED : CLI_OK;
}

const struct cli_verb cli_list = {
	.name = "list", .synopsis = "[--json] [events]",
	.summary = "list the events that record knows, and whether this machine has them",
	.options = options, .run = list,
};

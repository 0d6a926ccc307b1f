/* SPDX-License-Identifier: MIT */
/* retour list: the events that -e takes, and whether this machine has them; the tracepoints of a process. */
#include "cli/cli.h"

#include "base/json.h"
#include "base/vec.h"
#include "cli/events.h"
#include "cli/machine.h"
#include "collect/agent_client.h"

#include <stdlib.h>
#include <string.h>

enum { OPT_JSON = CLI_LONG_ONLY };

static const struct cli_option options[] = {
	{ 'p', "pid", "PID", "the process whose tracepoints are listed" },
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

/* ---- tracepoints ------------------------------------------------------------------ */

struct tracepoints {
	VEC(struct agent_tracepoint) list;
	bool complete;
};

static void add_tracepoint(void *arg, const struct agent_tracepoint *tracepoint)
{
	struct tracepoints *t = arg;

	t->complete &= vec_push(&t->list, *tracepoint);
}

static int by_name(const void *a, const void *b)
{
	const struct agent_tracepoint *x = a, *y = b;
	int by_provider = strcmp(x->provider, y->provider);

	return by_provider ? by_provider : strcmp(x->name, y->name);
}

static bool is_same(const struct agent_tracepoint *a, const struct agent_tracepoint *b)
{
	return !strcmp(a->provider, b->provider) && !strcmp(a->name, b->name) && a->n_fields == b->n_fields &&
	       !memcmp(a->fields, b->fields, a->n_fields * sizeof(a->fields[0]));
}

/* Sorted, and once each: a process may have more copies of the library, which all have its own. */
static void tidy(struct tracepoints *t)
{
	size_t kept = 0;

	if (t->list.len)
		qsort(t->list.data, t->list.len, sizeof(*t->list.data), by_name);
	vec_each(&t->list, tp)
		if (!kept || !is_same(&t->list.data[kept - 1], tp))
			t->list.data[kept++] = *tp;
	t->list.len = kept;
}

static void tracepoints_json(const struct tracepoints *t)
{
	struct json j = { .out = stdout };

	json_object(&j);
	json_key(&j, "tracepoints"), json_array(&j);
	vec_each(&t->list, tp) {
		json_object(&j);
		json_key(&j, "provider"), json_string(&j, tp->provider);
		json_key(&j, "name"), json_string(&j, tp->name);
		json_key(&j, "fields"), json_array(&j);
		for (uint32_t i = 0; i < tp->n_fields; i++) {
			json_object(&j);
			json_key(&j, "name"), json_string(&j, tp->fields[i].name);
			json_key(&j, "type"), json_string(&j, tp->fields[i].type);
			json_end_object(&j);
		}
		json_end_array(&j);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
	putchar('\n');
}

static void tracepoints_text(const struct tracepoints *t)
{
	vec_each(&t->list, tp) {
		const char *between = "";

		printf("%s:%s(", tp->provider, tp->name);
		for (uint32_t i = 0; i < tp->n_fields; i++, between = ", ") {
			const struct agent_field *f = &tp->fields[i];

			printf("%s%s%s%s", between, f->type, f->type[strlen(f->type) - 1] == '*' ? "" : " ", f->name);
		}
		puts(")");
	}
}

static int list_tracepoints(pid_t pid, bool json)
{
	struct tracepoints t = { .complete = true };
	struct error *err = agent_list(pid, add_tracepoint, &t);

	if (!err && !t.complete)
		err = error_nomem();
	if (!err)
		tidy(&t);
	if (!err && json)
		tracepoints_json(&t);
	else if (!err)
		tracepoints_text(&t);
	vec_free(&t.list);
	return err ? cli_fail(err) : CLI_OK;
}

static int list_events(bool json)
{
	struct machine machine = { 0 };

	if (json)
		print_json(&machine);
	else
		print_text(&machine);
	return CLI_OK;
}

static int list(int argc, char **argv)
{
	bool json = false, tracepoints = false;
	pid_t pid = 0;
	int opt, status;

	/* Options may stand behind what is to be listed. */
	for (int i = 0; i < 2; i++) {
		while ((opt = cli_getopt(&cli_list, argc, argv)) != CLI_END) {
			if (opt == OPT_JSON)
				json = true;
			else
				pid = (pid_t)cli_number(&cli_list, "-p", optarg, 1, 1 << 22);
		}
		if (!i && optind < argc && (!strcmp(argv[optind], "events") || !strcmp(argv[optind], "tracepoints")))
			tracepoints = argv[optind++][0] == 't';
	}
	cli_no_arguments(&cli_list, argc, argv);
	if (tracepoints != (pid != 0))
		cli_usage_error(&cli_list, "tracepoints are those of a process: list tracepoints -p PID");
	status = tracepoints ? list_tracepoints(pid, json) : list_events(json);
	return fflush(stdout) ? CLI_FAILED : status;
}

const struct cli_verb cli_list = {
	.name = "list", .synopsis = "[--json] [events | tracepoints -p PID]",
	.summary = "list the events that record knows and whether this machine has them, or a process's tracepoints",
	.options = options, .run = list,
};

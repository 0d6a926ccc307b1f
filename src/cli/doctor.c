/* SPDX-License-Identifier: MIT */
/* retour doctor: what this machine and user can do, what not, why, and the remedy. */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/machine.h"

#include <pwd.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

enum { OPT_JSON = CLI_LONG_ONLY };

static const struct cli_option options[] = {
	{ OPT_JSON, "json", NULL, "print JSON instead of text" },
	{ 0 },
};

struct backend {
	const char *name;
	bool usable;
	char why[128];
	const char *remedy;
};

enum { N_BACKENDS = 4 };

static void judge_backends(const struct machine *machine, struct backend *backends)
{
	static const char *const names[N_BACKENDS] = { "bpf", "native", "stack", "agent" };
	const struct machine_feature *obstacle = machine_obstacle(machine);

	for (int i = 0; i < N_BACKENDS; i++) {
		struct backend *b = &backends[i];

		*b = (struct backend){ .name = names[i], .why = "this version of retour has only the bpf backend",
				       .remedy = "use the bpf backend" };
	}
	backends[0].usable = !obstacle;
	if (obstacle)
		snprintf(backends[0].why, sizeof(backends[0].why), "missing: %s%s%s", obstacle->text,
			 obstacle->value[0] ? ": " : "", obstacle->value);
	backends[0].remedy = obstacle ? obstacle->remedy : NULL;
}

static void print_json(const struct utsname *os, const char *user, const struct backend *backends,
		       const struct machine *machine)
{
	struct json j = { .out = stdout };

	json_object(&j);
	json_key(&j, "kernel"), json_string(&j, os->release);
	json_key(&j, "user"), json_string(&j, user);
	json_key(&j, "backends"), json_array(&j);
	for (int i = 0; i < N_BACKENDS; i++) {
		const struct backend *b = &backends[i];

		json_object(&j);
		json_key(&j, "name"), json_string(&j, b->name);
		json_key(&j, "usable"), json_bool(&j, b->usable);
		json_key(&j, "why"), json_string(&j, b->usable ? NULL : b->why);
		json_key(&j, "remedy"), json_string(&j, b->usable ? NULL : b->remedy);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_key(&j, "features"), json_array(&j);
	for (size_t i = 0; i < machine->n_features; i++) {
		const struct machine_feature *f = &machine->features[i];

		json_object(&j);
		json_key(&j, "name"), json_string(&j, f->name);
		json_key(&j, "available"), json_bool(&j, f->available);
		json_key(&j, "required"), json_bool(&j, f->required);
		json_key(&j, "value"), json_string(&j, f->value[0] ? f->value : NULL);
		json_key(&j, "remedy"), json_string(&j, f->remedy[0] ? f->remedy : NULL);
		json_end_object(&j);
	}
	json_end_array(&j);
	json_end_object(&j);
	putchar('\n');
}

static void print_verdict(bool good, const char *yes, const char *no)
{
	bool colour = cli_has_colour(stdout);

	printf("%s%-11s%s", !colour ? "" : good ? "\033[32m" : "\033[33m", good ? yes : no, colour ? "\033[0m" : "");
}

/* Neighbours often share one remedy: it is said once. */
static void print_remedy(const char *remedy, const char **last)
{
	if (remedy[0] && strcmp(remedy, *last))
		printf("             remedy: %s\n", remedy);
	if (remedy[0])
		*last = remedy;
}

static void print_text(const struct utsname *os, const char *user, const struct backend *backends,
		       const struct machine *machine)
{
	const char *last = "";

	printf("kernel %s, user %s\n\nbackends:\n", os->release, user);
	for (int i = 0; i < N_BACKENDS; i++) {
		const struct backend *b = &backends[i];

		printf("  %-10s ", b->name);
		print_verdict(b->usable, "usable", "not usable");
		printf("%s\n", b->usable ? "" : b->why);
		print_remedy(b->usable ? "" : b->remedy, &last);
	}
	printf("\nfeatures:\n");
	last = "";
	for (size_t i = 0; i < machine->n_features; i++) {
		const struct machine_feature *f = &machine->features[i];

		printf("  ");
		print_verdict(f->available, "yes", "no");
		printf("%s%s%s\n", f->text, f->value[0] ? ": " : "", f->value);
		print_remedy(f->remedy, &last);
	}
}

static int doctor(int argc, char **argv)
{
	struct backend backends[N_BACKENDS];
	const struct passwd *pw;
	struct machine machine;
	struct utsname os;
	bool json = false;
	char user[64];

	while (cli_getopt(&cli_doctor, argc, argv) != CLI_END)
		json = true;
	cli_no_arguments(&cli_doctor, argc, argv);

	uname(&os);
	pw = getpwuid(geteuid());
	if (pw)
		snprintf(user, sizeof(user), "%s", pw->pw_name);
	else
		snprintf(user, sizeof(user), "uid %u", geteuid());
	machine_probe(&machine);
	judge_backends(&machine, backends);
	if (json)
		print_json(&os, user, backends, &machine);
	else
		print_text(&os, user, backends, &machine);
	return fflush(stdout) ? CLI_FAILED : CLI_OK;
}

const struct cli_verb cli_doctor = {
	.name = "doctor", .synopsis = "[--json]",
	.summary = "say what this machine and user can do, what not, why, and the remedy",
	.options = options, .run = doctor,
};

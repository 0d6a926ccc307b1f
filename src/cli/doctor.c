/* SPDX-License-Identifier: MIT */
/* retour doctor: what this machine and user can do, what not, why, and the remedy. */
#include "cli/cli.h"

#include "base/json.h"
#include "cli/backends.h"
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

static void print_features_json(struct json *j, struct machine *machine)
{
	json_key(j, "features"), json_array(j);
	for (enum feature_id i = 0; i < N_FEATURES; i++) {
		const struct machine_feature *f = machine_feature(machine, i);

		json_object(j);
		json_key(j, "name"), json_string(j, f->name);
		json_key(j, "available"), json_bool(j, f->available);
		json_key(j, "needed_by"), json_array(j);
		for (int k = 0; k < N_BACKENDS; k++)
			if (backend_kinds[k].needs >> i & 1)
				json_string(j, backend_kinds[k].name);
		json_end_array(j);
		json_key(j, "value"), json_string(j, f->value[0] ? f->value : NULL);
		json_key(j, "remedy"), json_string(j, f->remedy[0] ? f->remedy : NULL);
		json_end_object(j);
	}
	json_end_array(j);
}

static void print_json(const struct utsname *os, const char *user, struct machine *machine)
{
	struct json j = { .out = stdout };

	json_object(&j);
	json_key(&j, "kernel"), json_string(&j, os->release);
	json_key(&j, "user"), json_string(&j, user);
	json_key(&j, "backends"), json_array(&j);
	for (int i = 0; i < N_BACKENDS; i++) {
		struct backend_verdict verdict = backend_judge(machine, &backend_kinds[i], false);

		json_object(&j);
		json_key(&j, "name"), json_string(&j, backend_kinds[i].name);
		json_key(&j, "usable"), json_bool(&j, verdict.usable);
		json_key(&j, "why"), json_string(&j, verdict.usable ? NULL : verdict.why);
		json_key(&j, "remedy"), json_string(&j, verdict.remedy);
		json_end_object(&j);
	}
	json_end_array(&j);
	print_features_json(&j, machine);
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

/* What can be used, but not for the whole machine, is said to be so. */
static void print_backend(struct machine *machine, const struct backend_kind *kind, const char **last)
{
	struct backend_verdict own = backend_judge(machine, kind, false);
	struct backend_verdict all = own.usable ? backend_judge(machine, kind, true) : own;

	printf("  %-10s ", kind->name);
	print_verdict(own.usable, "usable", "not usable");
	printf("%s%s\n", own.usable && !all.usable ? "for own processes only, " : "", all.why);
	if (!all.usable)
		print_remedy(all.remedy, last);
}

static void print_text(const struct utsname *os, const char *user, struct machine *machine)
{
	const char *last = "";

	printf("kernel %s, user %s\n\nbackends:\n", os->release, user);
	for (int i = 0; i < N_BACKENDS; i++)
		print_backend(machine, &backend_kinds[i], &last);
	printf("\nfeatures:\n");
	last = "";
	for (enum feature_id i = 0; i < N_FEATURES; i++) {
		const struct machine_feature *f = machine_feature(machine, i);
		char text[MACHINE_TEXT];

		machine_describe(f, text, sizeof(text));
		printf("  ");
		print_verdict(f->available, "yes", "no");
		printf("%s\n", text);
		print_remedy(f->remedy, &last);
	}
}

static int doctor(int argc, char **argv)
{
	const struct passwd *pw;
	struct machine machine = { 0 };
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
	if (json)
		print_json(&os, user, &machine);
	else
		print_text(&os, user, &machine);
	return fflush(stdout) ? CLI_FAILED : CLI_OK;
}

const struct cli_verb cli_doctor = {
	.name = "doctor", .synopsis = "[--json]",
	.summary = "say what this machine and user can do, what not, why, and the remedy",
	.options = options, .run = doctor,
};

/* SPDX-License-Identifier: MIT */
/*
 * Trying one backend after the other; see record_backend.h.  The probes of
 * doctor are slower than a try and may be wrong about it, so they only explain
 * why one failed, and tell what a try does not show.
 */
#include "cli/record_backend.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static bool is_considered(const struct backend_wish *wish, const struct backend_kind *kind)
{
	return wish->backend ? kind == wish->backend : kind->automatic;
}

static bool wants_machine(const struct backend_wish *wish)
{
	return wish->session.scope == SESSION_SYSTEM;
}

/* What the kernel has to have for the events. */
static uint64_t events_of(const struct backend_wish *wish, const struct backend_kind *kind)
{
	uint64_t features = 0;

	for (size_t i = 0; !kind->in_process && i < wish->session.n_events; i++)
		features |= machine_feature_named(wish->session.events[i].name);
	return features;
}

/* Processes of others want a capability, whatever the machine lets everybody see; their agents want their user. */
static const struct machine_feature *missing_right(const struct backend_wish *wish, struct machine *machine,
						   const struct backend_kind *kind, int code)
{
	if (wish->own || kind->in_process || (code != EPERM && code != EACCES))
		return NULL;
	return machine_obstacle(machine, FEATURE(CAP_PERFMON));
}

static struct error *lacking(const struct machine_feature *missing, int code, const char *failed)
{
	char text[MACHINE_TEXT];

	if (failed)
		return error_new(code, "%s (remedy: %s)", failed, missing->remedy);
	machine_describe(missing, text, sizeof(text));
	return error_new(code, "%s (remedy: %s)", text, missing->remedy);
}

/* Why a backend failed, and the remedy: what it lacks, or else what it said. */
static struct error *explain(const struct backend_wish *wish, struct machine *machine,
			     const struct backend_kind *kind, const struct error *err, bool *has_all)
{
	const struct backend_verdict verdict = backend_judge(machine, kind, wants_machine(wish));
	const struct machine_feature *silent = machine_obstacle(machine, events_of(wish, kind)), *missing;

	/* Where another backend works as well, its reason says more. */
	*has_all = verdict.usable && !kind->in_process;
	if (!verdict.usable)
		return error_new(EOPNOTSUPP, "backend %s is not usable, %s (remedy: %s)", kind->name, verdict.why,
				 verdict.remedy);
	if (silent)
		return lacking(silent, ENODEV, NULL);
	missing = missing_right(wish, machine, kind, err->code);
	if (missing)
		return lacking(missing, err->code, err->text);
	if (strstr(err->text, "(remedy: ") || err->code == ESRCH)
		return error_new(err->code, "backend %s failed: %s", kind->name, err->text);
	return error_new(err->code, "backend %s failed: %s (remedy: %s)", kind->name, err->text,
			 machine_remedy_of(err->code));
}

static struct error *try_backend(const struct backend_wish *wish, struct machine *machine,
				 const struct backend_kind *kind, struct session **ret)
{
	struct session_options options = wish->session;

	/* An event may open and never fire. */
	if (machine_obstacle(machine, kind->needs_first | events_of(wish, kind)))
		return error_new(EOPNOTSUPP, "it was not tried");
	options.backend = kind->name;
	return session_create(&options, ret);
}

/* Who may not record the machine may perhaps record less. */
static struct error *offer_less(const struct backend_wish *wish, struct machine *machine, struct error *err)
{
	for (int i = 0; wants_machine(wish) && i < N_BACKENDS; i++) {
		const struct backend_kind *kind = &backend_kinds[i];
		struct error *offer;

		if (!is_considered(wish, kind) || backend_judge(machine, kind, true).usable ||
		    !backend_judge(machine, kind, false).usable)
			continue;
		offer = error_new(err->code, "%s; own processes can be recorded by backend %s", err->text, kind->name);
		error_free(err);
		return offer;
	}
	return err;
}

static void note_choice(const struct backend_kind *kind, const struct error *failed)
{
	fprintf(stderr, "note: this is backend %s; %s\n", kind->name, failed->text);
}

/* Those that the error will not speak of. */
static void note_others(struct error *const *failed, int n_failed)
{
	for (int i = 1; i < n_failed; i++)
		fprintf(stderr, "note: %s\n", failed[i]->text);
}

struct error *record_backend_open(const struct backend_wish *wish, struct machine *machine, struct session **ret)
{
	struct error *failed[N_BACKENDS] = { NULL }, *err = NULL;
	int n_failed = 0, telling = -1;

	for (int i = 0; i < N_BACKENDS; i++) {
		const struct backend_kind *kind = &backend_kinds[i];
		bool has_all;

		if (!is_considered(wish, kind))
			continue;
		err = try_backend(wish, machine, kind, ret);
		if (!err) {
			if (n_failed && !wish->quiet)
				note_choice(kind, failed[0]);
			break;
		}
		failed[n_failed] = explain(wish, machine, kind, err, &has_all);
		error_free(err);
		if (has_all && telling < 0)
			telling = n_failed;
		n_failed++;
	}
	if (err && telling < 0 && !wish->quiet)
		note_others(failed, n_failed);
	if (err)
		err = offer_less(wish, machine, steal_ptr(failed[telling < 0 ? 0 : telling]));
	while (n_failed > 0)
		error_free(failed[--n_failed]);
	return err;
}

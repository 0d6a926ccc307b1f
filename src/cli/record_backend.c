/* SPDX-License-Identifier: MIT */
/* Trying one backend after the other; see record_backend.h. */
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

static struct error *check_events(const struct backend_wish *wish, struct machine *machine)
{
	const struct machine_feature *missing;
	char text[MACHINE_TEXT];
	uint64_t events = 0;

	for (size_t i = 0; i < wish->session.n_events; i++)
		events |= machine_feature_named(wish->session.events[i].name);
	missing = machine_obstacle(machine, events);
	if (!missing)
		return NULL;
	machine_describe(missing, text, sizeof(text));
	return error_new(ENODEV, "%s (remedy: %s)", text, missing->remedy);
}

/* Processes of others want the rights of the whole machine. */
static struct error *explain_rights(const struct backend_wish *wish, struct machine *machine, struct error *err)
{
	const struct machine_feature *missing = machine_obstacle(machine, FEATURE(PERF_EVENTS));
	struct error *explained;

	if (wish->own || !missing)
		return err;
	explained = error_new(err->code, "%s (remedy: %s)", err->text, missing->remedy);
	error_free(err);
	return explained;
}

static struct error *try_backend(const struct backend_wish *wish, struct machine *machine,
				 const struct backend_kind *kind, struct session **ret)
{
	struct session_options options = wish->session;
	struct error *err = check_events(wish, machine);

	if (err)
		return err;
	options.backend = kind->name;
	err = session_create(&options, ret);
	return err && (err->code == EPERM || err->code == EACCES) ? explain_rights(wish, machine, err) : err;
}

static struct error *unusable(const struct backend_kind *kind, const struct backend_verdict *verdict)
{
	return error_new(EOPNOTSUPP, "backend %s is not usable, %s (remedy: %s)", kind->name, verdict->why,
			 verdict->remedy);
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

struct error *record_backend_open(const struct backend_wish *wish, struct machine *machine, struct session **ret)
{
	struct error *failed = NULL;
	bool tried = false;

	/* The session itself tells; a walk beforehand would take as long as all the rest of the start. */
	machine_assume(machine, FEATURE_BPF_WALKER);
	for (int i = 0; i < N_BACKENDS; i++) {
		const struct backend_kind *kind = &backend_kinds[i];
		struct backend_verdict verdict;
		struct error *err;

		if (!is_considered(wish, kind))
			continue;
		verdict = backend_judge(machine, kind, wants_machine(wish));
		err = verdict.usable ? try_backend(wish, machine, kind, ret) : unusable(kind, &verdict);
		if (!err) {
			if (failed && !wish->quiet)
				fprintf(stderr, "note: this is backend %s; %s%s\n", kind->name, failed->text,
					strstr(failed->text, "(remedy: ") ? "" : " (remedy: what retour doctor says)");
			error_free(failed);
			return NULL;
		}
		if (!failed || (verdict.usable && !tried)) {
			error_free(failed);
			failed = err;
		} else {
			error_free(err);
		}
		tried |= verdict.usable;
	}
	return offer_less(wish, machine, failed);
}

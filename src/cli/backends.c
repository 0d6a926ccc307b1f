/* SPDX-License-Identifier: MIT */
/* What each backend needs; see backends.h. */
#include "cli/backends.h"

#include "collect/session.h"

#include <stdio.h>
#include <string.h>

#define PERF_FIRST	(FEATURE(PROC) | FEATURE(SYS) | FEATURE(SECCOMP_PERF))
/* BPF programs see the process IDs of the machine, whatever namespace the recorder is in. */
#define BPF_FIRST	(PERF_FIRST | FEATURE(SECCOMP_BPF) | FEATURE(PID_NAMESPACE) | FEATURE(MEMORY))
/* Kernels may take the request for deferred chains and ignore it. */
#define NATIVE_FIRST	(PERF_FIRST | FEATURE(DEFERRED_CHAINS))

const struct backend_kind backend_kinds[N_BACKENDS] = {
	{ "bpf", true, false, BPF_FIRST,
	  BPF_FIRST | FEATURE(USER_NAMESPACE) | FEATURE(BTF) | FEATURE(TASK_WORK) | FEATURE(CAP_BPF) |
	  FEATURE(CAP_PERFMON) | FEATURE(BPF_PROGRAM) | FEATURE(PERF_EVENTS) | FEATURE(BPF_WALKER), 0 },
	{ "native", false, false, NATIVE_FIRST,
	  NATIVE_FIRST | FEATURE(PERF_EVENTS_OWN), FEATURE(PERF_EVENTS) },
	{ "stack", true, false, PERF_FIRST,
	  PERF_FIRST | FEATURE(PERF_EVENTS_OWN) | FEATURE(STACK_COPIES), FEATURE(PERF_EVENTS) },
	/* What runs needs nothing preloaded. */
	{ "agent", true, true, FEATURE(PROC), FEATURE(PROC) | FEATURE(AGENT), 0 },
};

const struct backend_kind *backend_find(const char *name)
{
	for (int i = 0; i < N_BACKENDS; i++)
		if (!strcmp(backend_kinds[i].name, name))
			return &backend_kinds[i];
	return NULL;
}

struct backend_verdict backend_judge(struct machine *machine, const struct backend_kind *kind, bool whole_machine)
{
	struct backend_verdict verdict = { 0 };
	const struct machine_feature *obstacle;

	if (!session_has_backend(kind->name)) {
		snprintf(verdict.why, sizeof(verdict.why), "not built in this version");
		verdict.remedy = "use another backend";
		return verdict;
	}
	if (kind->in_process && whole_machine) {
		snprintf(verdict.why, sizeof(verdict.why), "it records a command that it starts, or what uses libretour");
		verdict.remedy = "retour record -- CMD, or what another backend needs";
		return verdict;
	}
	obstacle = machine_obstacle(machine, kind->needs | (whole_machine ? kind->needs_for_machine : 0));
	verdict.usable = !obstacle;
	if (obstacle) {
		int n = snprintf(verdict.why, sizeof(verdict.why), "missing: ");

		machine_describe(obstacle, verdict.why + n, sizeof(verdict.why) - n);
		verdict.remedy = obstacle->remedy;
	}
	return verdict;
}

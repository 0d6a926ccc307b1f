/* SPDX-License-Identifier: MIT */
/* Which backend can be used follows from the features, and the first one missing is the reason and names the remedy. */
#include "cli/backends.h"
#include "cli/events.h"

#include "../test.h"

static void assume_all(struct machine *machine)
{
	for (enum feature_id i = 0; i < N_FEATURES; i++)
		machine_assume(machine, i);
}

static void take_away(struct machine *machine, enum feature_id id, const char *remedy)
{
	struct machine_feature *f = &machine->features[id];

	f->available = false;
	snprintf(f->value, sizeof(f->value), "it was taken away");
	snprintf(f->remedy, sizeof(f->remedy), "%s", remedy);
}

static bool usable(struct machine *machine, const char *backend, bool whole_machine)
{
	return backend_judge(machine, backend_find(backend), whole_machine).usable;
}

TEST(nothing_missing_makes_bpf_usable)
{
	struct machine machine = { 0 };
	struct backend_verdict verdict;

	assume_all(&machine);
	verdict = backend_judge(&machine, backend_find("bpf"), true);
	CHECK(verdict.usable);
	CHECK(!verdict.remedy);
	CHECK_STR(verdict.why, "");
}

TEST(every_need_of_a_backend_is_an_obstacle_when_it_is_missing)
{
	const struct backend_kind *bpf = backend_find("bpf");

	for (enum feature_id i = 0; i < N_FEATURES; i++) {
		struct machine machine = { 0 };

		assume_all(&machine);
		take_away(&machine, i, "give it back");
		CHECK(usable(&machine, "bpf", true) == !(bpf->needs >> i & 1));
	}
}

TEST(the_first_obstacle_is_the_reason)
{
	struct machine machine = { 0 };
	struct backend_verdict verdict;

	assume_all(&machine);
	take_away(&machine, FEATURE_BPF_PROGRAM, "the later remedy");
	take_away(&machine, FEATURE_SECCOMP_BPF, "the first remedy");
	verdict = backend_judge(&machine, backend_find("bpf"), false);
	CHECK(!verdict.usable);
	CHECK_STR(verdict.remedy, "the first remedy");
	CHECK(strstr(verdict.why, machine.features[FEATURE_SECCOMP_BPF].text));
	CHECK(strstr(verdict.why, "it was taken away"));
}

TEST(own_processes_need_less_than_the_machine)
{
	const struct backend_kind *stack = backend_find("stack");

	CHECK(stack->needs_for_machine & FEATURE(PERF_EVENTS));
	CHECK(!(stack->needs & FEATURE(PERF_EVENTS)));
	CHECK(!(stack->needs & (FEATURE(CAP_BPF) | FEATURE(CAP_PERFMON) | FEATURE(SECCOMP_BPF))));
}

TEST(a_backend_that_was_not_built_says_so_without_a_probe)
{
	const struct backend_kind kind = { .name = "imaginary" };
	struct machine machine = { 0 };
	struct backend_verdict verdict = backend_judge(&machine, &kind, false);

	CHECK(!verdict.usable);
	CHECK_STR(verdict.why, "not built in this version");
	CHECK(verdict.remedy);
	for (int i = 0; i < N_FEATURES; i++)
		CHECK(!machine.features[i].name);
}

TEST(the_agent_needs_no_right_and_never_sees_the_machine)
{
	struct machine machine = { 0 };

	machine_assume(&machine, FEATURE_PROC);
	machine_assume(&machine, FEATURE_AGENT);
	CHECK(backend_judge(&machine, backend_find("agent"), false).usable);
	CHECK(!backend_judge(&machine, backend_find("agent"), true).usable);
	for (int i = 0; i < N_FEATURES; i++)
		CHECK(i == FEATURE_PROC || i == FEATURE_AGENT || !machine.features[i].name);
}

TEST(names_lead_to_features_and_backends)
{
	CHECK(!backend_find("auto"));
	CHECK_U64(machine_feature_named("no such feature"), 0);
	CHECK_U64(machine_feature_named("cap-bpf"), FEATURE(CAP_BPF));
	for (const struct cli_event *event = cli_events; event->name; event++)
		CHECK(event->in_process || machine_feature_named(event->name));
}

TEST(a_feature_that_is_missing_for_real_has_a_remedy)
{
	static const enum feature_id informative[] = { FEATURE_PARANOID, FEATURE_PERF_MLOCK, FEATURE_MEMLOCK };
	struct machine machine = { 0 };

	for (enum feature_id i = 0; i < N_FEATURES; i++) {
		const struct machine_feature *f = machine_feature(&machine, i);
		bool needs_none = f->available;

		for (size_t k = 0; k < sizeof(informative) / sizeof(informative[0]); k++)
			needs_none |= informative[k] == i;
		CHECK(f->name && f->text);
		CHECK(needs_none || f->remedy[0]);
	}
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

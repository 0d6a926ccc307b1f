/* SPDX-License-Identifier: MIT */
/*
 * The BPF walker against recorded memory: at every stop of real programs its
 * chain must be that of the full unwinder, and both that of libdw.
 */
#include "libdw_chain.h"
#include "test.h"

#include "unwind/rule.h"

#include <signal.h>

enum { VISITS = 3, START_US = 200000, STOPS = 100, STEPS = 6, MAX_DEPTH = 1024, PC_SLOTS = 1 << 16 };

/* What one program's stops came to. */
struct tally {
	struct replay *replay;
	struct traced traced;
	struct libdw libdw;
	unsigned int stops, frames, left_over, beyond_libdw, wrong;
	unsigned char visits[PC_SLOTS];
};

static struct replay_chain walked, full, oracle, agreed;	/* agreed: the last one libdw gave whole */

static void show(const struct tally *t, const char *what, const struct snapshot *s, const char *error)
{
	const struct replay_chain *chains[] = { &walked, &full, &oracle };

	printf("# %s at stop %u: walker reason %u%s, full reason %u, libdw %s\n", what, t->stops, walked.reason,
	       walked.miss ? " (miss)" : "", full.reason, error ? error : "complete");
	for (uint32_t i = 0; i < 40; i++) {
		printf("#  %2u", i);
		for (int c = 0; c < 3; c++)
			printf(" %16llx", i < chains[c]->n ? (unsigned long long)chains[c]->ips[i] : 0);
		for (int c = 0; c < 3; c++) {
			uint64_t pc = i < chains[c]->n ? chains[c]->ips[i] : 0;
			const struct snapshot_mapping *m = snapshot_find(s, pc);

			if (m)
				printf(" %s+%llx", m->path, (unsigned long long)(pc - m->start + m->pgoff));
		}
		printf("\n");
		if (i >= walked.n && i >= full.n && i >= oracle.n)
			break;
	}
}

static bool begins_with(const struct replay_chain *chain, const struct replay_chain *start)
{
	return chain->n >= start->n && !memcmp(chain->ips, start->ips, start->n * sizeof(*start->ips));
}

/* The walker against the full unwinder. */
static bool same_as_full(struct tally *t, const struct snapshot *s)
{
	unsigned int kind;

	if (walked.miss) {
		/* Only rules over other registers than rsp and rbp are left to user space. */
		kind = replay_rule_kind(t->replay, s, walked.at);
		t->left_over++;
		return begins_with(&full, &walked) &&
		       (kind == RULE_CFA_COMPLEX || kind == RULE_CFA_REG || kind == RULE_CFA_RSP_INDEX_DEREF);
	}
	return walked.n == full.n && begins_with(&full, &walked) && walked.complete == full.complete &&
	       walked.complete == !walked.reason;
}

/* The last frames of our chain are those of the last one that libdw agreed with. */
static bool ends_as_agreed(uint32_t n)
{
	return full.complete && agreed.n >= n &&
	       !memcmp(agreed.ips + agreed.n - n, full.ips + full.n - n, n * sizeof(*full.ips));
}

/*
 * libdw gives up where a frame's CFA is in a register that an inner frame
 * saved, without an error, and where there is no CFI.  The rest of our chain
 * must then be what libdw itself said a moment earlier.
 */
static bool same_as_libdw(struct tally *t, const struct snapshot *s)
{
	uint32_t rest = full.n - oracle.n;
	unsigned int kind;

	if (!begins_with(&full, &oracle))
		return false;
	if (oracle.complete && full.complete && full.n == oracle.n) {
		agreed = full;
		return true;
	}
	if (!oracle.n)
		return false;
	kind = replay_rule_kind(t->replay, s, oracle.at);
	t->beyond_libdw++;
	/* It does not know the entry point for the outermost frame either. */
	if (full.n == oracle.n)
		return !oracle.complete && kind == (full.complete ? RULE_CFA_OUTERMOST : RULE_CFA_NONE);
	if (kind == RULE_CFA_REG || kind == RULE_CFA_COMPLEX)
		return ends_as_agreed(rest);
	if (kind != RULE_CFA_RSP && kind != RULE_CFA_PLT)
		return false;
	/* Code known by its bytes, up to three frames of it; the next one was before its call then. */
	for (uint32_t known = 1; known <= 3 && known < rest; known++)
		if (ends_as_agreed(rest - known))
			return true;
	return false;
}

static bool check_stop(struct tally *t)
{
	const char *error = NULL;
	struct snapshot s;

	CHECK(traced_snapshot(&t->traced, &s));
	replay_walk(t->replay, &s, t->stops % 3, MAX_DEPTH, &walked);
	replay_walk_full(t->replay, &s, &full);
	CHECK(libdw_chain(&t->libdw, &t->traced, &s, &oracle, &error));
	t->stops++;
	t->frames += full.n;
	if (!same_as_full(t, &s)) {
		t->wrong++;
		show(t, "walker differs from full unwinder", &s, error);
	} else if (!same_as_libdw(t, &s)) {
		t->wrong++;
		show(t, "libdw differs", &s, error);
	}
	snapshot_free(&s);
	return t->wrong < 3;
}

static void begin(struct tally *t, const char *const argv[])
{
	CHECK_OK(replay_create(4096, &t->replay));
	if (!traced_start(&t->traced, (char *const *)argv))
		SKIP("the program cannot be started or traced");
}

static void end(struct tally *t, const char *name, unsigned int least)
{
	printf("# %s: %u stops, %u frames, %u left to user space, %u where libdw ends early, %u wrong\n", name,
	       t->stops, t->frames, t->left_over, t->beyond_libdw, t->wrong);
	fflush(stdout);
	CHECK_U64(t->wrong, 0);
	CHECK(t->stops >= least);
	libdw_close(&t->libdw);
	traced_end(&t->traced);
	replay_destroy(t->replay);
}

/* Every instruction between the int3 of a subject, the first few times it is come by. */
static void step_subject(const char *variable, unsigned int least)
{
	static struct tally t;
	const char *path = getenv(variable);
	const char *argv[] = { path, NULL };
	bool trap = false;

	CHECK(path);
	begin(&t, argv);
	CHECK(traced_run_to_trap(&t.traced));
	while (!trap) {
		uint64_t pc = traced_pc(&t.traced);
		unsigned char *visits = &t.visits[(pc ^ pc >> 16) % PC_SLOTS];

		if (*visits < VISITS) {
			++*visits;
			if (!check_stop(&t))
				break;
		}
		CHECK(traced_step(&t.traced, &trap));
	}
	end(&t, variable, least);
}

/* A signal at every instruction of a subject: what it interrupts stands anywhere. */
static void interrupt_subject(const char *variable)
{
	static struct tally t;
	const char *path = getenv(variable);
	const char *argv[] = { path, NULL };
	bool trap = false;

	CHECK(path);
	begin(&t, argv);
	CHECK(traced_run_to_trap(&t.traced));
	while (!trap) {
		uint64_t pc = traced_pc(&t.traced);
		unsigned char *visits = &t.visits[(pc ^ pc >> 16) % PC_SLOTS];

		if (!*visits) {
			*visits = 1;
			t.traced.signal = SIGALRM;
			CHECK(traced_step(&t.traced, &trap));
			if (!check_stop(&t))
				break;
			for (int i = 0; i < 1000 && traced_pc(&t.traced) != pc; i++)
				CHECK(traced_step(&t.traced, &trap));
		}
		CHECK(traced_step(&t.traced, &trap));
	}
	end(&t, variable, 1000);
}

TEST(signals_without_optimisation) { interrupt_subject("SUBJECT_O0"); }
TEST(signals_optimised) { interrupt_subject("SUBJECT_O2"); }
TEST(steps_without_optimisation) { step_subject("SUBJECT_O0", 1000); }
TEST(steps_optimised) { step_subject("SUBJECT_O2", 1000); }
TEST(steps_for_size) { step_subject("SUBJECT_Os", 1000); }
TEST(steps_static) { step_subject("SUBJECT_static", 500); }

/* Real programs stopped anywhere, and a few instructions from there. */
static void stop_program(const char *const argv[])
{
	static struct tally t;
	bool trap, alive = true;

	begin(&t, argv);
	srand(1);
	/* Past the start, where .init code runs that libdw does not know and has not been seen to agree on. */
	alive = traced_run_for(&t.traced, START_US);
	for (unsigned int i = 0; i < STOPS && alive && t.wrong < 3; i++) {
		alive = traced_run_for(&t.traced, 1000 + rand() % 4000);
		for (unsigned int j = 0; j < STEPS && alive; j++) {
			if (!check_stop(&t))
				break;
			alive = traced_step(&t.traced, &trap);
		}
	}
	if (t.stops == 0 && !alive)
		SKIP("the program is not here");
	end(&t, argv[0], STOPS * STEPS / 2);
}

TEST(stops_a_compressor)
{
	stop_program((const char *[]){ "xz", "-T1", "-9e", "-c", "/proc/self/exe", "/usr/bin/python3", NULL });
}

TEST(stops_an_interpreter)
{
	stop_program((const char *[]){ "/usr/bin/python3", "-Sc", "import re, json\n"
		     "def f(n): return sorted(json.loads(json.dumps(list(range(n % 9))))) if n < 2 else f(n - 1) + "
		     "f(n - 2)\nwhile 1: f(12)", NULL });
}

TEST(stops_a_database)
{
	stop_program((const char *[]){ "sqlite3", ":memory:", "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL "
		     "SELECT x+1 FROM c LIMIT 90000000) SELECT count(*) FROM c WHERE hex(x) LIKE '%9'", NULL });
}

TEST(stops_hand_written_code)
{
	stop_program((const char *[]){ "openssl", "speed", "-seconds", "3", "sha256", "aes-128-cbc", NULL });
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

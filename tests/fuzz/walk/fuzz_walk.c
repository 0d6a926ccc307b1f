/* SPDX-License-Identifier: MIT */
/*
 * The BPF walker on damage: snapshots of real programs whose stacks,
 * registers, mappings or rules have been tampered with.  Under sanitizers it
 * must not crash; it must end, and say why where the chain is not complete.
 */
#include "replay.h"
#include "test.h"

#include "base/reason.h"

#include <linux/types.h>

#include "bpf/shared.h"

enum { SNAPSHOTS = 40, ROUNDS = 400, N_SETS = 4096, DEPTH = 200 };

static struct traced traced;
static struct replay *replay;
static struct snapshot snapshots[SNAPSHOTS];
static struct replay_chain chain;

static uint64_t random64(void)
{
	return (uint64_t)rand() << 42 ^ (uint64_t)rand() << 21 ^ (uint64_t)rand();
}

/* Stops spread over the run of a program that is compiled for stepping. */
static void take_snapshots(void)
{
	const char *path = getenv("SUBJECT_O2");
	bool trap = false;
	unsigned int n = 0;

	CHECK(path);
	if (!traced_start(&traced, (char *const[]){ (char *)path, NULL }))
		SKIP("programs cannot be traced");
	CHECK(traced_run_to_trap(&traced));
	for (unsigned int step = 0; n < SNAPSHOTS && !trap; step++) {
		if (step % 97 == 0)
			CHECK(traced_snapshot(&traced, &snapshots[n++]));
		CHECK(traced_step(&traced, &trap));
	}
	CHECK(n == SNAPSHOTS);
	CHECK_OK(replay_create(N_SETS, &replay));
}

static void end(void)
{
	for (int i = 0; i < SNAPSHOTS; i++)
		snapshot_free(&snapshots[i]);
	traced_end(&traced);
	replay_destroy(replay);
}

/* Ends in exactly one way, within the depth, with a reason of the table. */
static void walk(const struct snapshot *s)
{
	replay_walk(replay, s, rand() % 3, DEPTH, &chain);
	CHECK(chain.n >= 1 && chain.n <= DEPTH);
	CHECK(chain.complete + chain.miss + !!chain.reason == 1);
	CHECK(!chain.reason || reason_kind(chain.reason) == REASON_KIND_TRUNCATED);
}

static struct snapshot copy_of(const struct snapshot *s)
{
	struct snapshot copy = *s;

	for (int i = 0; i < SNAPSHOT_STACKS; i++) {
		copy.stack[i].data = malloc(s->stack[i].size + 1);
		CHECK(copy.stack[i].data);
		if (s->stack[i].size)
			memcpy(copy.stack[i].data, s->stack[i].data, s->stack[i].size);
	}
	return copy;
}

/* What an attacker, or chance, would put on a stack. */
static uint64_t hostile_word(const struct snapshot *s)
{
	const struct snapshot_mapping *m = &s->maps->list.data[rand() % s->maps->list.len];
	const struct snapshot_memory *stack = &s->stack[0];

	switch (rand() % 6) {
	case 0: return 0;
	case 1: return random64();
	case 2: return m->start + random64() % (m->end - m->start);	/* code or data */
	case 3: return stack->start + random64() % (stack->size + 1);	/* maybe back down */
	case 4: return stack->start + stack->size - rand() % 16;	/* across the end */
	default: return UINT64_MAX - rand() % 32;
	}
}

static void damage_stack(struct snapshot *s)
{
	struct snapshot_memory *m = &s->stack[0];
	uint64_t used = s->regs[7] - m->start;

	for (int n = 1 + rand() % 20; n && used < m->size; n--) {
		uint64_t range = rand() % 2 && m->size - used > 1024 ? 1024 : m->size - used;
		uint64_t at = used + random64() % range, word = hostile_word(s);

		if (at + 8 <= m->size)
			memcpy(m->data + (rand() % 8 ? at & ~7ULL : at), &word, 8);
	}
}

TEST(damaged_stacks)
{
	unsigned int complete = 0, rounds = 0;

	take_snapshots();
	srand(1);
	for (int i = 0; i < SNAPSHOTS; i++) {
		for (int round = 0; round < ROUNDS; round++, rounds++) {
			struct snapshot s = copy_of(&snapshots[i]);

			damage_stack(&s);
			if (rand() % 4 == 0)
				s.regs[rand() % 17] = hostile_word(&s);
			if (rand() % 8 == 0)
				s.stack[0].size = random64() % (s.stack[0].size + 1);
			walk(&s);
			complete += chain.complete;
			snapshot_free(&s);
		}
	}
	printf("# %u of %u chains complete all the same\n", complete, rounds);
	CHECK(complete < rounds);
	end();
}

/* Every word of the stack is the same return address, or its own address. */
TEST(cyclic_stacks)
{
	take_snapshots();
	for (int i = 0; i < SNAPSHOTS; i++) {
		struct snapshot s = copy_of(&snapshots[i]);
		struct snapshot_memory *m = &s.stack[0];

		for (int kind = 0; kind < 2; kind++) {
			for (size_t at = 0; at + 8 <= m->size; at += 8) {
				uint64_t word = kind ? m->start + at : s.regs[16];

				memcpy(m->data + at, &word, 8);
			}
			walk(&s);
			CHECK(!chain.complete);
		}
		snapshot_free(&s);
	}
	end();
}

TEST(damaged_mappings)
{
	take_snapshots();
	srand(2);
	for (int round = 0; round < ROUNDS * 10; round++) {
		struct snapshot s = snapshots[rand() % SNAPSHOTS];
		struct snapshot_maps maps = *s.maps;
		struct snapshot_mapping *m;

		maps.list.data = malloc(maps.list.len * sizeof(*m));
		CHECK(maps.list.data);
		memcpy(maps.list.data, s.maps->list.data, maps.list.len * sizeof(*m));
		s.maps = &maps;
		for (int n = 1 + rand() % 4; n; n--) {
			m = &maps.list.data[rand() % maps.list.len];
			switch (rand() % 6) {
			case 0: m->start += random64() % 8192; break;
			case 1: m->end = m->start - rand() % 3; break;
			case 2: m->pgoff = random64() & ~4095ULL; break;
			case 3: m->executable = !m->executable; break;
			case 4: m->ino = rand() % 2; m->path[0] = '\0'; break;
			case 5: m->end = UINT64_MAX; break;
			}
		}
		walk(&s);
		free(maps.list.data);
	}
	end();
}

/* The cache is memory that is shared: any bytes at all may be in it. */
TEST(damaged_rules)
{
	struct rule_set *sets;
	uint32_t n;

	take_snapshots();
	srand(3);
	sets = replay_sets(replay, &n);
	for (int round = 0; round < ROUNDS * 10; round++) {
		const struct snapshot *s = &snapshots[rand() % SNAPSHOTS];

		walk(s);
		for (int i = 0; i < 200; i++) {
			struct rule_block *block = &sets[rand() % n].way[rand() % BLOCK_WAYS];

			block->rule[rand() % BLOCK_ROWS] = random64();
			block->start[rand() % BLOCK_ROWS] = random64();
			block->flags = rand() % 4 ? block->flags : random64();
		}
		for (int i = 0; i < 3; i++) {
			struct unwind_rule *rule = &replay_rules(replay)[2 + rand() % 300];

			((unsigned char *)rule)[rand() % sizeof(*rule)] = random64();
			if (rand() % 2)
				rule->cfa_kind = rand() % 14;
		}
		walk(s);
	}
	end();
}

TEST(depth_is_bounded)
{
	struct replay_chain whole;

	take_snapshots();
	for (int i = 0; i < SNAPSHOTS; i++) {
		replay_walk(replay, &snapshots[i], 0, DEPTH, &whole);
		for (uint32_t depth = 1; depth <= whole.n + 1; depth++) {
			replay_walk(replay, &snapshots[i], 0, depth, &chain);
			if (depth < whole.n) {
				CHECK_U64(chain.n, depth);
				CHECK_U64(chain.reason, REASON_MAX_DEPTH);
				CHECK(!chain.complete);
			} else {
				CHECK_U64(chain.n, whole.n);
				CHECK(chain.complete == whole.complete);
			}
			CHECK(!memcmp(chain.ips, whole.ips, chain.n * sizeof(*chain.ips)));
		}
	}
	end();
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

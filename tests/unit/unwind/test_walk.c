/* SPDX-License-Identifier: MIT */
/* The step from a frame to its caller, where registers tell whether there is one. */
#include "test.h"

#include "base/reason.h"

#include <stdbool.h>

enum { ABOVE = 0x7f0000000123, STACK = 0x7ffe0000 };

struct task {
	unsigned long long rax, word;	/* at rsp */
};

static bool read_stack(const struct task *task, unsigned long long address, unsigned long long *words)
{
	*words = task->word;
	return address == STACK;
}

#define WALK_READ(arg, address, words, n) ((n) == 1 && read_stack((arg), (address), (words)))
#define WALK_REG(arg, number) ((number) == WALK_RAX ? ((const struct task *)(arg))->rax : 1)
#include "unwind/walk.h"

static const struct unwind_rule in_clone = { .cfa_kind = RULE_CFA_RSP, .cfa_off = 8, .flags = RULE_ZERO_ENDS };

static int step(const struct task *task, struct walk_frame *frame)
{
	return walk_apply(&in_clone, frame, (void *)task);
}

/* posix_spawn() gives the child a mapping of its own: the word above it is any other mapping's. */
TEST(a_child_of_clone_has_no_caller)
{
	struct walk_frame frame = { .pc = 1, .sp = STACK, .innermost = 1 };

	CHECK_U64((unsigned int)step(&(struct task){ .rax = 0, .word = ABOVE }, &frame), WALK_OUTERMOST);
}

TEST(the_parent_has_one)
{
	struct walk_frame frame = { .pc = 1, .sp = STACK, .innermost = 1 };

	CHECK_U64((unsigned int)step(&(struct task){ .rax = 4711, .word = ABOVE }, &frame), WALK_UP);
	CHECK_U64(frame.pc, ABOVE);
	CHECK_U64(frame.sp, STACK + 8);
}

/* Of an outer frame rax is not known: only the word tells. */
TEST(an_outer_frame_ends_with_a_zero)
{
	struct walk_frame frame = { .pc = 1, .sp = STACK };

	CHECK_U64((unsigned int)step(&(struct task){ .rax = 0, .word = ABOVE }, &frame), WALK_UP);
	CHECK_U64(frame.pc, ABOVE);
	frame = (struct walk_frame){ .pc = 1, .sp = STACK };
	CHECK_U64((unsigned int)step(&(struct task){ .rax = 1, .word = 0 }, &frame), WALK_OUTERMOST);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

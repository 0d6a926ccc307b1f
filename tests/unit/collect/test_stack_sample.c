/* SPDX-License-Identifier: MIT */
/* Reading samples as the kernel lays them out, whole, cut and corrupt. */
#include "collect/stack_sample.h"
#include "test.h"

enum { N_KERNEL = 3, COPY = 512, COPIED = 100 };

struct record {
	struct perf_event_header header;
	uint64_t id, ip;
	uint32_t pid, tid;
	uint64_t time;
	uint32_t cpu, reserved;
	uint64_t period, n_kernel, kernel[N_KERNEL], abi, regs[UNWIND_N_REGS + 1], asked;
	unsigned char stack[COPY];
	uint64_t copied;
};

static struct record make(void)
{
	struct record r = {
		.header = { PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL, sizeof(r) },
		.id = 7, .ip = 0xffffffff81000000, .pid = 10, .tid = 11, .time = 12345, .cpu = 3, .period = 99,
		.n_kernel = N_KERNEL, .kernel = { (uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000, 0xffffffff81000100 },
		.abi = PERF_SAMPLE_REGS_ABI_64, .asked = COPY, .copied = COPIED,
	};

	/* In the kernel's order: ax bx cx dx si di bp sp ip flags r8 … r15. */
	for (int i = 0; i <= UNWIND_N_REGS; i++)
		r.regs[i] = 1000 + i;
	memset(r.stack, 0xab, COPIED);
	return r;
}

static void check(const struct stack_sample *s)
{
	CHECK_U64(s->id, 7);
	CHECK_U64(s->pid, 10);
	CHECK_U64(s->tid, 11);
	CHECK_U64(s->cpu, 3);
	CHECK_U64(s->time, 12345);
	CHECK_U64(s->period, 99);
	CHECK_U64(s->n_kernel, N_KERNEL);
	CHECK(!s->user_mode);
	CHECK_U64(s->regs[UNWIND_RBX], 1001);
	CHECK_U64(s->regs[UNWIND_RBP], 1006);
	CHECK_U64(s->regs[UNWIND_RSP], 1007);
	CHECK_U64(s->regs[UNWIND_RIP], 1008);
	CHECK_U64(s->flags, 1009);
	CHECK_U64(s->regs[8], 1010);
	CHECK_U64(s->regs[15], 1017);
	CHECK_U64(s->asked, COPY);
	CHECK_U64(s->size, COPIED);
	CHECK(s->stack[0] == 0xab && s->stack[COPIED - 1] == 0xab);
}

TEST(whole_and_without_its_padding)
{
	struct record r = make();
	struct stack_sample s;

	CHECK(stack_sample_parse(&r.header, sizeof(r), &s));
	check(&s);
	CHECK(stack_sample_parse(&r.header, s.stack + s.size - (unsigned char *)&r, &s));
	check(&s);
}

TEST(without_a_user_context)
{
	struct record r = make();
	struct stack_sample s;
	uint64_t none[] = { PERF_SAMPLE_REGS_ABI_NONE, 0 };

	memcpy(&r.abi, none, sizeof(none));
	CHECK(stack_sample_parse(&r.header, offsetof(struct record, abi) + sizeof(none), &s));
	CHECK_U64(s.abi, PERF_SAMPLE_REGS_ABI_NONE);
	CHECK_U64(s.asked, 0);
	CHECK_U64(s.size, 0);
}

TEST(lengths_that_lie)
{
	struct record r = make();
	struct stack_sample s;

	for (size_t size = 0; size < offsetof(struct record, stack); size++)
		CHECK(!stack_sample_parse(&r.header, size, &s));
	r.copied = UINT64_MAX;
	CHECK(stack_sample_parse(&r.header, sizeof(r), &s));
	CHECK_U64(s.size, COPY);
	/* More than the record has is what there is. */
	r.asked = UINT64_MAX;
	CHECK(stack_sample_parse(&r.header, sizeof(r), &s));
	CHECK_U64(s.size, COPY + sizeof(r.copied));
	r.n_kernel = UINT64_MAX / 8;
	CHECK(!stack_sample_parse(&r.header, sizeof(r), &s));
}

TEST(a_system_call_is_told_from_a_fault_of_a_function_called_through_rcx)
{
	enum { CX = 2, IP = 8, FLAGS = 9, R11 = 13 };	/* in the kernel's order */
	struct record r = make();
	struct stack_sample s;

	r.regs[CX] = r.regs[IP];
	CHECK(stack_sample_parse(&r.header, sizeof(r), &s) && !stack_sample_in_system_call(&s));
	r.regs[R11] = r.regs[FLAGS];
	CHECK(stack_sample_parse(&r.header, sizeof(r), &s) && stack_sample_in_system_call(&s));
	r.header.misc = PERF_RECORD_MISC_USER;
	CHECK(stack_sample_parse(&r.header, sizeof(r), &s) && !stack_sample_in_system_call(&s));
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

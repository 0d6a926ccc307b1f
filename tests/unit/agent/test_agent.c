/* SPDX-License-Identifier: MIT */
/* Programs under the agent, as a recorder sees them. */
#include "recorder.h"

/* CPU time of a thread that spins, no matter how rarely the kernel looks at timers. */
TEST(one_thread)
{
	struct task *task;

	record("spin");
	CHECK(n_hellos == 1 && n_readers == 1 && seen.execs == 1);
	task = task_named("agent_subject");
	CHECK(task && task->samples == seen.samples && seen.samples > 20);
	CHECK(task->cpu_ns > 200000000 && task->cpu_ns < 1500000000);
	CHECK(seen.cookies == seen.samples && seen.chains == seen.samples && !seen.lost);
	CHECK(seen.complete * 100 >= seen.chains * 99);
	CHECK(strstr(mapping_names, "agent_subject\n") && strstr(mapping_names, "libc.so") &&
	      strstr(mapping_names, "[vdso]\n"));
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own deferral, from the records of a ring to the file: every order
 * and every loss that the kernel allows.
 */
#include "native_bench.h"

#include "collect/task.h"

#include <sys/stat.h>
#include <unistd.h>

/* ---- orders ---------------------------------------------------------------------- */

TEST(record_after_its_samples)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	sample(&b, 1, 5, 0x100000001);
	chain(&b, 5, 0x100000001);
	finish(&b, 2);
	check_whole(&b, 0);
	check_whole(&b, 1);
}

TEST(sample_after_its_record)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	chain(&b, 5, 0x100000001);
	sample(&b, 1, 5, 0x100000001);
	sample(&b, 2, 5, 0x300000001);
	chain(&b, 5, 0x300000001);
	finish(&b, 3);
	for (unsigned int i = 0; i < 3; i++)
		check_whole(&b, i);
}

/* The entry was asked for and walked for another session before our event fired in it. */
TEST(sample_after_a_foreign_record)
{
	struct bench b = { 0 };

	set_up(&b);
	chain(&b, 5, 0x100000001);
	sample(&b, 0, 5, 0x100000001);
	finish(&b, 1);
	check_whole(&b, 0);
}

TEST(foreign_records_leave_nothing)
{
	struct bench b = { .options.deferred_records = true };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	chain(&b, 5, 0x300000001);
	chain(&b, 6, 0x100000001);
	chain(&b, 5, 0x100000001);
	for (unsigned int i = 0; i < 100000; i++) {
		chain(&b, 7, 0x500000001 + i);
		take_all(&b);
	}
	finish(&b, 1);
	check_whole(&b, 0);
	CHECK(b.file_bytes < 10000);
}

TEST(a_record_twice)
{
	struct bench b = { .options.deferred_records = true };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	chain(&b, 5, 0x100000001);
	feed_chain(&b, 5, 0x100000001, (uint64_t[]){ CODE + 0x10, CODE + 0x44 }, 2);
	sample(&b, 1, 5, 0x100000001);
	finish(&b, 2);
	check_whole(&b, 0);
	check_whole(&b, 1);
}

TEST(the_same_cookie_of_another_task)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	sample(&b, 1, 6, 0x100000001);
	chain(&b, 6, 0x100000001);
	finish(&b, 2);
	check_missing(&b, 0, REASON_NOT_RETURNED);
	check_whole(&b, 1);
}

/* Drained from two rings: what arrives last may be the oldest. */
TEST(rings_are_put_in_order)
{
	struct bench b = { 0 };

	set_up(&b);
	take_all(&b);
	b.time += 100000;
	chain(&b, 5, 0x100000001);
	b.time -= 50000;
	sample(&b, 0, 5, 0x100000001);
	finish(&b, 1);
	check_whole(&b, 0);
}

/* ---- what does not come ------------------------------------------------------------- */

TEST(not_returned_at_the_end)
{
	struct bench b = { 0 };

	set_up(&b);
	feed_lost(&b);
	sample(&b, 0, 5, 0x100000001);
	finish(&b, 1);
	check_missing(&b, 0, REASON_NOT_RETURNED);
}

TEST(lost_at_the_end)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	feed_lost(&b);
	finish(&b, 1);
	check_missing(&b, 0, REASON_RECORD_LOST);
}

/* The task has been in user space in between, so the first record must have been lost. */
TEST(lost_before_the_next_entry)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	sample(&b, 1, 5, 0x300000001);
	chain(&b, 5, 0x300000001);
	finish(&b, 2);
	check_missing(&b, 0, REASON_RECORD_LOST);
	check_whole(&b, 1);
}

/* Only the last one can still be inside the kernel. */
TEST(lost_before_the_end)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	sample(&b, 1, 5, 0x300000001);
	sample(&b, 2, 6, 0x100000002);
	sample(&b, 3, 6, 0x300000002);
	take_all(&b);
	deferral_forget(b.deferral, 6);
	finish(&b, 4);
	check_missing(&b, 0, REASON_RECORD_LOST);
	check_missing(&b, 1, REASON_NOT_RETURNED);
	check_missing(&b, 2, REASON_RECORD_LOST);
	check_missing(&b, 3, REASON_EXITING);
}

TEST(ended_without_a_record)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	take_all(&b);
	deferral_forget(b.deferral, 5);
	deferral_forget(b.deferral, 6);
	finish(&b, 1);
	check_missing(&b, 0, REASON_EXITING);
}

TEST(exec_before_the_return)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, PID, 0x100000001);
	sample(&b, 1, 6, 0x100000002);		/* a thread that the exec ends */
	feed_exec(&b, PID);
	feed_mmap(&b, PID, CODE, CODE_SIZE, 0, PROT_READ | PROT_EXEC, "//anon");
	feed_chain(&b, PID, 0x100000001, (uint64_t[]){ CODE + 0x90 }, 1);
	sample(&b, 2, PID, 0x300000001);
	chain(&b, PID, 0x300000001);
	finish(&b, 3);
	check_missing(&b, 0, REASON_EXEC);
	check_missing(&b, 1, REASON_EXEC);
	check_whole(&b, 2);
}

/* Between the exec and its return there is no user context; a later sample has one again. */
TEST(exec_before_the_request)
{
	struct bench b = { 0 };

	set_up(&b);
	feed_exec(&b, PID);
	feed_mmap(&b, PID, CODE, CODE_SIZE, 0, PROT_READ | PROT_EXEC, "//anon");
	sample(&b, 0, PID, 0x100000001);
	feed_chain(&b, PID, 0x100000001, (uint64_t[]){ CODE + 0x90 }, 1);
	sample(&b, 1, PID, 0x300000001);
	feed_chain(&b, PID, 0x300000001, (uint64_t[]){ CODE + 0x90 }, 1);
	sample(&b, 2, PID, 0x500000001);
	chain(&b, PID, 0x500000001);
	finish(&b, 3);
	check_missing(&b, 0, REASON_NOT_STARTED);
	check_missing(&b, 1, REASON_REGS_CHANGED);
	check_whole(&b, 2);
}

TEST(returned_with_other_registers)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	feed_chain(&b, 5, 0x100000001, (uint64_t[]){ CODE + 0x90, CODE + 0x20 }, 2);
	finish(&b, 1);
	check_missing(&b, 0, REASON_REGS_CHANGED);
}

TEST(record_without_a_frame)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	feed_chain(&b, 5, 0x100000001, NULL, 0);
	finish(&b, 1);
	check_missing(&b, 0, REASON_SCHEDULE_FAILED);
}

/* The times of shared samples are not exact: the task's next one may seem to be before its record, on another CPU. */
TEST(next_sample_before_the_record)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	sample(&b, 1, 5, 0x100000002);
	chain(&b, 5, 0x100000001);
	chain(&b, 5, 0x100000002);
	finish(&b, 2);
	check_whole(&b, 0);
	check_whole(&b, 1);
}

/* And a sample may seem to be before several entries that were before its own. */
TEST(sample_before_the_samples_of_entries_before)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 3, 5, 0x100000002);
	for (unsigned int i = 0; i < 3; i++) {
		sample(&b, i, 5, 0x100000001 + ((uint64_t)i << 33));
		chain(&b, 5, 0x100000001 + ((uint64_t)i << 33));
	}
	chain(&b, 5, 0x100000002);
	finish(&b, 4);
	for (unsigned int i = 0; i < 4; i++)
		check_whole(&b, i);
}

/* But not for ever: what is lost waits for a second, not for the end. */
TEST(lost_long_before_the_end)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	b.time += 2000000000;
	sample(&b, 1, 5, 0x300000001);
	chain(&b, 5, 0x300000001);
	take_all(&b);
	CHECK_U64(recorder_waiting(b.recorder), 0);
	finish(&b, 2);
	check_missing(&b, 0, REASON_RECORD_LOST);
	check_whole(&b, 1);
}

TEST(exit_with_and_without_a_record_after_it)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	feed_exit(&b, 5);
	sample(&b, 1, 6, 0x200000001);
	feed_exit(&b, 6);
	chain(&b, 6, 0x200000001);
	sample(&b, 2, 7, 0x300000001);
	feed_exit(&b, 7);
	sample(&b, 3, 7, 0x400000001);		/* another task of that number */
	finish(&b, 4);
	check_missing(&b, 0, REASON_EXITING);
	check_whole(&b, 1);
	check_missing(&b, 2, REASON_EXITING);
	check_missing(&b, 3, REASON_NOT_RETURNED);
}

/* ---- samples without a cookie ---------------------------------------------------------- */

TEST(immediate_chains)
{
	const uint64_t words[] = {
		(uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000, 0xffffffff81000100,
		(uint64_t)PERF_CONTEXT_USER, CODE + 0x10, CODE + 0x20, CODE + 0x30,
	};
	struct bench b = { .options.deferred_records = true };

	set_up(&b);
	feed_sample(&b, PID, &(struct sample){ 0, 5, words, 7, CODE + 0x10 });
	feed_sample(&b, PID, &(struct sample){ 1, 5, words, 4, CODE + 0x10 });
	finish(&b, 2);
	check_whole(&b, 0);
	check_missing(&b, 1, REASON_EXITING);
}

TEST(no_user_context)
{
	const uint64_t words[] = { (uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000 };
	const bool sees_kernel_threads = task_kind(2, "") == TASK_KERNEL_THREAD;
	struct bench b = { 0 };

	set_up(&b);
	feed_sample(&b, 0, &(struct sample){ 0, 0, words, 2, 0 });
	feed_sample(&b, 2, &(struct sample){ 1, 2, words, 2, 0 });
	feed_name(&b, PID, 1000002, "iou-wrk-13");
	feed_sample(&b, PID, &(struct sample){ 2, 1000002, words, 2, 0 });
	feed_sample(&b, PID, &(struct sample){ 3, 14, words, 2, CODE + 0x10 });
	feed_sample(&b, PID, &(struct sample){ 4, 1000003, words, 2, 0 });	/* it is exiting: gone */
	finish(&b, 5);
	check_missing(&b, 0, REASON_IDLE);
	check_missing(&b, 1, sees_kernel_threads ? REASON_KERNEL_THREAD : REASON_NO_MM);
	check_missing(&b, 2, REASON_IO_WORKER);
	check_missing(&b, 3, REASON_NO_MM);
	check_missing(&b, 4, REASON_NO_MM);
}

/* Tasks without a number here have registers, which the idle task has not. */
TEST(other_pid_namespace)
{
	const uint64_t asked[] = { PERFDATA_CONTEXT_USER_DEFERRED, 0x100000001 };
	struct bench b = { 0 };

	set_up(&b);
	feed_sample(&b, 0, &(struct sample){ 0, 0, asked, 2, CODE + 0x10 });
	feed_chain(&b, 0, 0x100000001, (uint64_t[]){ CODE + 0x10 }, 1);
	finish(&b, 1);
	check_missing(&b, 0, REASON_OTHER_NAMESPACE);
}

/* ---- several sessions that have the same software event ---------------------------------- */

TEST(filled_in_for_another_session)
{
	const uint64_t kernel[] = { (uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000 };
	const uint64_t asked[] = {
		(uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000, 0xffffffff81000100,
		PERFDATA_CONTEXT_USER_DEFERRED, 0x100000001,
	};
	const uint64_t ips[] = { CODE + 0x10, CODE + 0x20, CODE + 0x30 };
	struct deferral_counters counters;
	struct bench b = { 0 };

	set_up(&b);
	feed_sample(&b, PID, &(struct sample){ 0, 5, asked, 5, CODE + 0x10, OTHER_SESSION });
	feed_chain(&b, 5, 0x100000001, ips, 3);
	feed_sample(&b, PID, &(struct sample){ 1, 5, kernel, 2, CODE + 0x10, OTHER_SESSION });
	feed_sample(&b, PID, &(struct sample){ 2, 5, kernel, 2, CODE + 0x10, NO_EVENT });
	take_all(&b);
	deferral_counters(b.deferral, &counters);
	finish(&b, 2);
	check_whole(&b, 0);
	check_missing(&b, 1, REASON_NOT_ASKED);
	CHECK_U64(counters.lost_samples, 1);
}

/* Samples by a clock that is behind, or ahead of ours, between records that are by ours. */
static void check_clock(uint64_t id, uint64_t slow)
{
	const uint64_t ips[] = { CODE + 0x10, CODE + 0x20, CODE + 0x30 };
	struct bench b = { 0 };

	set_up(&b);
	for (unsigned int i = 0; i < 8; i++) {
		const uint64_t words[] = {
			(uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000, 0xffffffff81000100,
			PERFDATA_CONTEXT_USER_DEFERRED, 0x100000001 + i,
		};

		feed_sample(&b, PID, &(struct sample){ i, 5, words, 5, CODE + 0x10, id, 1, slow });
		feed_chain(&b, 5, 0x100000001 + i, ips, 3);
	}
	/* What is asked for amid an execve, and not answered before it. */
	feed_sample(&b, PID, &(struct sample){ 8, 5, (uint64_t[]){ PERFDATA_CONTEXT_USER_DEFERRED, 0x900000001 }, 2,
					       CODE + 0x10, id, 1, slow });
	feed_exec(&b, PID);
	feed_chain(&b, 5, 0x900000001, ips, 3);
	finish(&b, 9);
	for (unsigned int i = 0; i < 8; i++)
		check_whole(&b, i);
	check_missing(&b, 8, REASON_EXEC);
}

TEST(by_the_clock_of_another_session)
{
	check_clock(OTHER_SESSION, 100000);
	check_clock(EVENT_ID, 100000);
	check_clock(OTHER_SESSION, -100000);
	check_clock(EVENT_ID, -100000);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

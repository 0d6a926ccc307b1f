/* SPDX-License-Identifier: MIT */
/* The process tracker: who has what mapped, and what it is called, as records come. */
#include "test.h"

#include "base/error.h"
#include "perfdata/process.h"

#include <malloc.h>
#include <time.h>

static struct process_tracker *tracker;

static void map_at(uint32_t pid, uint64_t start, uint64_t end, uint64_t pgoff, const char *path)
{
	struct perfdata_record r = { .type = PERF_RECORD_MMAP2, .pid = pid, .tid = pid };

	r.mmap.start = start;
	r.mmap.len = end - start;
	r.mmap.pgoff = pgoff;
	r.mmap.prot = 5;
	r.mmap.filename = path;
	CHECK(process_tracker_feed(tracker, &r));
}

static void comm(uint32_t pid, uint32_t tid, const char *name, bool exec)
{
	struct perfdata_record r = { .type = PERF_RECORD_COMM, .pid = pid, .tid = tid };

	r.comm.comm = name;
	r.comm.exec = exec;
	CHECK(process_tracker_feed(tracker, &r));
}

static void forked(uint32_t ppid, uint32_t ptid, uint32_t pid, uint32_t tid)
{
	struct perfdata_record r = { .type = PERF_RECORD_FORK, .pid = pid, .tid = tid };

	r.task.ppid = ppid;
	r.task.ptid = ptid;
	CHECK(process_tracker_feed(tracker, &r));
}

static void exited(uint32_t pid, uint32_t tid)
{
	struct perfdata_record r = { .type = PERF_RECORD_EXIT, .pid = pid, .tid = tid };

	CHECK(process_tracker_feed(tracker, &r));
}

static void check_map(uint32_t pid, uint64_t address, const char *path, uint64_t start, uint64_t end,
		      uint64_t pgoff)
{
	const struct process_mapping *map = process_tracker_find(tracker, pid, address);

	CHECK(map);
	CHECK_STR(map->path, path);
	CHECK_U64(map->start, start);
	CHECK_U64(map->end, end);
	CHECK_U64(map->pgoff, pgoff);
}

static void check_none(uint32_t pid, uint64_t address)
{
	CHECK(!process_tracker_find(tracker, pid, address));
}

static void begin(void)
{
	tracker = process_tracker_create();
	CHECK(tracker);
}

static void end(void)
{
	process_tracker_destroy(tracker);
}

TEST(a_mapping_covers_its_range_only)
{
	begin();
	check_none(1, 0x1000);
	map_at(1, 0x1000, 0x2000, 0x300, "a");
	check_map(1, 0x1000, "a", 0x1000, 0x2000, 0x300);
	check_map(1, 0x1fff, "a", 0x1000, 0x2000, 0x300);
	check_none(1, 0xfff);
	check_none(1, 0x2000);
	check_none(2, 0x1000);
	map_at(1, 0x5000, 0x5000, 0, "empty");
	check_none(1, 0x5000);
	end();
}

TEST(a_mapping_in_the_middle_splits_and_keeps_the_consumers_pointer)
{
	int mark;

	begin();
	map_at(1, 0x1000, 0x9000, 0x10000, "a");
	process_mapping_set_user(process_tracker_find(tracker, 1, 0x1000), &mark);
	map_at(1, 0x3000, 0x4000, 0, "b");
	check_map(1, 0x2fff, "a", 0x1000, 0x3000, 0x10000);
	check_map(1, 0x3000, "b", 0x3000, 0x4000, 0);
	check_map(1, 0x4000, "a", 0x4000, 0x9000, 0x13000);
	CHECK(process_tracker_find(tracker, 1, 0x1000)->user == &mark);
	CHECK(!process_tracker_find(tracker, 1, 0x3000)->user);
	CHECK(process_tracker_find(tracker, 1, 0x4000)->user == &mark);
	end();
}

TEST(a_mapping_over_several_cuts_the_ends_and_removes_the_rest)
{
	begin();
	map_at(1, 0x5000, 0x6000, 0, "c");
	map_at(1, 0x1000, 0x2000, 0, "a");
	map_at(1, 0x3000, 0x4000, 0, "b");
	map_at(1, 0x1800, 0x5800, 0x77, "over");
	check_map(1, 0x17ff, "a", 0x1000, 0x1800, 0);
	check_map(1, 0x3000, "over", 0x1800, 0x5800, 0x77);
	check_map(1, 0x5800, "c", 0x5800, 0x6000, 0x800);
	map_at(1, 0, UINT64_MAX, 0, "all");
	check_map(1, 0x1000, "all", 0, UINT64_MAX, 0);
	check_map(1, 0x5800, "all", 0, UINT64_MAX, 0);
	end();
}

/* Against an array that holds the owner of each page. */
TEST(random_mappings_agree_with_a_page_array)
{
	enum { PAGES = 256 };
	static const char *const names[] = { "p", "q", "r", "s", "t", "u", "v" };
	const char *owner[PAGES] = {0};
	uint64_t pgoff[PAGES] = {0};
	uint32_t seed = 12345;

	begin();
	for (int step = 0; step < 3000; step++) {
		seed = seed * 1664525 + 1013904223;
		unsigned int first = (seed >> 8) % PAGES, n = (seed >> 20) % 24 + 1;
		unsigned int last = first + n < PAGES ? first + n : PAGES;
		const char *name = names[(seed >> 28) % 7];

		map_at(1, first * 4096ULL, last * 4096ULL, step * 0x100000ULL, name);
		for (unsigned int page = first; page < last; page++) {
			owner[page] = name;
			pgoff[page] = step * 0x100000ULL + (page - first) * 4096;
		}
		for (unsigned int page = 0; page < PAGES; page += 1 + step % 5) {
			const struct process_mapping *map = process_tracker_find(tracker, 1, page * 4096ULL);

			CHECK(!map == !owner[page]);
			if (map) {
				CHECK_STR(map->path, owner[page]);
				CHECK_U64(map->pgoff + page * 4096ULL - map->start, pgoff[page]);
			}
		}
	}
	end();
}

TEST(fork_copies_and_then_both_go_their_way)
{
	begin();
	map_at(1, 0x1000, 0x2000, 0, "a");
	comm(1, 1, "parent", true);
	check_none(1, 0x1000);	/* exec had dropped it */
	map_at(1, 0x1000, 0x2000, 0, "a");
	forked(1, 1, 2, 2);
	check_map(2, 0x1000, "a", 0x1000, 0x2000, 0);
	CHECK_STR(process_tracker_comm(tracker, 2, 2), "parent");
	map_at(2, 0x3000, 0x4000, 0, "child");
	check_none(1, 0x3000);
	map_at(1, 0x5000, 0x6000, 0, "later");
	check_none(2, 0x5000);
	comm(2, 2, "other", true);
	check_none(2, 0x1000);
	check_map(1, 0x1000, "a", 0x1000, 0x2000, 0);
	CHECK_STR(process_tracker_comm(tracker, 1, 1), "parent");
	CHECK_STR(process_tracker_comm(tracker, 2, 2), "other");
	end();
}

TEST(threads_share_the_mappings_and_have_names)
{
	begin();
	comm(1, 1, "main", true);
	forked(1, 1, 1, 7);
	map_at(1, 0x1000, 0x2000, 0, "a");
	CHECK_STR(process_tracker_comm(tracker, 1, 7), "main");
	comm(1, 7, "worker", false);
	CHECK_STR(process_tracker_comm(tracker, 1, 7), "worker");
	CHECK_STR(process_tracker_comm(tracker, 1, 1), "main");
	check_map(1, 0x1000, "a", 0x1000, 0x2000, 0);
	exited(1, 7);
	check_map(1, 0x1000, "a", 0x1000, 0x2000, 0);
	CHECK_STR(process_tracker_comm(tracker, 1, 8), "main");
	CHECK_STR(process_tracker_comm(tracker, 5, 9), ":9");
	CHECK_STR(process_tracker_comm(tracker, 0, 0), "swapper");
	end();
}

TEST(a_fork_that_perf_made_up_copies_nothing)
{
	struct perfdata_record r = { .type = PERF_RECORD_FORK, .pid = 2, .tid = 2 };

	begin();
	map_at(1, 0x1000, 0x2000, 0, "a");
	r.misc = PERF_RECORD_MISC_FORK_EXEC;
	r.task.ppid = r.task.ptid = 1;
	CHECK(process_tracker_feed(tracker, &r));
	check_none(2, 0x1000);
	end();
}

TEST(late_samples_find_an_exited_process_for_a_while)
{
	begin();
	map_at(1, 0x1000, 0x2000, 0, "a");
	comm(1, 1, "gone", false);
	exited(1, 1);
	for (uint32_t pid = 10; pid < 10 + PROCESS_TRACKER_KEPT_EXITS - 1; pid++) {
		forked(9, 9, pid, pid);
		exited(pid, pid);
	}
	check_map(1, 0x1000, "a", 0x1000, 0x2000, 0);
	CHECK_STR(process_tracker_comm(tracker, 1, 1), "gone");
	forked(9, 9, 5000, 5000);
	exited(5000, 5000);
	check_none(1, 0x1000);
	CHECK_STR(process_tracker_comm(tracker, 1, 1), ":1");
	end();
}

TEST(an_id_that_is_used_again_is_another_process)
{
	begin();
	map_at(1, 0x1000, 0x2000, 0, "a");
	comm(1, 1, "old", false);
	exited(1, 1);
	forked(9, 9, 1, 1);
	check_none(1, 0x1000);
	CHECK_STR(process_tracker_comm(tracker, 1, 1), ":1");
	map_at(1, 0x3000, 0x4000, 0, "b");
	for (uint32_t pid = 10; pid < 10 + 2 * PROCESS_TRACKER_KEPT_EXITS; pid++) {
		forked(9, 9, pid, pid);
		exited(pid, pid);
	}
	check_map(1, 0x3000, "b", 0x3000, 0x4000, 0);	/* the older one's exit did not take it */
	end();
}

/* Forks that differ by one mapping each from a huge parent: copies are refused before they fill the memory. */
TEST(a_hostile_recording_cannot_fill_the_memory)
{
	struct perfdata_record r = { .type = PERF_RECORD_MMAP2, .pid = 1 };
	unsigned int refused = 0;

	begin();
	for (uint64_t i = 0; i < 30000; i++)
		map_at(1, 0x1000 * i, 0x1000 * i + 0x800, 0, "x");
	r.mmap.len = 0x1000;
	r.mmap.filename = "y";
	for (uint32_t pid = 2; pid < 2000; pid++) {
		forked(1, 1, pid, pid);
		r.mmap.start = (1ULL << 40) + pid * 0x1000ULL;
		refused += !process_tracker_feed(tracker, &r);
	}
	CHECK(refused > 1000);
	CHECK(mallinfo2().uordblks + mallinfo2().hblkhd < 400u << 20);
	end();
	CHECK(mallinfo2().uordblks + mallinfo2().hblkhd < 10u << 20);
}

static double seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + 1e-9 * (double)ts.tv_nsec;
}

static void fork_many(uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		uint32_t pid = 100 + i % 30000;

		forked(1, 1, pid, pid);
		comm(pid, pid, "child", true);
		map_at(pid, 0x400000, 0x500000, 0, "/bin/child");
		CHECK(process_tracker_find(tracker, pid, 0x400000));
		exited(pid, pid);
	}
}

TEST(many_short_lived_processes_stay_cheap)
{
	struct mallinfo2 before, after;
	double start;

	begin();
	for (uint64_t i = 0; i < 500; i++)
		map_at(1, 0x1000 * i, 0x1000 * i + 0x800, 0, "/lib/library.so");
	fork_many(20000);
	before = mallinfo2();
	start = seconds();
	fork_many(100000);
	CHECK(seconds() - start < 5);
	after = mallinfo2();
	CHECK(after.uordblks < before.uordblks + 100000);
	end();
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/* What chains of the kernel's own deferral are believed, and how far. */
#include "native_bench.h"

/* ---- what is believed -------------------------------------------------------------------- */

static void feed_long_chain(struct bench *b, size_t n)
{
	uint64_t ips[DEFERRAL_MAX_FRAMES];

	for (size_t i = 0; i < n; i++)
		ips[i] = CODE + 0x10 + 4 * i;
	feed_chain(b, 5, 0x100000001, ips, n);
}

TEST(the_limit_of_the_kernel)
{
	struct bench b = { 0 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	feed_long_chain(&b, DEFERRAL_MAX_FRAMES);
	finish(&b, 1);
	CHECK_U64(b.samples[0].reason, REASON_MAX_DEPTH);
	CHECK_U64(b.samples[0].n_user, DEFERRAL_MAX_FRAMES);
}

TEST(the_limit_of_the_user)
{
	struct bench b = { .options.max_depth = 100 };

	set_up(&b);
	sample(&b, 0, 5, 0x100000001);
	feed_long_chain(&b, 101);
	finish(&b, 1);
	CHECK_U64(b.samples[0].reason, REASON_MAX_DEPTH);
	CHECK_U64(b.samples[0].n_user, 100);
	CHECK_U64(b.samples[0].outermost, CODE + 0x10 + 4 * 99);
}

static void check_cut(uint64_t second, enum reason reason)
{
	struct bench b = { 0 };

	set_up(&b);
	feed_mmap(&b, PID, CODE + 0x200000, 0x1000, 0, PROT_READ, "//anon");
	feed_mmap(&b, PID, CODE + 0x300000, 0x1000, 0, PROT_READ | PROT_EXEC, "[uprobes]");
	sample(&b, 0, 5, 0x100000001);
	feed_chain(&b, 5, 0x100000001, (uint64_t[]){ CODE + 0x10, second, CODE + 0x20 }, 3);
	finish(&b, 1);
	CHECK_U64(b.samples[0].reason, reason);
	CHECK_U64(b.samples[0].n_user, 1);
}

TEST(addresses_that_are_no_code)
{
	check_cut(CODE + 0x200010, REASON_NOT_EXECUTABLE);
	check_cut(CODE + 0x300000, REASON_URETPROBE);
	check_cut(0x10, REASON_NO_MAPPING);
	check_cut(UINT64_MAX, REASON_NO_MAPPING);
}

/* ---- real code: our own -------------------------------------------------------------------- */

extern const char _start[];

/* A frame of unknown size has a frame pointer. */
__attribute__((noinline, noclone))
static uint64_t with_frame_pointer(size_t size)
{
	volatile char *room = __builtin_alloca(size);
	uint64_t here;

	room[0] = 1;
	__asm__ volatile("lea 0(%%rip), %0" : "=r"(here));
	return here + (uint64_t)room[0] - 1;
}

__attribute__((noinline, noclone))
static uint64_t without_frame_pointer(void)
{
	uint64_t here;

	__asm__ volatile("lea 0(%%rip), %0" : "=r"(here));
	return here;
}

/* Maps ourselves as /proc tells it. */
static void feed_own_code(struct bench *b)
{
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "r");
	char line[4500], path[4096], prot[8];
	uint64_t start, end, pgoff;

	CHECK(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%lx %7s %lx %*s %*s %4095s", &start, &end, prot, &pgoff, path) == 5 &&
		    start <= (uintptr_t)_start && (uintptr_t)_start < end)
			feed_mmap(b, (uint32_t)getpid(), start, end - start, pgoff, PROT_READ | PROT_EXEC, path);
}

static struct outcome own_chain(const uint64_t *ips, size_t n)
{
	const uint64_t words[] = { PERFDATA_CONTEXT_USER_DEFERRED, 0x100000001 };
	struct bytes r = new_record(PERFDATA_RECORD_CALLCHAIN_DEFERRED, PERF_RECORD_MISC_USER);
	uint32_t pid = (uint32_t)getpid();
	struct bench b = { 0 };

	set_up(&b);
	feed_own_code(&b);
	feed_sample(&b, pid, &(struct sample){ 0, pid, words, 2, ips[0] });
	put_word(&r, words[1]);
	put_word(&r, n);
	put(&r, ips, n * 8);
	feed_with_trailer(&b, &r, pid, pid);
	finish(&b, 1);
	return b.samples[0];
}

TEST(the_tables_of_real_code)
{
	const uint64_t start = (uintptr_t)_start + 0x10, good = with_frame_pointer(64), bad = without_frame_pointer();
	struct outcome o;

	o = own_chain((uint64_t[]){ good, good, start }, 3);
	CHECK_U64(o.reason, REASON_NONE);
	CHECK_U64(o.n_user, 3);
	o = own_chain((uint64_t[]){ good, good }, 2);
	CHECK_U64(o.reason, REASON_BAD_FRAME_POINTER);
	CHECK_U64(o.n_user, 2);
	/* The caller of a function without a frame pointer is not in such a chain. */
	o = own_chain((uint64_t[]){ good, bad, start }, 3);
	CHECK_U64(o.reason, REASON_NO_FRAME_POINTER);
	CHECK_U64(o.n_user, 2);
	/* Nothing lies beyond the outermost frame. */
	o = own_chain((uint64_t[]){ good, start, good }, 3);
	CHECK_U64(o.reason, REASON_NONE);
	CHECK_U64(o.n_user, 2);
}

/* ---- damage ---------------------------------------------------------------------------------- */

TEST(records_that_lie_about_their_size)
{
	struct bench b = { 0 };

	set_up(&b);
	srand(7);
	for (unsigned int i = 0; i < 20000; i++) {
		struct bytes r = new_record((uint32_t[]){ PERF_RECORD_SAMPLE, PERFDATA_RECORD_CALLCHAIN_DEFERRED,
							  PERF_RECORD_COMM, PERF_RECORD_LOST }[rand() % 4],
					    (uint16_t)rand());
		unsigned int words = (unsigned int)rand() % 24;
		unsigned char *copy;

		put_word(&r, EVENT_ID);
		for (unsigned int w = 0; w < words; w++)
			put_word(&r, (uint64_t[]){ 0, 1, w, UINT64_MAX, UINT64_MAX / 8, 4, PID,
						   PERFDATA_CONTEXT_USER_DEFERRED,
						   (uint64_t)PERF_CONTEXT_USER }[rand() % 9]);
		/* Exactly as large as it says, so that a look behind it is seen by a sanitizer. */
		copy = malloc(r.header.size);
		CHECK(copy);
		memcpy(copy, &r, r.header.size);
		feed(&b, copy);
		free(copy);
		if (i % 64 == 0)
			take_all(&b);
	}
	take_all(&b);
	recorder_give_up(b.recorder, why, b.deferral);
	unlink(b.path);
	deferral_destroy(b.deferral);
	dso_store_destroy(b.dsos);
	recorder_destroy(b.recorder);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

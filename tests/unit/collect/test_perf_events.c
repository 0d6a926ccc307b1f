/* SPDX-License-Identifier: MIT */
/* Real events with two sizes of stack copies: at a change nothing is missed and nothing counts twice. */
#include "collect/perf_events.h"

#include "base/clock.h"
#include "collect/shared_samples.h"
#include "test.h"

#include <asm/perf_regs.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>

enum { PAGES = 12000, PAGE = 4096, LARGE = 256, SMALL = 128, RING = 16 << 20, CHANGES = 20, SAMPLES = 20 };
enum stage { BEGUN, WORKING, ENDED };

static const uint32_t sizes[] = { LARGE, SMALL };

/* A sample as it is asked for here: one register, and a copy of the stack. */
struct sample {
	struct shared_sample is;
	uint64_t abi, rdi, asked;
};

static struct bench {
	struct perf_events *events;
	struct shared_samples shared;
	struct session_event event;
	pid_t tid;
	enum stage stage;
	char *memory;
	uint64_t seen[PAGES];			/* when the fault was */
	uint64_t lost;
	struct { uint64_t before, after; } changes[CHANGES];
	unsigned int n_changes, n_counted[2];
	uint64_t ids[2];			/* by size */
} b;

static enum stage stage(void)
{
	return __atomic_load_n(&b.stage, __ATOMIC_ACQUIRE);
}

static void set_stage(enum stage stage)
{
	__atomic_store_n(&b.stage, stage, __ATOMIC_RELEASE);
}

static pthread_t start(void *(*fn)(void *))
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, fn, NULL));
	while (!__atomic_load_n(&b.tid, __ATOMIC_ACQUIRE))
		sched_yield();
	return thread;
}

static void wait_for_events(void)
{
	__atomic_store_n(&b.tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	while (stage() == BEGUN)
		sched_yield();
}

static void open_events(struct session_event event, uint64_t period)
{
	b.event = event;
	struct perf_events_options options = {
		.events = &b.event, .n_events = 1, .period = period,
		.scope = SESSION_THREADS, .pids = &b.tid, .n_pids = 1,
		.ring_attr = perf_events_side_band_attr(),
		.event_attr = { .sample_type = PERF_SAMPLE_IDENTIFIER | PERF_SAMPLE_IP | PERF_SAMPLE_TID |
					       PERF_SAMPLE_TIME | PERF_SAMPLE_CPU | PERF_SAMPLE_REGS_USER |
					       PERF_SAMPLE_STACK_USER,
				.sample_regs_user = 1ULL << PERF_REG_X86_DI, .sample_id_all = 1 },
		.stack_sizes = sizes, .n_stack_sizes = 2, .ring_bytes = RING, .epoll_fd = epoll_create1(EPOLL_CLOEXEC),
	};
	struct error *err = perf_events_open(&options, &b.events);

	if (err && (err->code == EPERM || err->code == EACCES || err->code == ENOENT))
		SKIP(err->text);
	CHECK_OK(err);
	CHECK_OK(perf_events_enable(b.events));
}

/* ---- shared samples: one for each page fault ------------------------------------- */

static void *touches(void *arg)
{
	wait_for_events();
	for (int i = 0; i < PAGES; i++)
		__asm__ volatile("movb $1, (%0)" :: "D"(b.memory + (size_t)i * PAGE) : "memory");
	set_stage(ENDED);
	return NULL;
}

static void take_fault(void *arg, const struct shared_sample *head, uint32_t size)
{
	const struct sample *sample = (const void *)head;
	uint64_t page = (sample->rdi - (uintptr_t)b.memory) / PAGE;

	CHECK(perf_events_counts(b.events, head->id, head->time));
	if (page >= PAGES)
		return;
	CHECK(b.seen[page] != head->time);
	b.seen[page] = head->time;
}

static void drain_fault(void *arg, const struct perf_event_header *header)
{
	if (header->type == PERF_RECORD_LOST)
		b.lost += ((const uint64_t *)(header + 1))[1];
	if (header->type != PERF_RECORD_SAMPLE)
		return;
	CHECK(header->size >= sizeof(struct sample));
	CHECK(shared_samples_add(&b.shared, (const void *)header, header->size));
}

TEST(every_page_fault_counts_once)
{
	uint64_t missing = 0;
	pthread_t thread;

	b.shared.fn = take_fault;
	b.memory = mmap(NULL, (size_t)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(b.memory != MAP_FAILED);
	madvise(b.memory, (size_t)PAGES * PAGE, MADV_NOHUGEPAGE);
	thread = start(touches);
	open_events((struct session_event){ "page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS }, 1);
	set_stage(WORKING);
	for (uint32_t i = 1; stage() != ENDED; i++) {
		perf_events_set_stack_size(b.events, 0, i % 2);
		CHECK_U64(perf_events_drain(b.events, drain_fault, NULL), 0);
		shared_samples_drained(&b.shared);
	}
	pthread_join(thread, NULL);
	perf_events_drain(b.events, drain_fault, NULL);
	shared_samples_drained(&b.shared);
	for (int i = 0; i < PAGES; i++)
		missing += !b.seen[i];
	CHECK(missing <= b.lost);
	shared_samples_free(&b.shared);
	perf_events_close(b.events);
}

/* ---- samples of a clock: each is filled in for itself ------------------------------ */

static void *burns(void *arg)
{
	wait_for_events();
	while (stage() == WORKING)
		;
	return NULL;
}

/* The size that was in use; false: it was just changed. */
static bool in_use(uint64_t time, unsigned int *size)
{
	*size = 0;
	for (unsigned int i = 0; i < b.n_changes && time >= b.changes[i].before; i++) {
		if (time <= b.changes[i].after)
			return false;
		*size = (i + 1) % 2;
	}
	return true;
}

static void drain_clock(void *arg, const struct perf_event_header *header)
{
	const struct sample *sample = (const void *)header;
	unsigned int size;
	bool counts;

	if (header->type != PERF_RECORD_SAMPLE)
		return;
	CHECK(header->size >= sizeof(*sample) && sample->asked);
	counts = perf_events_counts(b.events, sample->is.id, sample->is.time);
	if (in_use(sample->is.time, &size))
		CHECK(counts == (sample->asked == sizes[size]));
	b.n_counted[sample->asked == SMALL] += counts;
	b.ids[sample->asked == SMALL] = sample->is.id;
}

TEST(one_size_counts_at_a_time)
{
	pthread_t thread = start(burns);

	open_events((struct session_event){ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK }, 100000);
	set_stage(WORKING);
	while (b.n_changes < CHANGES) {
		unsigned int *n = &b.n_counted[b.n_changes % 2];

		for (*n = 0; *n < SAMPLES; usleep(500))
			perf_events_drain(b.events, drain_clock, NULL);
		b.changes[b.n_changes].before = clock_monotonic_ns();
		perf_events_set_stack_size(b.events, 0, (b.n_changes + 1) % 2);
		b.changes[b.n_changes++].after = clock_monotonic_ns();
	}
	set_stage(ENDED);
	pthread_join(thread, NULL);
	/* Samples of both sizes may still come from around the last changes. */
	for (unsigned int i = CHANGES - 3; i < CHANGES; i++) {
		for (unsigned int size = 0; size < 2; size++) {
			CHECK(perf_events_counts(b.events, b.ids[size], b.changes[i].before) == (size == i % 2));
			CHECK(perf_events_counts(b.events, b.ids[size], b.changes[i].after) != (size == i % 2));
		}
	}
	perf_events_close(b.events);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

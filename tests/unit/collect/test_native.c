/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own deferral, from the records of a ring to the file: every order
 * and every loss that the kernel allows, and what chains are believed.
 */
#include "collect/deferral.h"
#include "test.h"

#include "collect/perf_events.h"
#include "collect/task.h"
#include "perfdata/reader.h"

#include <stddef.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { PID = 1000001, CODE = 0x40000000, CODE_SIZE = 0x100000, EVENT_ID = 77, OTHER_SESSION = 78, NO_EVENT = 79, MAX_SAMPLES = 64 };

/* ---- a session without a kernel ------------------------------------------------ */

struct bench {
	struct session_options options;
	struct session_event event;
	struct recorder *recorder;
	struct dso_store *dsos;
	struct deferral *deferral;
	char path[64];
	uint64_t time;
	/* What the file says of the sample with period i. */
	struct outcome {
		unsigned int times;
		uint16_t reason;
		size_t n_user, n_kernel;
		uint64_t innermost, outermost;
	} samples[MAX_SAMPLES];
	uint64_t file_bytes;
};

static bool find_event(const void *arg, uint64_t id, uint32_t *event)
{
	*event = 0;
	return id != NO_EVENT;
}

static bool is_ours(const void *arg, uint64_t id)
{
	return id == EVENT_ID;
}

static void feed(struct bench *b, const void *record)
{
	deferral_record(b->deferral, record);
}

struct bytes {
	struct perf_event_header header;
	unsigned char body[65528];
};

static void put(struct bytes *r, const void *data, size_t size)
{
	if (size)
		memcpy((unsigned char *)r + r->header.size, data, size);
	r->header.size += size;
}

static void put_word(struct bytes *r, uint64_t word)
{
	put(r, &word, sizeof(word));
}

static void put_pair(struct bytes *r, uint32_t first, uint32_t second)
{
	put_word(r, first | (uint64_t)second << 32);
}

/* The rings' trailer; every record is a microsecond younger than the one before. */
static void feed_with_trailer(struct bench *b, struct bytes *r, uint32_t pid, uint32_t tid)
{
	put_pair(r, pid, tid);
	put_word(r, b->time += 1000);
	put_pair(r, 1, 0);
	put_word(r, EVENT_ID);
	feed(b, r);
}

static struct bytes new_record(uint32_t type, uint16_t misc)
{
	return (struct bytes){ .header = { type, misc, sizeof(struct perf_event_header) } };
}

static void feed_mmap(struct bench *b, uint32_t pid, uint64_t start, uint64_t size, uint64_t pgoff, uint32_t prot,
		      const char *path)
{
	struct stat st = { 0 };
	struct bytes r = new_record(PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER);
	char name[256] = "";

	strncpy(name, path, sizeof(name) - 1);
	put_pair(&r, pid, pid);
	put_word(&r, start);
	put_word(&r, size);
	put_word(&r, pgoff);
	if (path[0] == '/' && path[1] != '/')
		CHECK(!stat(path, &st));
	put_pair(&r, major(st.st_dev), minor(st.st_dev));
	put_word(&r, st.st_ino);
	put_word(&r, 0);
	put_pair(&r, prot, MAP_PRIVATE);
	put(&r, name, (strlen(name) + 8) / 8 * 8);
	feed_with_trailer(b, &r, pid, pid);
}

static void feed_exec(struct bench *b, uint32_t pid)
{
	struct bytes r = new_record(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);

	put_pair(&r, pid, pid);
	put(&r, "other\0\0", 8);
	feed_with_trailer(b, &r, pid, pid);
}

static void feed_name(struct bench *b, uint32_t pid, uint32_t tid, const char *name)
{
	struct bytes r = new_record(PERF_RECORD_COMM, 0);
	char comm[16] = "";

	strncpy(comm, name, sizeof(comm) - 1);
	put_pair(&r, pid, tid);
	put(&r, comm, sizeof(comm));
	feed_with_trailer(b, &r, pid, tid);
}

static void feed_exit(struct bench *b, uint32_t tid)
{
	struct bytes r = new_record(PERF_RECORD_EXIT, 0);

	put_pair(&r, PID, 1);
	put_pair(&r, tid, 1);
	put_word(&r, b->time);
	feed_with_trailer(b, &r, PID, tid);
}

static void feed_lost(struct bench *b)
{
	struct bytes r = new_record(PERF_RECORD_LOST, 0);

	put_word(&r, EVENT_ID);
	put_word(&r, 3);
	feed_with_trailer(b, &r, PID, PID);
}

/* Words of a chain, and the user ip at the time; 0: no registers. */
struct sample {
	unsigned int number;
	uint32_t tid;
	const uint64_t *words;
	size_t n;
	uint64_t user_ip;
	uint64_t id;		/* 0: ours */
	uint32_t cpu;
	uint64_t slow;		/* how much the clock is behind */
};

static void feed_sample(struct bench *b, uint32_t pid, const struct sample *s)
{
	struct bytes r = new_record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);

	put_word(&r, s->id ? s->id : EVENT_ID);
	put_word(&r, 0xffffffff81000000);
	put_pair(&r, pid, s->tid);
	b->time += 1000;
	put_word(&r, b->time - s->slow);
	put_pair(&r, s->cpu, 0);
	put_word(&r, s->number);
	put_word(&r, s->n);
	put(&r, s->words, s->n * 8);
	put_word(&r, s->user_ip ? PERF_SAMPLE_REGS_ABI_64 : PERF_SAMPLE_REGS_ABI_NONE);
	if (s->user_ip)
		put_word(&r, s->user_ip);
	feed(b, &r);
}

/* A sample inside the kernel, with two kernel frames. */
static void sample(struct bench *b, unsigned int number, uint32_t tid, uint64_t cookie)
{
	const uint64_t words[] = {
		(uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000, 0xffffffff81000100,
		PERFDATA_CONTEXT_USER_DEFERRED, cookie,
	};

	feed_sample(b, PID, &(struct sample){ number, tid, words, 5, CODE + 0x10 });
}

static void feed_chain(struct bench *b, uint32_t tid, uint64_t cookie, const uint64_t *ips, size_t n)
{
	struct bytes r = new_record(PERFDATA_RECORD_CALLCHAIN_DEFERRED, PERF_RECORD_MISC_USER);

	put_word(&r, cookie);
	put_word(&r, n);
	put(&r, ips, n * 8);
	feed_with_trailer(b, &r, PID, tid);
}

static void chain(struct bench *b, uint32_t tid, uint64_t cookie)
{
	feed_chain(b, tid, cookie, (uint64_t[]){ CODE + 0x10, CODE + 0x20, CODE + 0x30 }, 3);
}

static void take(void *arg, enum recorder_event kind, const void *data, uint32_t size)
{
	deferral_take(((struct bench *)arg)->deferral, data, size);
}

static void take_all(struct bench *b)
{
	deferral_drained(b->deferral);
	recorder_take(b->recorder, UINT64_MAX, take, b);
}

static void set_up(struct bench *b)
{
	struct perf_event_attr ring = perf_events_side_band_attr();
	int fd;

	b->time = 1000000;
	strcpy(b->path, "/tmp/test_native_XXXXXX");
	fd = mkstemp(b->path);
	CHECK(fd >= 0);
	close(fd);
	b->event = (struct session_event){ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK };
	b->options.events = &b->event;
	b->options.n_events = 1;
	b->options.frequency = 99;
	b->options.output = b->path;
	if (!b->options.max_depth)
		b->options.max_depth = 1024;
	CHECK_OK(recorder_create(&b->options, &b->recorder));
	CHECK_OK(recorder_open(b->recorder, &ring));
	CHECK_OK(dso_store_create(-1, NULL, &b->dsos));
	CHECK_OK(deferral_create(&(struct deferral_options){
		.recorder = b->recorder, .dsos = b->dsos, .max_depth = b->options.max_depth,
		.find_event = find_event, .is_ours = is_ours }, &b->deferral));
	feed_mmap(b, PID, CODE, CODE_SIZE, 0, PROT_READ | PROT_EXEC, "//anon");
}

static uint16_t why(void *arg, uint32_t tid, uint64_t cookie)
{
	return deferral_why_no_chain(arg, tid);
}

static void read_back(struct bench *b)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	struct perfdata_record r;

	CHECK_OK(perfdata_reader_open(b->path, &reader));
	unlink(b->path);
	while (perfdata_reader_next(reader, &r)) {
		struct outcome *o = &b->samples[r.sample.period % MAX_SAMPLES];

		if (r.type != PERF_RECORD_SAMPLE)
			continue;
		o->times++;
		o->reason = r.sample.reason;
		o->n_kernel = r.sample.n_kernel;
		o->n_user = r.sample.n_user;
		o->innermost = r.sample.n_user ? r.sample.user[0] : 0;
		o->outermost = r.sample.n_user ? r.sample.user[r.sample.n_user - 1] : 0;
	}
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
	b->file_bytes = perfdata_reader_file_size(reader);
}

/* Ends the session; the first n samples have been written once each. */
static void finish(struct bench *b, unsigned int n)
{
	struct session_stats stats;
	uint64_t missing = 0;

	take_all(b);
	recorder_give_up(b->recorder, why, b->deferral);
	recorder_stats(b->recorder, &stats);
	CHECK_U64(stats.samples, n);
	CHECK_U64(stats.samples, stats.no_user + stats.with_user_context);
	for (unsigned int i = 0; i < REASON_MAX; i++)
		if (reason_kind(i) == REASON_KIND_MISSING)
			missing += stats.reasons[i];
	CHECK_U64(stats.with_user_context, stats.stitched + missing);
	recorder_finish(b->recorder, NULL, 0);
	CHECK_OK(recorder_take_error(b->recorder));
	read_back(b);
	for (unsigned int i = 0; i < n; i++)
		CHECK_U64(b->samples[i].times, 1);
	deferral_destroy(b->deferral);
	dso_store_destroy(b->dsos);
	recorder_destroy(b->recorder);
}

static void check_whole(const struct bench *b, unsigned int number)
{
	CHECK_U64(b->samples[number].reason, REASON_BAD_FRAME_POINTER);	/* no table says where it ends */
	CHECK_U64(b->samples[number].n_user, 3);
	CHECK_U64(b->samples[number].n_kernel, 2);
	CHECK_U64(b->samples[number].innermost, CODE + 0x10);
	CHECK_U64(b->samples[number].outermost, CODE + 0x30);
}

static void check_missing(const struct bench *b, unsigned int number, enum reason reason)
{
	CHECK_U64(b->samples[number].reason, reason);
	CHECK_U64(b->samples[number].n_user, 0);
}

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

/* The other session's clock makes every sample older than the record before it. */
TEST(by_the_clock_of_another_session)
{
	const uint64_t ips[] = { CODE + 0x10, CODE + 0x20, CODE + 0x30 };
	struct bench b = { 0 };

	set_up(&b);
	for (unsigned int i = 0; i < 8; i++) {
		const uint64_t words[] = {
			(uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000, 0xffffffff81000100,
			PERFDATA_CONTEXT_USER_DEFERRED, 0x100000001 + i,
		};

		feed_sample(&b, PID, &(struct sample){ i, 5, words, 5, CODE + 0x10, OTHER_SESSION, 1, 100000 });
		feed_chain(&b, 5, 0x100000001 + i, ips, 3);
	}
	finish(&b, 8);
	for (unsigned int i = 0; i < 8; i++)
		check_whole(&b, i);
}

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

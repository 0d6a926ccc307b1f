/* SPDX-License-Identifier: MIT */
/* Records as the kernel writes them; see native_bench.h. */
#include "native_bench.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool find_event(const void *arg, uint64_t id, uint32_t *event)
{
	*event = 0;
	return id != NO_EVENT;
}

static bool is_ours(const void *arg, uint64_t id)
{
	return id == EVENT_ID;
}

static bool is_shared(const void *arg, uint64_t id)
{
	return true;
}

void feed(struct bench *b, const void *record)
{
	deferral_record(b->deferral, record);
}

void put(struct bytes *r, const void *data, size_t size)
{
	if (size)
		memcpy((unsigned char *)r + r->header.size, data, size);
	r->header.size += size;
}

void put_word(struct bytes *r, uint64_t word)
{
	put(r, &word, sizeof(word));
}

void put_pair(struct bytes *r, uint32_t first, uint32_t second)
{
	put_word(r, first | (uint64_t)second << 32);
}

/* The rings' trailer; every record is a microsecond younger than the one before. */
void feed_with_trailer(struct bench *b, struct bytes *r, uint32_t pid, uint32_t tid)
{
	put_pair(r, pid, tid);
	put_word(r, b->time += 1000);
	put_pair(r, 1, 0);
	put_word(r, EVENT_ID);
	feed(b, r);
}

struct bytes new_record(uint32_t type, uint16_t misc)
{
	return (struct bytes){ .header = { type, misc, sizeof(struct perf_event_header) } };
}

void feed_mmap(struct bench *b, uint32_t pid, uint64_t start, uint64_t size, uint64_t pgoff, uint32_t prot,
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

void feed_exec(struct bench *b, uint32_t pid)
{
	struct bytes r = new_record(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);

	put_pair(&r, pid, pid);
	put(&r, "other\0\0", 8);
	feed_with_trailer(b, &r, pid, pid);
}

void feed_name(struct bench *b, uint32_t pid, uint32_t tid, const char *name)
{
	struct bytes r = new_record(PERF_RECORD_COMM, 0);
	char comm[16] = "";

	strncpy(comm, name, sizeof(comm) - 1);
	put_pair(&r, pid, tid);
	put(&r, comm, sizeof(comm));
	feed_with_trailer(b, &r, pid, tid);
}

void feed_exit(struct bench *b, uint32_t tid)
{
	struct bytes r = new_record(PERF_RECORD_EXIT, 0);

	put_pair(&r, PID, 1);
	put_pair(&r, tid, 1);
	put_word(&r, b->time);
	feed_with_trailer(b, &r, PID, tid);
}

void feed_lost(struct bench *b)
{
	struct bytes r = new_record(PERF_RECORD_LOST, 0);

	put_word(&r, EVENT_ID);
	put_word(&r, 3);
	feed_with_trailer(b, &r, PID, PID);
}

void feed_sample(struct bench *b, uint32_t pid, const struct sample *s)
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
void sample(struct bench *b, unsigned int number, uint32_t tid, uint64_t cookie)
{
	const uint64_t words[] = {
		(uint64_t)PERF_CONTEXT_KERNEL, 0xffffffff81000000, 0xffffffff81000100,
		PERFDATA_CONTEXT_USER_DEFERRED, cookie,
	};

	feed_sample(b, PID, &(struct sample){ number, tid, words, 5, CODE + 0x10 });
}

void feed_chain(struct bench *b, uint32_t tid, uint64_t cookie, const uint64_t *ips, size_t n)
{
	struct bytes r = new_record(PERFDATA_RECORD_CALLCHAIN_DEFERRED, PERF_RECORD_MISC_USER);

	put_word(&r, cookie);
	put_word(&r, n);
	put(&r, ips, n * 8);
	feed_with_trailer(b, &r, PID, tid);
}

void chain(struct bench *b, uint32_t tid, uint64_t cookie)
{
	feed_chain(b, tid, cookie, (uint64_t[]){ CODE + 0x10, CODE + 0x20, CODE + 0x30 }, 3);
}

static void take(void *arg, enum recorder_event kind, const void *data, uint32_t size)
{
	deferral_take(((struct bench *)arg)->deferral, data, size);
}

void take_all(struct bench *b)
{
	deferral_drained(b->deferral);
	recorder_take(b->recorder, UINT64_MAX, take, b);
}

void set_up(struct bench *b)
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
		.find_event = find_event, .is_ours = is_ours, .is_shared = is_shared }, &b->deferral));
	feed_mmap(b, PID, CODE, CODE_SIZE, 0, PROT_READ | PROT_EXEC, "//anon");
}

uint16_t why(void *arg, uint32_t tid, uint64_t cookie)
{
	return deferral_why_no_chain(arg, tid, cookie);
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
void finish(struct bench *b, unsigned int n)
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

void check_whole(const struct bench *b, unsigned int number)
{
	CHECK_U64(b->samples[number].reason, REASON_BAD_FRAME_POINTER);	/* no table says where it ends */
	CHECK_U64(b->samples[number].n_user, 3);
	CHECK_U64(b->samples[number].n_kernel, 2);
	CHECK_U64(b->samples[number].innermost, CODE + 0x10);
	CHECK_U64(b->samples[number].outermost, CODE + 0x30);
}

void check_missing(const struct bench *b, unsigned int number, enum reason reason)
{
	CHECK_U64(b->samples[number].reason, reason);
	CHECK_U64(b->samples[number].n_user, 0);
}

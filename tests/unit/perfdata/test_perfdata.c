/* SPDX-License-Identifier: MIT */
/* What the writer writes, the reader reads: every kind of record, file and stream, cut anywhere. */
#include "temp.h"

#include "base/reason.h"
#include "perfdata/reader.h"

#include <errno.h>
#include <sys/resource.h>
#include <time.h>

static const struct sample_file_options variants[] = {
	{ .n_events = 1 },
	{ .n_events = 2 },
	{ .n_events = 1, .deferred = true },
	{ .n_events = 2, .deferred = true },
};
enum { N_VARIANTS = sizeof(variants) / sizeof(*variants) };

static void check_sample(const struct perfdata_record *r, unsigned int n, const struct sample_file_options *options)
{
	bool user_mode = sample_file_user_mode(n);

	CHECK_U64(r->type, PERF_RECORD_SAMPLE);
	CHECK_U64(r->misc, user_mode ? PERF_RECORD_MISC_USER : PERF_RECORD_MISC_KERNEL);
	CHECK_U64(r->time, sample_file_time(n));
	CHECK_U64(r->pid, SAMPLE_FILE_PID);
	CHECK_U64(r->tid, SAMPLE_FILE_TID);
	CHECK_U64(r->cpu, n % 2);
	CHECK_U64(r->sample.ip, user_mode ? sample_file_user_ip(n, 0) : sample_file_kernel_ip(n, 0));
	CHECK_U64(r->sample.period, 1000 + n);
	CHECK_U64(r->sample.cookie, n + 1);
	CHECK_U64(r->sample.event, n % options->n_events);
	CHECK(r->sample.has_extra);
	CHECK_U64(r->sample.reason, n == 2 ? REASON_MAX_DEPTH : REASON_NONE);
	CHECK_U64(r->sample.return_cpu, 1);
	CHECK_U64(r->sample.n_kernel, user_mode ? 0 : SAMPLE_FILE_KERNEL);
	CHECK_U64(r->sample.n_user, SAMPLE_FILE_USER);
	for (unsigned int i = 0; i < r->sample.n_kernel; i++)
		CHECK_U64(r->sample.kernel[i], sample_file_kernel_ip(n, i));
	for (unsigned int i = 0; i < r->sample.n_user; i++)
		CHECK_U64(r->sample.user[i], sample_file_user_ip(n, i));
}

static void check_mappings(struct perfdata_reader *reader)
{
	struct perfdata_record r;

	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, PERF_RECORD_MMAP2);
	CHECK_U64(r.time, 1200);
	CHECK_U64(r.pid, SAMPLE_FILE_PID);
	CHECK_U64(r.mmap.start, SAMPLE_FILE_TEXT);
	CHECK_U64(r.mmap.len, 0x10000);
	CHECK_U64(r.mmap.pgoff, 0x1000);
	CHECK_U64(r.mmap.prot, 5);
	CHECK_U64(r.mmap.maj, 8);
	CHECK_U64(r.mmap.min, 1);
	CHECK_U64(r.mmap.ino, 77);
	CHECK_U64(r.mmap.build_id_size, 0);
	CHECK_STR(r.mmap.filename, "/opt/program");
	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, PERF_RECORD_MMAP2);
	CHECK_U64(r.mmap.build_id_size, 20);
	CHECK(!memcmp(r.mmap.build_id, SAMPLE_FILE_BUILD_ID, 20));
	CHECK_U64(r.mmap.maj, 0);
	CHECK_U64(r.mmap.prot, 5);
	CHECK_STR(r.mmap.filename, "/opt/program");
}

static void check_start(struct perfdata_reader *reader)
{
	struct perfdata_record r;

	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, PERF_RECORD_MMAP2);
	CHECK_U64(r.pid, UINT32_MAX);
	CHECK_STR(r.mmap.filename, "[kernel.kallsyms]_stext");
	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, PERF_RECORD_COMM);
	CHECK_U64(r.time, 1100);
	CHECK(r.comm.exec);
	CHECK_STR(r.comm.comm, "program");
	check_mappings(reader);
	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, PERF_RECORD_FORK);
	CHECK_U64(r.time, 1400);
	CHECK_U64(r.tid, SAMPLE_FILE_TID);
	CHECK_U64(r.task.ptid, SAMPLE_FILE_PID);
	CHECK_U64(r.task.ppid, SAMPLE_FILE_PID);
}

static void check_records(struct perfdata_reader *reader, const struct sample_file_options *options)
{
	struct perfdata_record r;

	check_start(reader);
	for (unsigned int n = 0; n < SAMPLE_FILE_SAMPLES; n++) {
		CHECK(perfdata_reader_next(reader, &r));
		check_sample(&r, n, options);
	}
	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, PERF_RECORD_LOST);
	CHECK_U64(r.lost.lost, 17);
	CHECK(perfdata_reader_next(reader, &r));
	CHECK_U64(r.type, PERF_RECORD_EXIT);
	CHECK_U64(r.time, 5000);
	CHECK_U64(r.tid, SAMPLE_FILE_TID);
	CHECK(!perfdata_reader_next(reader, &r));
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
}

static void check_recording(const char *path, const struct sample_file_options *options)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	const struct perfdata_reader_event *events;
	const void *stats;
	size_t size;

	CHECK_OK(perfdata_reader_open(path, &reader));
	CHECK_U64(perfdata_reader_events(reader, &events), options->n_events);
	CHECK_STR(events[0].name, "cpu-clock");
	CHECK_U64(events[0].type, PERF_TYPE_SOFTWARE);
	CHECK_U64(events[0].frequency, 999);
	if (options->n_events > 1) {
		CHECK_STR(events[1].name, "my-faults");
		CHECK_U64(events[1].config, PERF_COUNT_SW_PAGE_FAULTS);
		CHECK_U64(events[1].frequency, 0);
	}
	check_records(reader, options);
	perfdata_reader_rewind(reader);
	check_records(reader, options);
	CHECK(perfdata_reader_os_release(reader) && *perfdata_reader_os_release(reader));
	if (options->unfinished) {
		CHECK(perfdata_reader_warning(reader));
		CHECK(!perfdata_reader_stats(reader, &stats, &size));
		return;
	}
	CHECK(!perfdata_reader_warning(reader));
	CHECK(perfdata_reader_stats(reader, &stats, &size));
	CHECK_U64(size, strlen(SAMPLE_FILE_STATS));
	CHECK(!memcmp(stats, SAMPLE_FILE_STATS, size));
}

TEST(a_file_reads_as_written)
{
	for (int i = 0; i < N_VARIANTS; i++) {
		const char *path = temp_path("whole");
		struct stat st;

		CHECK_OK(sample_file_write(path, &variants[i]));
		check_recording(path, &variants[i]);
		CHECK(!stat(path, &st));
		CHECK_U64(st.st_mode & 0777, 0600);
	}
}

TEST(a_stream_reads_as_written)
{
	for (int i = 0; i < N_VARIANTS; i++) {
		struct sample_file_options unfinished = variants[i];
		const char *path = temp_path("stream");

		temp_write_stream(path, &variants[i]);
		check_recording(path, &variants[i]);
		unfinished.unfinished = true;
		temp_write_stream(path, &unfinished);
		check_recording(path, &unfinished);
	}
}

TEST(a_pipe_is_read_from_standard_input)
{
	const char *path = temp_path("piped");
	char command[300];
	FILE *pipe;

	temp_write_stream(path, &variants[1]);
	snprintf(command, sizeof(command), "cat %s", path);
	pipe = popen(command, "r");
	CHECK(pipe && dup2(fileno(pipe), STDIN_FILENO) == STDIN_FILENO);
	check_recording("-", &variants[1]);
	pclose(pipe);
}

TEST(a_fifo_gets_a_stream)
{
	const char *path = temp_path("fifo");
	pid_t child;

	CHECK(!mkfifo(path, 0600));
	child = fork();
	if (child == 0) {
		struct error *err = sample_file_write(path, &variants[1]);

		_exit(err != NULL);
	}
	check_recording(path, &variants[1]);
	CHECK(waitpid(child, NULL, 0) == child);
}

TEST(an_unfinished_file_opens_to_its_last_record_with_a_warning)
{
	struct sample_file_options options = { .n_events = 1, .unfinished = true };
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	const char *path = temp_path("unfinished");

	CHECK_OK(sample_file_write(path, &options));
	CHECK_OK(perfdata_reader_open(path, &reader));
	CHECK(strstr(perfdata_reader_warning(reader), "not finished"));
	check_records(reader, &options);
}

TEST(a_recording_without_records_is_no_cut_one)
{
	static const struct perfdata_event event = { "cpu-clock", PERF_TYPE_SOFTWARE, 0, 99, 0 };
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = NULL;
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL, *cut = NULL;
	struct perfdata_writer_options options = { .events = &event, .n_events = 1 };
	const char *path = temp_path("empty");
	struct perfdata_record r;

	CHECK_OK(perfdata_writer_create(path, &options, &w));
	CHECK_OK(perfdata_reader_open(path, &cut));
	CHECK(perfdata_reader_warning(cut));
	CHECK_OK(perfdata_writer_finish(w));
	CHECK_OK(perfdata_reader_open(path, &reader));
	CHECK(!perfdata_reader_warning(reader));
	CHECK(!perfdata_reader_next(reader, &r));
}

/* Everything that can be read of it, to see that nothing crashes; the number of samples. */
static unsigned int read_all(struct perfdata_reader *reader)
{
	struct perfdata_record r;
	unsigned int samples = 0;

	while (perfdata_reader_next(reader, &r))
		samples += r.type == PERF_RECORD_SAMPLE;
	return samples;
}

static void check_cut(const unsigned char *data, size_t size, size_t whole)
{
	const char *path = temp_path("cut");
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	FILE *f = fopen(path, "w");
	struct error *err;

	CHECK(f && fwrite(data, 1, size, f) == size);
	fclose(f);
	err = perfdata_reader_open(path, &reader);
	if (err) {
		CHECK(strstr(err->text, path));
		error_free(err);
		return;
	}
	if (size < whole && !perfdata_reader_warning(reader)) {
		printf("# no warning at %zu of %zu bytes\n", size, whole);
		CHECK(perfdata_reader_warning(reader));
	}
	CHECK(read_all(reader) <= SAMPLE_FILE_SAMPLES);
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
}

TEST(a_file_cut_at_any_byte_gives_an_error_or_a_warning)
{
	for (int i = 0; i < N_VARIANTS; i++) {
		const char *path = temp_path("to-cut");
		size_t whole;
		unsigned char *data;

		CHECK_OK(sample_file_write(path, &variants[i]));
		data = temp_read(path, &whole);
		for (size_t size = 0; size <= whole; size++)
			check_cut(data, size, whole);
		free(data);
	}
}

/* Before its VERSION feature a stream does not tell whose it is: perf's have no end either. */
TEST(a_stream_cut_at_any_byte_gives_an_error_or_a_warning)
{
	for (int i = 0; i < N_VARIANTS; i++) {
		const char *path = temp_path("to-cut");
		size_t whole;
		unsigned char *data, *version;

		temp_write_stream(path, &variants[i]);
		data = temp_read(path, &whole);
		version = memmem(data, whole, "retour 0", 8);
		CHECK(version);
		for (size_t size = 0; size <= whole; size++)
			check_cut(data, size, size < (size_t)(version - data) + 64 ? size : whole);
		free(data);
	}
}

/* --- single properties --- */

static struct perfdata_writer *create(const char *path, bool deferred)
{
	static const struct perfdata_event event = { "cpu-clock", PERF_TYPE_SOFTWARE, 0, 999, 0 };
	struct perfdata_writer_options options = { .events = &event, .n_events = 1, .deferred_records = deferred };
	struct perfdata_writer *w;

	CHECK_OK(perfdata_writer_create(path, &options, &w));
	return w;
}

TEST(a_sample_of_25_frames_takes_at_most_300_bytes)
{
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = create(temp_path("size"), false);
	uint64_t user[25] = {0}, kernel[1] = {0}, before = perfdata_writer_bytes(w);
	struct perfdata_sample sample = { .time = 1, .user = user, .n_user = 25 };

	CHECK_OK(perfdata_writer_sample(w, &sample));
	CHECK(perfdata_writer_bytes(w) - before <= 300);
	before = perfdata_writer_bytes(w);
	sample = (struct perfdata_sample){ .time = 1, .user = user, .n_user = 24, .kernel = kernel, .n_kernel = 1 };
	CHECK_OK(perfdata_writer_sample(w, &sample));
	CHECK(perfdata_writer_bytes(w) - before <= 300);
}

TEST(a_chain_longer_than_a_record_is_cut_and_says_so)
{
	static uint64_t user[9000], kernel[9000];

	for (int deferred = 0; deferred < 2; deferred++) {
		struct perfdata_sample sample = { .time = 1, .cookie = 7, .tid = 1, .user = user, .n_user = 9000,
						  .kernel = kernel, .n_kernel = 20 };
		const char *path = temp_path("long");
		_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = create(path, deferred);
		_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
		struct perfdata_record r;

		for (unsigned int i = 0; i < 9000; i++) {
			user[i] = i + 1;
			kernel[i] = SAMPLE_FILE_KERNEL_TEXT + i;
		}
		CHECK_OK(perfdata_writer_sample(w, &sample));
		if (deferred)
			CHECK_OK(perfdata_writer_deferred(w, 1, 1, 2, 0, 7, user, 9000));
		sample.n_kernel = 9000;
		sample.cookie = 0;
		CHECK_OK(perfdata_writer_sample(w, &sample));
		CHECK_OK(perfdata_writer_finish(w));
		CHECK_OK(perfdata_reader_open(path, &reader));
		CHECK(perfdata_reader_next(reader, &r));
		CHECK_U64(r.sample.reason, REASON_MAX_DEPTH);
		CHECK_U64(r.sample.n_kernel, 20);
		CHECK(r.sample.n_user > 8100 && r.sample.n_user < 8191);
		CHECK_U64(r.sample.user[0], 1);
		CHECK_U64(r.sample.user[r.sample.n_user - 1], r.sample.n_user);
		CHECK(perfdata_reader_next(reader, &r));
		CHECK_U64(r.sample.reason, REASON_MAX_DEPTH);
		CHECK_U64(r.sample.n_user, 0);
		CHECK(r.sample.n_kernel > 8100);
	}
}

TEST(records_of_one_time_keep_their_order_and_those_without_time_their_place)
{
	const char *path = temp_path("order");
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = create(path, false);
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	static const struct {
		uint64_t time, want_ip;
	} samples[] = { { 30, 5 }, { 10, 2 }, { 20, 4 }, { 10, 3 }, { 0, 1 }, { 30, 6 } };
	struct perfdata_record r;

	for (size_t i = 0; i < sizeof(samples) / sizeof(*samples); i++)
		CHECK_OK(perfdata_writer_sample(w, &(struct perfdata_sample){
			.time = samples[i].time, .ip = samples[i].want_ip }));
	CHECK_OK(perfdata_writer_finish(w));
	CHECK_OK(perfdata_reader_open(path, &reader));
	for (uint64_t ip = 1; ip <= 6; ip++) {
		CHECK(perfdata_reader_next(reader, &r));
		CHECK_U64(r.sample.ip, ip);
	}
}

/* As a machine's rings are flushed: in turn for each CPU, a chunk of records that overlaps all others in time. */
TEST(chunks_of_many_cpus_are_read_in_order_of_time_without_reading_all_of_each_again)
{
	enum { CPUS = 64, PER_CHUNK = 2000 };
	const char *path = temp_path("chunks");
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = create(path, false);
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	uint64_t user[25] = {0}, time = 0;
	struct perfdata_record r;
	clock_t start;

	for (unsigned int cpu = 0; cpu < CPUS; cpu++)
		for (unsigned int i = 0; i < PER_CHUNK; i++)
			CHECK_OK(perfdata_writer_sample(w, &(struct perfdata_sample){
				.time = 1 + i * CPUS + cpu, .cpu = cpu, .user = user, .n_user = 25 }));
	CHECK_OK(perfdata_writer_finish(w));
	start = clock();
	CHECK_OK(perfdata_reader_open(path, &reader));
	while (perfdata_reader_next(reader, &r))
		CHECK_U64(r.time, ++time);
	CHECK_U64(time, CPUS * PER_CHUNK);
	/* 0.05 s; seconds if each jump reads far ahead. */
	CHECK(clock() - start < CLOCKS_PER_SEC);
}

static void put_deferred(struct perfdata_writer *w, uint32_t tid, uint64_t time, uint64_t cookie, uint64_t ip)
{
	CHECK_OK(perfdata_writer_deferred(w, tid, tid, time, 0, cookie, &ip, 1));
}

static void put_waiting(struct perfdata_writer *w, uint32_t tid, uint64_t time, uint64_t cookie, uint16_t reason)
{
	CHECK_OK(perfdata_writer_sample(w, &(struct perfdata_sample){
		.pid = tid, .tid = tid, .time = time, .cookie = cookie, .reason = reason }));
}

TEST(deferred_records_merge_by_tid_and_cookie_in_either_order)
{
	const char *path = temp_path("deferred");
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = create(path, true);
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	static const struct {
		uint64_t user;		/* 0: no chain */
		uint16_t reason;
	} want[] = {
		{ 0x111, REASON_NONE }, { 0x111, REASON_NONE }, { 0x222, REASON_NONE }, { 0x111, REASON_NONE },
		{ 0, REASON_RECORD_LOST }, { 0, REASON_EXEC }, { 0, REASON_RECORD_LOST },
		{ 0, REASON_KERNEL_THREAD }, { 0, REASON_RECORD_LOST },
	};
	struct perfdata_record r;

	put_waiting(w, 1, 10, 5, REASON_NONE);
	put_waiting(w, 1, 11, 5, REASON_NONE);
	put_deferred(w, 2, 12, 5, 0x222);
	put_waiting(w, 2, 13, 5, REASON_NONE);
	put_deferred(w, 1, 14, 5, 0x111);
	put_deferred(w, 1, 15, 5, 0x111);		/* a duplicate */
	put_waiting(w, 1, 16, 5, REASON_NONE);		/* after its record */
	put_waiting(w, 1, 17, 6, REASON_NONE);		/* whose record is lost */
	put_waiting(w, 1, 18, 7, REASON_EXEC);		/* that never gets one */
	put_waiting(w, 3, 19, 5, REASON_MAX_DEPTH);	/* truncated, and then lost */
	put_waiting(w, 3, 20, 0, REASON_KERNEL_THREAD);	/* that asked for none */
	put_deferred(w, 9, 21, 9, 0x999);		/* that nobody asked for */
	put_waiting(w, 4, 22, 8, REASON_NONE);		/* whose record is empty */
	CHECK_OK(perfdata_writer_deferred(w, 4, 4, 23, 0, 8, NULL, 0));
	CHECK_OK(perfdata_writer_finish(w));
	CHECK_OK(perfdata_reader_open(path, &reader));
	for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++) {
		CHECK(perfdata_reader_next(reader, &r));
		CHECK_U64(r.sample.n_user, want[i].user != 0);
		CHECK_U64(r.sample.reason, want[i].reason);
		if (want[i].user)
			CHECK_U64(r.sample.user[0], want[i].user);
	}
	CHECK(!perfdata_reader_next(reader, &r));
}

TEST(deferred_records_must_be_announced)
{
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = create(temp_path("refused"), false);
	struct error *err = perfdata_writer_deferred(w, 1, 1, 1, 0, 1, NULL, 0);

	CHECK(err && err->code == EINVAL);
	error_free(err);
}

/* A stream has them in several records: it is cut until the last is there. */
TEST(statistics_may_be_longer_than_a_record)
{
	static unsigned char stats[200001];

	for (size_t i = 0; i < sizeof(stats); i++)
		stats[i] = (unsigned char)(i * 7 + i / 256);
	for (int stream = 0; stream < 2; stream++) {
		const char *path = temp_path("stats");
		_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL, *cut = NULL;
		int saved = dup(STDOUT_FILENO), fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
		struct perfdata_writer *w;
		const void *data;
		size_t size;

		CHECK(dup2(fd, STDOUT_FILENO) >= 0);
		w = create(stream ? "-" : path, false);
		dup2(saved, STDOUT_FILENO);
		CHECK_OK(perfdata_writer_set_stats(w, stats, sizeof(stats)));
		CHECK_OK(perfdata_writer_finish(w));
		CHECK_OK(perfdata_reader_open(path, &reader));
		CHECK(!perfdata_reader_warning(reader));
		CHECK(perfdata_reader_stats(reader, &data, &size));
		CHECK_U64(size, sizeof(stats));
		CHECK(!memcmp(data, stats, size));
		/* The last record of a stream's statistics: what is over of 65512 bytes each. */
		CHECK(!truncate(path, (off_t)perfdata_writer_bytes(w) - (16 + (200001 % 65512 + 7) / 8 * 8)));
		CHECK_OK(perfdata_reader_open(path, &cut));
		CHECK(perfdata_reader_warning(cut));
		perfdata_writer_close(w);
		close(saved);
		close(fd);
	}
}

TEST(a_file_that_shrinks_while_it_is_read_is_counted)
{
	const char *path = temp_path("shrinks");
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = create(path, false);
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	uint64_t user[20] = {0};
	unsigned int samples;

	for (unsigned int i = 0; i < 20000; i++)
		CHECK_OK(perfdata_writer_sample(w, &(struct perfdata_sample){
			.time = i, .user = user, .n_user = 20 }));
	CHECK_OK(perfdata_writer_finish(w));
	CHECK_OK(perfdata_reader_open(path, &reader));
	CHECK(!truncate(path, 1500000));
	samples = read_all(reader);
	CHECK(samples > 5000 && samples < 19000);
	CHECK_U64(samples + perfdata_reader_corrupt(reader), 20000);
}

/* --- errors --- */

static void limit_file_size(rlim_t size)
{
	signal(SIGXFSZ, SIG_IGN);
	CHECK(!setrlimit(RLIMIT_FSIZE, &(struct rlimit){ size, size }));
}

static void check_error_names(struct error *err, const char *path)
{
	CHECK(err && strstr(err->text, path));
	error_free(err);
}

TEST(a_full_disk_leaves_whole_records)
{
	const char *path = temp_path("full");
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	struct perfdata_writer *w = create(path, false);
	uint64_t user[20] = {0}, head = perfdata_writer_bytes(w), size = 0;
	struct error *err = NULL;
	struct stat st;

	limit_file_size(3000003);
	for (unsigned int i = 0; !err && i < 100000; i++) {
		err = perfdata_writer_sample(w, &(struct perfdata_sample){ .time = i, .user = user, .n_user = 20 });
		if (!size)
			size = perfdata_writer_bytes(w) - head;
	}
	CHECK(err && err->code == EFBIG);
	check_error_names(err, path);
	check_error_names(perfdata_writer_finish(w), path);
	perfdata_writer_close(w);
	CHECK(!stat(path, &st));
	CHECK_U64(((uint64_t)st.st_size - head) % size, 0);
	CHECK_OK(perfdata_reader_open(path, &reader));
	CHECK(strstr(perfdata_reader_warning(reader), "not finished"));
	CHECK_U64(read_all(reader), (3000003 - head) / size);
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
}

TEST(a_disk_that_is_full_at_the_end_takes_no_feature_for_a_record)
{
	const char *path = temp_path("almost");
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	struct perfdata_writer *w = create(path, false);

	for (unsigned int i = 0; i < 100; i++)
		CHECK_OK(perfdata_writer_sample(w, &(struct perfdata_sample){ .time = i }));
	limit_file_size(perfdata_writer_bytes(w) + 300);
	check_error_names(perfdata_writer_finish(w), path);
	perfdata_writer_close(w);
	CHECK_OK(perfdata_reader_open(path, &reader));
	CHECK(strstr(perfdata_reader_warning(reader), "feature sections are missing"));
	CHECK_U64(read_all(reader), 100);
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
}

static void check_refused(const char *path, const char *content, size_t size, const char *why)
{
	struct perfdata_reader *reader = NULL;
	FILE *f = content ? fopen(path, "w") : NULL;
	struct error *err;

	if (f) {
		fwrite(content, 1, size, f);
		fclose(f);
	}
	err = perfdata_reader_open(path, &reader);
	CHECK(err);
	CHECK(strstr(err->text, path) && strstr(err->text, why));
	error_free(err);
}

TEST(what_is_no_recording_is_refused_by_name)
{
	check_refused(temp_path("absent"), NULL, 0, "No such file");
	check_refused(temp_dir, NULL, 0, "directory");
	check_refused(temp_path("nothing"), "", 0, "empty");
	check_refused(temp_path("text"), "What is this? Not a recording.", 30, "not a perf.data file");
	check_refused(temp_path("swapped"), "2ELIFREP\0\0\0\0\0\0\0h", 16, "byte order");
	check_refused(temp_path("compressed"),
		      "PERFILE2\x10\0\0\0\0\0\0\0\x51\0\0\0\0\0\x08\0", 24, "compressed");
	check_refused(temp_path("bare"), "PERFILE2\x10\0\0\0\0\0\0\0", 16, "no events");
}

int main(int argc, char **argv)
{
	int status;

	temp_init();
	status = test_main(argc, argv);
	temp_remove();
	return status;
}

/* SPDX-License-Identifier: MIT */
/* With Debian's perf: it reads our recordings without a word on stderr, and we read its. */
#include "temp.h"

#include "perfdata/reader.h"

#include <inttypes.h>
#include <stdarg.h>

/* Runs a command in temp_dir with stdout and stderr to the files "out" and "err"; its exit status. */
__attribute__((format(printf, 1, 2)))
static int run(const char *fmt, ...)
{
	char command[1024], *whole;
	va_list ap;
	int status;

	va_start(ap, fmt);
	vsnprintf(command, sizeof(command), fmt, ap);
	va_end(ap);
	CHECK(asprintf(&whole, "cd %s && export HOME=$PWD && { %s; } </dev/null >out 2>err",
		       temp_dir, command) > 0);
	status = system(whole);
	free(whole);
	return status;
}

static void need_perf(void)
{
	if (run("perf --version"))
		SKIP("perf is not installed");
}

static void check_silent(int status, const char *what)
{
	size_t size;
	char *err = (char *)temp_read(temp_path("err"), &size);

	if (status || size)
		printf("# %s: status %d, stderr: %s\n", what, status, err);
	CHECK(!status && !size);
	free(err);
}

/* What perf's raw dump says of a sample. */
struct dumped {
	uint64_t ips[1024];
	size_t n;
	uint32_t pid, tid;
};

/* The next sample of a `perf script -D`; false at the end. */
static bool next_dumped(FILE *f, struct dumped *ret)
{
	char line[4096];
	bool sample = false;
	long at;

	ret->n = 0;
	for (at = ftell(f); fgets(line, sizeof(line), f); at = ftell(f)) {
		const char *record = strstr(line, "PERF_RECORD_");
		uint64_t ip;

		if (record && sample) {
			fseek(f, at, SEEK_SET);
			return true;
		}
		if (record && sscanf(record, "PERF_RECORD_SAMPLE(IP, 0x%*x): %u/%u", &ret->pid, &ret->tid) == 2)
			sample = true;
		if (sample && ret->n < 1024 && sscanf(line, "..... %*u: %" SCNx64, &ip) == 1)
			ret->ips[ret->n++] = ip;
	}
	return sample;
}

/* perf's list has the context markers in it, ours not. */
static void check_same_chain(const struct dumped *dumped, const struct perfdata_record *r)
{
	size_t kernel = 0, user = 0;
	bool in_kernel = true;

	CHECK_U64(r->pid, dumped->pid);
	CHECK_U64(r->tid, dumped->tid);
	for (size_t i = 0; i < dumped->n; i++) {
		if (dumped->ips[i] >= (uint64_t)PERF_CONTEXT_MAX) {
			in_kernel = dumped->ips[i] == (uint64_t)PERF_CONTEXT_KERNEL;
		} else if (in_kernel) {
			CHECK(kernel < r->sample.n_kernel);
			CHECK_U64(r->sample.kernel[kernel++], dumped->ips[i]);
		} else {
			CHECK(user < r->sample.n_user);
			CHECK_U64(r->sample.user[user++], dumped->ips[i]);
		}
	}
	CHECK_U64(kernel, r->sample.n_kernel);
	CHECK_U64(user, r->sample.n_user);
}

/* Every sample's chain as perf dumps it and as we read it; the number of samples. */
static unsigned int compare_with_dump(const char *name)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	static struct dumped dumped;
	struct perfdata_record r;
	unsigned int samples = 0;
	FILE *f;

	CHECK(!run("perf script -D -i %s", name));
	CHECK_OK(perfdata_reader_open(temp_path(name), &reader));
	CHECK(!perfdata_reader_warning(reader));
	f = fopen(temp_path("out"), "r");
	CHECK(f);
	while (perfdata_reader_next(reader, &r)) {
		if (r.type != PERF_RECORD_SAMPLE)
			continue;
		CHECK(next_dumped(f, &dumped));
		check_same_chain(&dumped, &r);
		samples++;
	}
	CHECK(!next_dumped(f, &dumped));
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
	fclose(f);
	return samples;
}

TEST(perf_reads_our_files_in_silence)
{
	need_perf();
	for (size_t n_events = 1; n_events <= 2; n_events++) {
		struct sample_file_options options = { .n_events = n_events, .nothing_lost = true };

		CHECK_OK(sample_file_write(temp_path("ours"), &options));
		check_silent(run("perf script -i ours"), "perf script");
		check_silent(run("perf script --header -i ours"), "perf script --header");
		check_silent(run("perf report --stdio -i ours"), "perf report");
		check_silent(run("perf evlist -v -i ours"), "perf evlist");
		CHECK_U64(compare_with_dump("ours"), SAMPLE_FILE_SAMPLES);
	}
}

TEST(perf_shows_what_we_wrote)
{
	struct sample_file_options options = { .n_events = 2, .nothing_lost = true };
	char *out;

	need_perf();
	CHECK_OK(sample_file_write(temp_path("shown"), &options));
	check_silent(run("perf script --header -F comm,tid,cpu,time,period,event,ip -i shown"), "perf script");
	out = (char *)temp_read(temp_path("out"), NULL);
	CHECK(strstr(out, "# cmdline : retour record -a"));
	CHECK(strstr(out, "# perf version : retour "));
	CHECK(strstr(out, "# event : name = my-faults"));
	CHECK(strstr(out, "use_clockid = 1") && strstr(out, ", clockid = 1"));
	CHECK(strstr(out, "# clockid frequency: 1000 MHz"));
	CHECK(strstr(out, "program    43 [000]     0.000002:       1000 cpu-clock:"));
	CHECK(strstr(out, "my-faults:"));
	CHECK(strstr(out, "ffffffff81000010"));
	free(out);
}

TEST(perf_reads_our_streams_in_silence)
{
	need_perf();
	for (size_t n_events = 1; n_events <= 2; n_events++) {
		struct sample_file_options options = { .n_events = n_events, .nothing_lost = true };
		_cleanup_free_ char *from_file = NULL, *from_stream = NULL;

		CHECK_OK(sample_file_write(temp_path("file"), &options));
		temp_write_stream(temp_path("stream"), &options);
		check_silent(run("perf script -i file"), "perf script of a file");
		from_file = (char *)temp_read(temp_path("out"), NULL);
		check_silent(run("cat stream | perf script -i -"), "perf script of a stream");
		from_stream = (char *)temp_read(temp_path("out"), NULL);
		CHECK_STR(from_stream, from_file);
	}
}

static unsigned int count_lines(const char *text, const char *with)
{
	unsigned int n = 0;

	for (const char *at = text; (at = strstr(at, with)) != NULL; at++)
		n++;
	return n;
}

/* In a stream perf takes no description of what comes later, but its samples. */
TEST(perf_shows_tracepoints)
{
	struct sample_file_options options = { .n_events = 1, .nothing_lost = true, .tracepoints = true };
	char *out;

	need_perf();
	CHECK_OK(sample_file_write(temp_path("traced"), &options));
	check_silent(run("perf script -i traced"), "perf script of a file");
	out = (char *)temp_read(temp_path("out"), NULL);
	CHECK_U64(count_lines(out, "app:request: id="), 6);
	CHECK_U64(count_lines(out, "app:request: id=-1 path=" SAMPLE_FILE_TEXT_OF_PATH "\n"), 2);
	CHECK_U64(count_lines(out, "app:late: id=-1\n"), 1);
	free(out);
	temp_write_stream(temp_path("traced"), &options);
	check_silent(run("cat traced | perf script -i -"), "perf script of a stream");
	out = (char *)temp_read(temp_path("out"), NULL);
	CHECK_U64(count_lines(out, "app:request: id="), 6);
	CHECK_U64(count_lines(out, "app:request: id=-1 path=" SAMPLE_FILE_TEXT_OF_PATH "\n"), 2);
	CHECK_U64(count_lines(out, "app:late:"), 3);
	free(out);
}

/* It warns that it is cut, and reads what there is. */
TEST(perf_reads_cut_files_with_tracepoints)
{
	struct sample_file_options options = { .n_events = 1, .nothing_lost = true, .tracepoints = true, .unfinished = true };
	char *out;

	need_perf();
	CHECK_OK(sample_file_write(temp_path("cut"), &options));
	CHECK(!run("perf script -F comm,tid,period -i cut"));
	out = (char *)temp_read(temp_path("out"), NULL);
	CHECK_U64(count_lines(out, "program "), SAMPLE_FILE_SAMPLES + 9);
	free(out);
}

/*
 * Debian's perf may crash (build-id.c:1010, a smashed stack) while it collects
 * build IDs, which -B prevents, and also when it reads what it recorded while
 * BPF programs came and went on the machine.
 */
static void perf_record(const char *options)
{
	need_perf();
	if (!run("perf record -q -B -F 999 %s -o theirs -- "
		 "sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; ls -R /usr/lib >/dev/null'", options) &&
	    !run("perf script -D -i theirs"))
		return;
	printf("# %s\n", (char *)temp_read(temp_path("err"), NULL));
	SKIP("perf does not record here, or nothing that it can read itself");
}

TEST(we_read_perf_record_g)
{
	perf_record("-e cpu-clock -g");
	CHECK(compare_with_dump("theirs") > 10);
}

TEST(we_read_perf_record_of_the_machine_with_several_events)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	const struct perfdata_reader_event *events;
	unsigned int n[2] = {0};
	struct perfdata_record r;

	perf_record("-a -g -e cpu-clock,page-faults");
	CHECK(compare_with_dump("theirs") > 10);
	CHECK_OK(perfdata_reader_open(temp_path("theirs"), &reader));
	CHECK(perfdata_reader_events(reader, &events) >= 2);
	CHECK_STR(events[0].name, "cpu-clock");
	CHECK_STR(events[1].name, "page-faults");
	while (perfdata_reader_next(reader, &r)) {
		if (r.type != PERF_RECORD_SAMPLE)
			continue;
		CHECK(r.sample.event < 2);
		CHECK(!r.sample.has_extra && r.sample.reason == 0);
		n[r.sample.event]++;
	}
	CHECK(n[0] > 10 && n[1] > 0);
}

TEST(a_sample_without_a_chain_is_one_frame)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	unsigned int samples = 0;
	struct perfdata_record r;

	perf_record("-e cpu-clock");
	CHECK_OK(perfdata_reader_open(temp_path("theirs"), &reader));
	while (perfdata_reader_next(reader, &r)) {
		if (r.type != PERF_RECORD_SAMPLE)
			continue;
		CHECK_U64(r.sample.n_kernel + r.sample.n_user, 1);
		CHECK_U64(r.sample.n_kernel ? r.sample.kernel[0] : r.sample.user[0], r.sample.ip);
		samples++;
	}
	CHECK(samples > 10);
}

TEST(we_read_what_perf_pipes)
{
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	unsigned int samples = 0, comms = 0;
	struct perfdata_record r;

	need_perf();
	if (run("perf record -q -F 999 -e cpu-clock -g -o - -- ls -R /usr/lib | cat >piped && test -s piped"))
		SKIP("perf record does not work here");
	CHECK_OK(perfdata_reader_open(temp_path("piped"), &reader));
	while (perfdata_reader_next(reader, &r)) {
		samples += r.type == PERF_RECORD_SAMPLE;
		comms += r.type == PERF_RECORD_COMM;
	}
	CHECK(samples > 0 && comms > 0);
	CHECK_U64(perfdata_reader_corrupt(reader), 0);
}

int main(int argc, char **argv)
{
	int status;

	temp_init();
	status = test_main(argc, argv);
	temp_remove();
	return status;
}

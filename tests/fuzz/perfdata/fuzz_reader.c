/* SPDX-License-Identifier: MIT */
/*
 * Damaged recordings through reader and process tracker: no input may crash
 * them, hang them or make them give out a record that is not sane.
 *
 * With -DFUZZ_LIBFUZZER (clang -fsanitize=fuzzer) libFuzzer drives it.  Else
 * main() mutates recordings of every kind with a fixed seed, or runs the files
 * named on the command line.
 */
#include "../../unit/perfdata/sample_file.h"
#include "../random.h"

#include "perfdata/process.h"
#include "perfdata/reader.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint64_t sink;	/* keeps the reads of what is pointed to */

static void use_words(const uint64_t *words, size_t n)
{
	for (size_t i = 0; i < n; i++)
		sink += words[i];
}

static void use_fields(const struct tracing_event *tp, const unsigned char *raw, size_t size)
{
	struct tracing_value value;

	if (!tp)
		return;
	sink += strlen(tp->name) + strlen(tp->system);
	vec_each(&tp->fields, field) {
		if (!tracing_value(field, raw, size, &value))
			continue;
		for (size_t i = 0; i < value.len; i++)
			sink += (unsigned char)value.text[i];
		sink += (uint64_t)value.number + (value.real > 0);
	}
}

static void use_record(const struct perfdata_reader *reader, struct process_tracker *tracker, const struct perfdata_record *r, size_t n_events)
{
	const struct process_mapping *map;

	process_tracker_feed(tracker, r);
	sink += strlen(process_tracker_comm(tracker, r->pid, r->tid));
	if (r->type != PERF_RECORD_SAMPLE)
		return;
	if (r->sample.event >= n_events)
		abort();
	use_words(r->sample.kernel, r->sample.n_kernel);
	use_words(r->sample.user, r->sample.n_user);
	use_fields(perfdata_reader_tracepoint(reader, r->sample.event), r->sample.raw, r->sample.raw_size);
	map = process_tracker_find(tracker, r->pid, r->sample.ip);
	if (map && (map->start > r->sample.ip || map->end <= r->sample.ip))
		abort();
	sink += map ? strlen(map->path) : 0;
}

static void use_reader(struct perfdata_reader *reader)
{
	_cleanup_(process_tracker_destroyp) struct process_tracker *tracker = process_tracker_create();
	const struct perfdata_reader_event *events;
	size_t n_events = perfdata_reader_events(reader, &events), size;
	struct perfdata_record r;
	const void *stats;
	uint64_t time = 0;

	for (size_t i = 0; i < n_events; i++)
		sink += strlen(events[i].name);
	while (tracker && perfdata_reader_next(reader, &r)) {
		if (r.time < time)
			abort();
		time = r.time;
		use_record(reader, tracker, &r, n_events);
	}
	if (perfdata_reader_stats(reader, &stats, &size))
		for (size_t i = 0; i < size; i++)
			sink += ((const unsigned char *)stats)[i];
	if (perfdata_reader_warning(reader))
		sink += strlen(perfdata_reader_warning(reader));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_close_ int fd = memfd_create("recording", MFD_CLOEXEC);
	_cleanup_(perfdata_reader_closep) struct perfdata_reader *reader = NULL;
	struct error *err;
	char path[64];

	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	err = perfdata_reader_open(path, &reader);
	if (!err)
		use_reader(reader);
	else if (!strstr(err->text, path))
		abort();	/* errors name the file */
	error_free(err);
	return 0;
}

#ifndef FUZZ_LIBFUZZER

#define MAX_SIZE 65536

/* Words that lengths, offsets and counts like least. */
static uint64_t nasty(void)
{
	static const uint64_t words[] = {
		0, 1, 7, 8, 16, 24, 104, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xffffffff, 1ULL << 32,
		INT64_MAX, UINT64_MAX, UINT64_MAX - 7, (uint64_t)PERF_CONTEXT_USER, PERFDATA_CONTEXT_USER_DEFERRED,
	};

	return words[random_below(sizeof(words) / sizeof(*words))];
}

static size_t mutate_once(unsigned char *data, size_t size)
{
	uint32_t at = random_below((uint32_t)size);
	size_t width = 1u << random_below(4), from, len;
	uint64_t word = nasty();

	switch (random_below(6)) {
	case 0:
		data[at] ^= (unsigned char)(1u << random_below(8));
		break;
	case 1:
		data[at] = (unsigned char)random_below(256);
		break;
	case 2:
	case 3:	/* an aligned field */
		at &= (uint32_t)~(width - 1);
		memcpy(data + at, &word, size - at < width ? size - at : width);
		break;
	case 4:
		if (random_below(4) == 0)
			size = at + 1;
		break;
	case 5:
		from = random_below((uint32_t)size) & ~7u;
		at &= ~7u;
		len = random_below(64);
		if (from + len <= size && at + len <= size)
			memmove(data + at, data + from, len);
		break;
	}
	return size;
}

static size_t read_file(const char *path, unsigned char *data)
{
	FILE *f = fopen(path, "r");
	size_t size = f ? fread(data, 1, MAX_SIZE, f) : 0;

	if (!f || !size) {
		perror(path);
		exit(1);
	}
	fclose(f);
	return size;
}

enum { KINDS = 16 };

/* A recording of each kind: one or two events, merged or deferred, file or stream, with tracepoints or without. */
static size_t make_seed(unsigned int kind, unsigned char *data)
{
	struct sample_file_options options = {
		.n_events = 1 + (kind & 1), .deferred = kind & 2, .tracepoints = kind & 8,
	};
	char path[] = "/tmp/retour-fuzz-XXXXXX";
	int fd = mkstemp(path), saved = dup(STDOUT_FILENO);
	struct error *err;
	size_t size;

	if (kind & 4)
		dup2(fd, STDOUT_FILENO);
	err = sample_file_write(kind & 4 ? "-" : path, &options);
	dup2(saved, STDOUT_FILENO);
	if (err) {
		fprintf(stderr, "%s\n", err->text);
		exit(1);
	}
	size = read_file(path, data);
	unlink(path);
	close(saved);
	close(fd);
	return size;
}

int main(int argc, char **argv)
{
	static unsigned char seeds[KINDS][MAX_SIZE], data[MAX_SIZE];
	size_t sizes[KINDS];
	unsigned int rounds = 50000;

	for (int i = 1; i < argc; i++)
		LLVMFuzzerTestOneInput(data, read_file(argv[i], data));
	if (argc > 1)
		return 0;
	for (unsigned int kind = 0; kind < KINDS; kind++)
		sizes[kind] = make_seed(kind, seeds[kind]);
	for (unsigned int round = 0; round < rounds; round++) {
		size_t size = sizes[round % KINDS];

		memcpy(data, seeds[round % KINDS], size);
		for (uint32_t n = 1 + random_below(8); n; n--)
			size = mutate_once(data, size);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("1..1\nok 1 %u_damaged_recordings\n", rounds);
	return 0;
}

#endif

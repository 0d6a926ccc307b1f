/* SPDX-License-Identifier: MIT */
/* Writes the recording of sample_file.h. */
#include "sample_file.h"

#include "base/reason.h"

#include <stdio.h>
#include <string.h>

uint64_t sample_file_user_ip(unsigned int n, unsigned int i)
{
	return SAMPLE_FILE_TEXT + n * 0x100 + i * 0x10;
}

uint64_t sample_file_kernel_ip(unsigned int n, unsigned int i)
{
	return SAMPLE_FILE_KERNEL_TEXT + n * 0x100 + i * 0x10;
}

uint64_t sample_file_time(unsigned int n)
{
	return 2000 + 10 * n;
}

bool sample_file_user_mode(unsigned int n)
{
	return n % 3 == 1;
}

static struct error *write_mappings(struct perfdata_writer *w)
{
	struct sample_file_mmap map = {
		.pid = SAMPLE_FILE_PID, .tid = SAMPLE_FILE_PID, .start = SAMPLE_FILE_TEXT, .len = 0x10000,
		.pgoff = 0x1000, .maj = 8, .min = 1, .ino = 77, .prot = 5, .flags = 2, .path = "/opt/program",
	};
	struct sample_file_mmap kernel = {
		.pid = UINT32_MAX, .start = SAMPLE_FILE_KERNEL_TEXT, .len = 0x1000000,
		.pgoff = SAMPLE_FILE_KERNEL_TEXT, .prot = 5, .path = "[kernel.kallsyms]_stext",
	};
	struct error *err = perfdata_writer_record(w, PERF_RECORD_MMAP2, PERF_RECORD_MISC_KERNEL, &kernel,
						   sizeof(kernel), UINT32_MAX, 0, 900, 0);

	if (!err)
		err = perfdata_writer_record(w, PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER, &map, sizeof(map),
					     SAMPLE_FILE_PID, SAMPLE_FILE_PID, 1200, 0);
	if (err)
		return err;
	map.start += map.len;
	map.size = sizeof(map.build_id);
	memcpy(map.build_id, SAMPLE_FILE_BUILD_ID, sizeof(map.build_id));
	return perfdata_writer_record(w, PERF_RECORD_MMAP2, PERF_RECORD_MISC_USER | PERF_RECORD_MISC_MMAP_BUILD_ID,
				      &map, sizeof(map), SAMPLE_FILE_PID, SAMPLE_FILE_PID, 1300, 1);
}

static struct error *write_tasks(struct perfdata_writer *w)
{
	struct sample_file_comm comm = { SAMPLE_FILE_PID, SAMPLE_FILE_PID, "program" };
	struct sample_file_task fork = { SAMPLE_FILE_PID, SAMPLE_FILE_PID, SAMPLE_FILE_TID, SAMPLE_FILE_PID, 1400 };
	struct error *err = perfdata_writer_record(w, PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC, &comm,
						   sizeof(comm), SAMPLE_FILE_PID, SAMPLE_FILE_PID, 1100, 0);

	if (!err)
		err = perfdata_writer_record(w, PERF_RECORD_FORK, 0, &fork, sizeof(fork), SAMPLE_FILE_PID,
					     SAMPLE_FILE_PID, fork.time, 0);
	return err;
}

static struct error *write_deferred(struct perfdata_writer *w, unsigned int n)
{
	uint64_t user[SAMPLE_FILE_USER];

	for (unsigned int i = 0; i < SAMPLE_FILE_USER; i++)
		user[i] = sample_file_user_ip(n, i);
	return perfdata_writer_deferred(w, SAMPLE_FILE_PID, SAMPLE_FILE_TID, sample_file_time(n) + 5, 1, n + 1,
					user, SAMPLE_FILE_USER);
}

static struct error *write_sample(struct perfdata_writer *w, unsigned int n, size_t n_events)
{
	uint64_t user[SAMPLE_FILE_USER], kernel[SAMPLE_FILE_KERNEL];
	struct perfdata_sample sample = {
		.time = sample_file_time(n), .period = 1000 + n, .cookie = n + 1,
		.pid = SAMPLE_FILE_PID, .tid = SAMPLE_FILE_TID, .cpu = n % 2, .event = n % n_events,
		.reason = n == 2 ? REASON_MAX_DEPTH : REASON_NONE, .return_cpu = 1,
		.user_mode = sample_file_user_mode(n), .kernel = kernel, .user = user, .n_user = SAMPLE_FILE_USER,
		.n_kernel = sample_file_user_mode(n) ? 0 : SAMPLE_FILE_KERNEL,
	};

	for (unsigned int i = 0; i < SAMPLE_FILE_USER; i++)
		user[i] = sample_file_user_ip(n, i);
	for (unsigned int i = 0; i < SAMPLE_FILE_KERNEL; i++)
		kernel[i] = sample_file_kernel_ip(n, i);
	sample.ip = sample.user_mode ? user[0] : kernel[0];
	return perfdata_writer_sample(w, &sample);
}

static struct error *write_samples(struct perfdata_writer *w, const struct sample_file_options *options)
{
	struct error *err = NULL;

	for (unsigned int i = 0; !err && i < SAMPLE_FILE_SAMPLES; i++) {
		unsigned int n = i ^ 1;

		if (options->deferred && n % 2)
			err = write_deferred(w, n);
		if (!err)
			err = write_sample(w, n, options->n_events);
		if (!err && options->deferred && n % 2 == 0)
			err = write_deferred(w, n);
	}
	return err;
}

static struct error *add_tracepoint(struct perfdata_writer *w, const char *name, bool has_path, uint32_t *ret,
				    uint16_t *type)
{
	struct tracing_event event = { .system = "app" };
	struct error *err = NULL;

	strcpy(event.name, name);
	if (!vec_push(&event.fields, (struct tracing_field){ "id", "int", 8, 4, TRACING_SIGNED }) ||
	    (has_path && !vec_push(&event.fields, (struct tracing_field){ "path", "const char *", 12, 4, TRACING_STRING })))
		err = error_nomem();
	if (!err)
		err = perfdata_writer_add_tracepoint(w, &event, ret);
	*type = (uint16_t)event.id;
	vec_free(&event.fields);
	return err;
}

static struct error *write_hits(struct perfdata_writer *w, uint32_t event, uint16_t type, uint64_t time)
{
	struct error *err = NULL;

	for (int id = -1; !err && id <= 1; id++) {
		const struct sample_file_raw raw = {
			.type = type, .pid = SAMPLE_FILE_TID, .id = id, .path = 16 | 8 << 16, .text = SAMPLE_FILE_TEXT_OF_PATH,
		};
		uint64_t user = SAMPLE_FILE_TEXT;
		struct perfdata_sample sample = {
			.ip = user, .time = time++, .period = 1, .pid = SAMPLE_FILE_PID, .tid = SAMPLE_FILE_TID,
			.event = event, .user_mode = true, .user = &user, .n_user = 1, .raw = &raw, .raw_size = sizeof(raw),
		};

		err = perfdata_writer_sample(w, &sample);
	}
	return err;
}

static struct error *write_tracepoints(struct perfdata_writer *w)
{
	uint32_t request, late;
	uint16_t request_type, late_type;
	struct error *err = add_tracepoint(w, "request", true, &request, &request_type);

	if (!err)
		err = write_hits(w, request, request_type, 3000);
	if (!err)
		err = add_tracepoint(w, "late", false, &late, &late_type);
	if (!err)
		err = write_hits(w, late, late_type, 3100);
	return err ? err : write_hits(w, request, request_type, 3200);
}

static struct error *write_end(struct perfdata_writer *w, bool nothing_lost)
{
	const struct {
		uint64_t id, lost;
	} lost = { 1, 17 };
	struct sample_file_task gone = { SAMPLE_FILE_PID, SAMPLE_FILE_PID, SAMPLE_FILE_TID, SAMPLE_FILE_TID, 5000 };
	struct error *err = NULL;

	if (!nothing_lost)
		err = perfdata_writer_record(w, PERF_RECORD_LOST, 0, &lost, sizeof(lost), SAMPLE_FILE_PID,
					     SAMPLE_FILE_TID, 4000, 1);
	if (!err)
		err = perfdata_writer_record(w, PERF_RECORD_EXIT, 0, &gone, sizeof(gone), SAMPLE_FILE_PID,
					     SAMPLE_FILE_TID, gone.time, 1);
	return err;
}

struct error *sample_file_write(const char *path, const struct sample_file_options *options)
{
	static const struct perfdata_event events[] = {
		{ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, .frequency = 999 },
		{ "my-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, .period = 1 },
	};
	static const char *const cmdline[] = { "retour", "record", "-a", NULL };
	_cleanup_(perfdata_writer_closep) struct perfdata_writer *w = NULL;
	struct error *err = perfdata_writer_create(path, &(struct perfdata_writer_options){
		.events = events, .n_events = options->n_events, .deferred_records = options->deferred,
		.n_more_events = options->tracepoints ? 2 : 0, .cmdline = cmdline }, &w);

	if (!err)
		err = write_tasks(w);
	if (!err)
		err = write_mappings(w);
	if (!err)
		err = write_samples(w, options);
	if (!err)
		err = options->tracepoints ? write_tracepoints(w) : NULL;
	if (!err)
		err = write_end(w, options->nothing_lost);
	if (!err)
		err = perfdata_writer_set_stats(w, SAMPLE_FILE_STATS, strlen(SAMPLE_FILE_STATS));
	if (!err && !options->unfinished)
		err = perfdata_writer_finish(w);
	return err;
}

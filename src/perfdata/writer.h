/* SPDX-License-Identifier: MIT */
/*
 * Writes a perf.data file: header and attributes first, then records as they
 * come, then the feature sections.  The file is valid up to its last whole
 * record at any moment; perfdata_writer_finish() makes it complete.
 */
#ifndef RETOUR_PERFDATA_WRITER_H
#define RETOUR_PERFDATA_WRITER_H

#include "base/cleanup.h"
#include "base/error.h"
#include "perfdata/records.h"
#include "perfdata/tracing.h"

#include <stddef.h>
#include <stdbool.h>
#include <stdint.h>

struct perfdata_writer;

/* One sampling event, in the order of their index. */
struct perfdata_event {
	const char *name;	/* "cpu-clock" */
	uint32_t type;		/* perf_event_attr.type and .config */
	uint64_t config;
	uint64_t frequency;	/* Hz, or 0 with a period */
	uint64_t period;
};

struct perfdata_writer_options {
	const struct perfdata_event *events;
	size_t n_events;
	size_t n_more_events;	/* for which perfdata_writer_add_tracepoint() has room */
	bool deferred_records;	/* samples refer to type 22 records by cookie */
	const char *const *cmdline;	/* NULL-terminated, for the CMDLINE feature */
};

/* A sample with its final chain. */
struct perfdata_sample {
	uint64_t ip, time, period, cookie;
	uint32_t pid, tid, cpu;
	uint32_t event;			/* index */
	uint16_t reason, return_cpu;	/* as in perfdata_sample_extra */
	bool user_mode;			/* ip is in user space: sets misc */
	const uint64_t *kernel;		/* innermost first, without context markers */
	size_t n_kernel;
	const uint64_t *user;
	size_t n_user;
	const void *raw;		/* data of a tracepoint, at most PERFDATA_MAX_RAW bytes */
	size_t raw_size;
};

#define PERFDATA_MAX_RAW 32768

/* path "-" is standard output (then nothing is ever patched in). */
ERROR_CHECK struct error *perfdata_writer_create(const char *path, const struct perfdata_writer_options *options,
						 struct perfdata_writer **ret);
/*
 * Describes one more event, a tracepoint; *ret is its index.  event->id becomes
 * its number in the recording, which has to stand in its samples' common_type, and
 * its fields are the writer's.  ENOSPC: there is no room for more.
 */
ERROR_CHECK struct error *perfdata_writer_add_tracepoint(struct perfdata_writer *writer, struct tracing_event *event,
							 uint32_t *ret);
/*
 * A chain that does not fit a record (64 KiB) is cut at its outer end, with
 * REASON_MAX_DEPTH.  With deferred_records a sample with a cookie refers to its
 * user chain; sample->user is not written, and n_user serves to tell the cut.
 */
ERROR_CHECK struct error *perfdata_writer_sample(struct perfdata_writer *writer, const struct perfdata_sample *sample);
/* A type 22 record; only with options.deferred_records. */
ERROR_CHECK struct error *perfdata_writer_deferred(struct perfdata_writer *writer, uint32_t pid, uint32_t tid,
						   uint64_t time, uint32_t cpu, uint64_t cookie,
						   const uint64_t *user, size_t n_user);
/*
 * Any other kernel record (MMAP2, COMM, FORK, EXIT, LOST, THROTTLE…), with the
 * body as in the ABI and without sample_id trailer, which is appended from the
 * arguments.  The body is copied.
 */
ERROR_CHECK struct error *perfdata_writer_record(struct perfdata_writer *writer, uint32_t type, uint16_t misc,
						 const void *body, size_t size, uint32_t pid, uint32_t tid,
						 uint64_t time, uint32_t cpu);
/* A private feature section that perf ignores; data is copied. At most one. Used for retour's own statistics. */
ERROR_CHECK struct error *perfdata_writer_set_stats(struct perfdata_writer *writer, const void *data, size_t size);
uint64_t perfdata_writer_bytes(const struct perfdata_writer *writer);
/* Flushes what is buffered, e.g. once a second. */
ERROR_CHECK struct error *perfdata_writer_flush(struct perfdata_writer *writer);
/* Feature sections, header, flush.  Still to be closed. */
ERROR_CHECK struct error *perfdata_writer_finish(struct perfdata_writer *writer);
/* Accepts NULL; without finish the file stays as a cut recording. */
void perfdata_writer_close(struct perfdata_writer *writer);
DEFINE_CLEANUP(perfdata_writer_close, struct perfdata_writer *);

#endif

/* SPDX-License-Identifier: MIT */
/*
 * Reads perf.data: ours, perf's, a cut one.  A cursor goes through the records
 * in order of time.  Deferred records (type 22) are merged into their samples,
 * in either order.  Everything in the file is hostile.
 */
#ifndef RETOUR_PERFDATA_READER_H
#define RETOUR_PERFDATA_READER_H

#include "base/cleanup.h"
#include "base/error.h"
#include "perfdata/records.h"
#include "perfdata/tracing.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct perfdata_reader;

/*
 * One record, parsed.  Pointers are valid until the next call on the reader.
 * Which fields are set follows from type.
 */
struct perfdata_record {
	/* PERF_RECORD_SAMPLE, COMM, FORK, EXIT, LOST…, and MMAP2, as which MMAP is delivered too. */
	uint32_t type;
	uint16_t misc;
	uint64_t time;			/* 0 if unknown */
	uint32_t pid, tid, cpu;
	union {
		struct {
			uint64_t ip, period, cookie;
			uint32_t event;		/* index of the event */
			uint16_t reason, return_cpu;
			bool has_extra;		/* reason, return_cpu, cookie come from retour */
			const uint64_t *kernel, *user;	/* innermost first */
			size_t n_kernel, n_user;
			const unsigned char *raw;	/* data of a tracepoint */
			size_t raw_size;
		} sample;
		struct {
			uint64_t start, len, pgoff;
			uint32_t prot;
			unsigned char build_id[20];
			uint32_t build_id_size;	/* 0: none */
			uint32_t maj, min;	/* 0 with a build ID */
			uint64_t ino;
			const char *filename;
		} mmap;
		struct {
			const char *comm;
			bool exec;
		} comm;
		struct {
			uint32_t ppid, ptid;
		} task;			/* FORK, EXIT */
		struct {
			uint64_t lost;
		} lost;			/* LOST, LOST_SAMPLES */
	};
};

struct perfdata_reader_event {
	const char *name;
	uint32_t type;
	uint64_t config, frequency;
};

ERROR_CHECK struct error *perfdata_reader_open(const char *path, struct perfdata_reader **ret);
void perfdata_reader_close(struct perfdata_reader *reader);
DEFINE_CLEANUP(perfdata_reader_close, struct perfdata_reader *);

/* NULL, or a sentence on what is missing at the end of a cut recording. */
const char *perfdata_reader_warning(const struct perfdata_reader *reader);
size_t perfdata_reader_events(const struct perfdata_reader *reader, const struct perfdata_reader_event **ret);
/* What describes a tracepoint's data: its config is the id; NULL if nothing does. */
const struct tracing_event *perfdata_reader_tracepoint(const struct perfdata_reader *reader, uint32_t event);
/* The private statistics section; false if there is none. */
bool perfdata_reader_stats(const struct perfdata_reader *reader, const void **data, size_t *size);
uint64_t perfdata_reader_file_size(const struct perfdata_reader *reader);
/* From the HOSTNAME/OSRELEASE features; NULL if absent. */
const char *perfdata_reader_os_release(const struct perfdata_reader *reader);

/* The next record in time order; false at the end.  Corrupt records are skipped and counted. */
bool perfdata_reader_next(struct perfdata_reader *reader, struct perfdata_record *ret);
/* The part of the records that was delivered, 0 to 1. */
double perfdata_reader_progress(const struct perfdata_reader *reader);
uint64_t perfdata_reader_corrupt(const struct perfdata_reader *reader);
void perfdata_reader_rewind(struct perfdata_reader *reader);

#endif

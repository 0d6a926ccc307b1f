/* SPDX-License-Identifier: MIT */
/*
 * The layout of a perf.data file: header, attributes, record types that the
 * perf tool adds to those of the kernel, feature sections.  A stream (perf's
 * pipe mode) has a short header, and records where the file has sections.
 */
#ifndef RETOUR_PERFDATA_FORMAT_H
#define RETOUR_PERFDATA_FORMAT_H

#include "perfdata/records.h"

#include <stddef.h>
#include <stdint.h>

#define FORMAT_MAGIC 0x32454c4946524550ULL	/* "PERFILE2", little endian */
#define FORMAT_MAGIC_SWAPPED 0x50455246494c4532ULL

struct format_section {
	uint64_t offset, size;
};

struct format_header {
	uint64_t magic;
	uint64_t size;		/* of this header; that of a stream ends here */
	uint64_t attr_size;	/* of an attribute with its section of IDs */
	struct format_section attrs, data, event_types;
	uint64_t features[4];	/* a bit per section in the table that follows the data */
};

/*
 * "retour": stands after the header of our files, where perf's have something
 * else at once, and before the statistics in a stream.  The header itself
 * knows no author, and the feature that does is missing from a cut file.
 */
#define FORMAT_SIGNATURE 0x000072756f746572ULL
#define FORMAT_SIGNATURE_OFFSET sizeof(struct format_header)
/* "retourtp": stands before the number of an event, as u64, and what describes it as a tracepoint. */
#define FORMAT_SIGNATURE_TRACEPOINT 0x707472756f746572ULL

#define FORMAT_STREAM_HEADER_SIZE offsetof(struct format_header, attr_size)
#define FORMAT_N_FEATURES 256

enum format_feature {
	FORMAT_TRACING_DATA = 1,
	FORMAT_HOSTNAME = 3,
	FORMAT_OSRELEASE = 4,
	FORMAT_VERSION = 5,
	FORMAT_ARCH = 6,
	FORMAT_NRCPUS = 7,
	FORMAT_CPUDESC = 8,
	FORMAT_TOTAL_MEM = 10,
	FORMAT_CMDLINE = 11,
	FORMAT_EVENT_DESC = 12,
	FORMAT_SAMPLE_TIME = 21,
	FORMAT_CLOCKID = 23,
	FORMAT_STATS = FORMAT_N_FEATURES - 1,	/* retour's own; perf skips bits it does not know */
};

enum format_record_type {
	FORMAT_RECORD_USER = 64,	/* the first type that does not come from the kernel */
	FORMAT_RECORD_ATTR = 64,
	/* Retired, and ignored by every perf: carries descriptions of tracepoints, and the statistics in a stream. */
	FORMAT_RECORD_EVENT_TYPE = 65,
	FORMAT_RECORD_TRACING_DATA = 66,
	FORMAT_RECORD_AUXTRACE = 71,
	FORMAT_RECORD_FEATURE = 80,
	FORMAT_RECORD_COMPRESSED = 81,
	FORMAT_RECORD_COMPRESSED2 = 83,
};

/* In the misc field of the statistics in a stream: another record of them follows. */
#define FORMAT_STATS_MORE 0x8000

#define FORMAT_RECORD_MAX 65528u			/* the largest u16 that keeps records 8-aligned */
#define FORMAT_STRING_ALIGN 64

_Static_assert(sizeof(struct format_header) == 104, "perf checks this size");

#endif

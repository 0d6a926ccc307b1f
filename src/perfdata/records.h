/* SPDX-License-Identifier: MIT */
/*
 * What retour adds to perf's record ABI (linux/perf_event.h): a few constants
 * that older headers lack, and the raw part of a merged sample.
 */
#ifndef RETOUR_PERFDATA_RECORDS_H
#define RETOUR_PERFDATA_RECORDS_H

#include <linux/perf_event.h>
#include <stdint.h>

#define PERFDATA_RECORD_CALLCHAIN_DEFERRED 22			/* Linux 6.19 */
#define PERFDATA_CONTEXT_USER_DEFERRED ((uint64_t)-640)		/* Linux 6.19 */
#define PERFDATA_ATTR_DEFER_CALLCHAIN (1ULL << 38)		/* bit of the flag word, Linux 6.19 */
#define PERFDATA_ATTR_DEFER_OUTPUT (1ULL << 39)

/*
 * The end of the PERF_SAMPLE_RAW data of every sample retour writes: what the
 * record ABI has no field for.  With the u32 size in front it is 16 bytes.  In
 * front of it are the data of tracepoints, which are described, so perf's readers
 * skip it as they skip any raw data.
 */
struct perfdata_sample_extra {
	uint64_t cookie;	/* the kernel entry's cookie; 0: no user part was requested */
	uint16_t reason;	/* enum reason: no user part, chain missing, or truncated by */
	uint16_t return_cpu;	/* where the chain was walked; PERFDATA_NO_CPU if it was not */
} __attribute__((packed));

#define PERFDATA_NO_CPU 0xffff

_Static_assert(sizeof(struct perfdata_sample_extra) == 12, "4 + 12 bytes keep records 8-aligned");

#endif

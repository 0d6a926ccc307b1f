/* SPDX-License-Identifier: MIT */
/* One record's bytes, untrusted, to its fields. */
#ifndef RETOUR_PERFDATA_PARSE_H
#define RETOUR_PERFDATA_PARSE_H

#include "perfdata/event_table.h"
#include "perfdata/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The words of the longest chain that fits a record. */
#define PARSE_CHAIN_MAX (UINT16_MAX / 8)

/* Where the parts of a chain are put: they need not be aligned or contiguous in the record. */
struct parse_chains {
	uint64_t kernel[PARSE_CHAIN_MAX], user[PARSE_CHAIN_MAX];
};

struct parse_result {
	bool has_time;
	bool deferred;		/* the sample's user part is the record with this tid and cookie */
	uint64_t cookie;
};

/*
 * A record of the kernel, with its header, size bytes as the header says.
 * False if it is corrupt.  Chains are left out when chains is NULL; the other
 * pointers of ret point into data.  Records of unknown types are their header.
 * A CALLCHAIN_DEFERRED record gives its chain as a sample's user part.
 */
bool parse_record(const struct event_table *events, const unsigned char *data, size_t size,
		  struct parse_chains *chains, struct perfdata_record *ret, struct parse_result *result);

#endif

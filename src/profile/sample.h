/* SPDX-License-Identifier: MIT */
/* A sample of a recording with its frames resolved, and what became of its user chain. */
#ifndef RETOUR_PROFILE_SAMPLE_H
#define RETOUR_PROFILE_SAMPLE_H

#include "base/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every sample is in exactly one of these. */
enum sample_outcome {
	SAMPLE_NO_USER,		/* there was no user context */
	SAMPLE_MISSING,		/* there was one, its chain was not had */
	SAMPLE_TRUNCATED,	/* the chain stops before its outermost frame */
	SAMPLE_COMPLETE,
};

struct sample_frame {
	uint64_t ip;
	uint32_t location;	/* of the recording's frames; ID_NONE if it was not resolved */
	bool is_return;		/* ip is a return address; the location is that of the call before it */
};

struct sample {
	uint64_t time, period, cookie;
	uint32_t pid, tid, cpu, event;
	uint16_t return_cpu;		/* PERFDATA_NO_CPU: the chain was not walked */
	uint32_t comm;			/* a string of the recording's frames */
	enum sample_outcome outcome;
	unsigned int reason;		/* REASON_NONE of a truncated or missing chain: not known */
	uint32_t stop_dso;		/* a string: where a truncated chain stops; 0 otherwise */
	const struct sample_frame *kernel, *user;	/* innermost first; of inlined functions too */
	size_t n_kernel, n_user;
	const unsigned char *raw;	/* data of a tracepoint */
	size_t raw_size;
	size_t depth;			/* of the user stack: without what is inlined */
};

/*
 * The outcome from what a recording says.  Whatever it says, the sums of
 * sample_outcome hold: contradictions count as what is there.
 * other_tool: the sample was not written by retour, which knows whether a
 * chain is complete; then a chain counts as truncated, by an unknown reason.
 */
static inline enum sample_outcome sample_outcome(bool other_tool, unsigned int reason, size_t n_user)
{
	if (other_tool)
		return n_user ? SAMPLE_TRUNCATED : SAMPLE_NO_USER;
	switch (reason_kind(reason)) {
	case REASON_KIND_NO_USER:
		return SAMPLE_NO_USER;
	case REASON_KIND_MISSING:
		return SAMPLE_MISSING;
	case REASON_KIND_TRUNCATED:
		return SAMPLE_TRUNCATED;
	case REASON_KIND_NONE:
		break;
	}
	/* A reason this version does not know is a reason still. */
	if (!n_user)
		return SAMPLE_MISSING;
	return reason == REASON_NONE ? SAMPLE_COMPLETE : SAMPLE_TRUNCATED;
}

#endif

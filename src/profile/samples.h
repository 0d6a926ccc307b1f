/* SPDX-License-Identifier: MIT */
/* A recording as its readers want it: filtered samples with resolved frames, one after the other. */
#ifndef RETOUR_PROFILE_SAMPLES_H
#define RETOUR_PROFILE_SAMPLES_H

#include "base/cleanup.h"
#include "base/error.h"
#include "perfdata/reader.h"
#include "perfdata/recorder_stats.h"
#include "profile/filter.h"
#include "profile/frames.h"
#include "profile/sample.h"

#include <stdbool.h>
#include <stdint.h>

/* Called now and then during a pass with the part that is done, and at its end with 1. */
typedef void (*samples_progress_fn)(const void *arg, double fraction);

struct samples_options {
	const struct filter *filter;	/* NULL: every sample; must outlive the recording */
	bool skip_symbols;		/* locations of the frames are not needed */
	bool no_inline;			/* no frames of inlined functions */
	samples_progress_fn progress;	/* or NULL */
	const void *progress_arg;
};

struct samples;

ERROR_CHECK struct error *samples_open(const char *path, const struct samples_options *options,
					 struct samples **ret);
void samples_close(struct samples *samples);
DEFINE_CLEANUP(samples_close, struct samples *);

/* Pointers in the sample are valid during the call only. An error ends the pass and is returned by it. */
typedef struct error *(*samples_fn)(const struct sample *sample, void *arg);

/* Goes through the samples in order of time.  Once only: the names of tasks and their mappings have moved on. */
ERROR_CHECK struct error *samples_each(struct samples *samples, samples_fn fn, void *arg);

struct frames *samples_frames(struct samples *samples);
const struct perfdata_reader *samples_reader(const struct samples *samples);
/* The name of the event with that index, "unknown" for a bad one. */
const char *samples_event_name(const struct samples *samples, uint32_t event);

/*
 * What the recorder counted; after the pass.  False if it could not write it
 * (it was killed) or another tool recorded: then what the records tell is set,
 * the rest is 0.
 */
bool samples_recorder_stats(const struct samples *samples, struct perfdata_recorder_stats *ret);

/* The offset of a frame's ip in its function: a return address points behind the call. */
static inline uint64_t samples_frame_offset(const struct location *location, const struct sample_frame *frame)
{
	return location->caller == ID_NONE ? location->offset + frame->is_return : 0;
}

#endif

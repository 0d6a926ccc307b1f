/* SPDX-License-Identifier: MIT */
/*
 * What one recorder wants of this process: its rings, its clocks and
 * tracepoints, and the tracer that brings its chains.
 */
#ifndef RETOUR_RUNTIME_RECORDING_H
#define RETOUR_RUNTIME_RECORDING_H

#include "rcu/sys.h"
#include "retour/ring.h"
#include "retour/unwind_deferred.h"
#include "runtime/agent_protocol.h"
#include "runtime/sampler.h"

struct recording {
	struct retour_unwind_work work;
	struct sampler sampler;
	unsigned int event_of_clock[SAMPLER_CLOCKS];
	struct retour_ring *ring;
	const struct agent_page *page;	/* the recorder's */
	struct agent_session wanted;
	struct recorded_tracepoint *tracepoints;
	/*
	 * NULL, or for handlers, when the recorder is gone: gives back what the calling thread has of the
	 * recording, and the memory of the rings, unless that is another's business now.
	 */
	void (*abandon)(struct recording *recording);
	struct recording *next_tracing;
	struct recording *next;		/* the owner's, and the next two */
	bool changing;			/* a thread starts or stops it */
	bool forsaken;			/* there is no such thread in this child of a fork: it is over */
};

/*
 * A recording that does nothing yet.  page: the descriptor of a session
 * page, which stays the caller's.  0; -EINVAL: not a session or page as
 * agent_protocol.h has them; or -errno of what could not be had.
 */
int recording_create(const struct agent_session *wanted, int page, struct recording **ret);
void recording_destroy(struct recording *recording);

/* Begins, with no thread armed.  0 or -errno. */
int recording_start(struct recording *recording);

/*
 * Undoes what has been done of a start, also by a thread that a fork has left behind
 * in the middle of this or of that: nobody writes or samples when it returns.  Not from a section or probe.
 */
void recording_stop(struct recording *recording);

/* What the recorder says, or the kernel of it when it was killed.  Async-signal-safe, as the next ones. */
static inline unsigned int recording_state(const struct recording *recording)
{
	const uint32_t *recorder = (const uint32_t *)&recording->page->recorder;

	if (__atomic_load_n(recorder, __ATOMIC_RELAXED) & FUTEX_OWNER_DIED || recording->forsaken)
		return AGENT_GONE;
	return __atomic_load_n(&recording->page->state, __ATOMIC_RELAXED);
}

/* Does the recorder want records now? */
static inline bool recording_runs(const struct recording *recording)
{
	return recording_state(recording) == AGENT_RUNNING;
}

/* Will it never again? */
static inline bool recording_is_over(const struct recording *recording)
{
	return recording_state(recording) >= AGENT_STOPPED;
}

#endif

/* SPDX-License-Identifier: MIT */
/* The chains of samples; see agent_chain.h. */
#include "runtime/agent_chain.h"

#include <errno.h>
#include <stddef.h>

#include "base/reason.h"
#include "runtime/agent_confine.h"
#include "runtime/unwind_buffer.h"
#include "runtime/unwind_user.h"

bool agent_request_chain(struct recording *recording, struct sample_place *place)
{
	int ret;

	if (!recording->wanted.max_depth) {
		place->reason = REASON_NOT_ASKED;
		return true;
	}
	if (confined_here()) {
		place->reason = REASON_CONFINED;
		return true;
	}
	ret = retour_unwind_deferred_request(&recording->work, &place->cookie);
	if (ret < 0)
		place->reason = ret == -EAGAIN ? REASON_NO_SCRATCH : REASON_NOT_RETURNED;
	return ret != -EAGAIN;
}

void agent_walk_now(struct recording *recording, const struct retour_unwind_regs *regs, unsigned int skip,
		    struct sample_place *place)
{
	struct unwind_buffer *buffer = unwind_buffer_get();
	struct retour_unwind_stacktrace trace;

	if (!buffer)
		return;
	trace.entries = buffer->entries;
	trace.nr = unwind_user(regs, skip, buffer->entries, RETOUR_UNWIND_MAX_ENTRIES, &trace.end);
	place->cookie = retour_ring_clock(recording->ring) & ~1ull;
	place->reason = REASON_NONE;
	agent_write_chain(recording, &trace, place->cookie);
	unwind_buffer_put(buffer);
}

void agent_chain_comes(struct retour_unwind_work *work, const struct retour_unwind_stacktrace *trace, uint64_t cookie)
{
	struct recording *recording = (struct recording *)((char *)work - offsetof(struct recording, work));

	agent_write_chain(recording, trace, cookie);
}

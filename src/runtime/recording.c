/* SPDX-License-Identifier: MIT */
/* One recorder's recording: how it begins, samples and ends; see recording.h. */
#include "runtime/recording.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <ucontext.h>

#include "base/reason.h"
#include "retour/rcu.h"
#include "runtime/agent.h"
#include "runtime/agent_chain.h"
#include "runtime/agent_record.h"
#include "runtime/mutant.h"
#include "runtime/trace_record.h"

/* A shorter period would leave no time for the program. */
#define MIN_PERIOD 50000u

#define recording_of(member, pointer) ((struct recording *)((char *)(pointer) - offsetof(struct recording, member)))

/* ---- samples ---------------------------------------------------------------- */

/* On an alternate stack of the program's: is there room for a walk? */
static bool has_stack(const void *ucontext)
{
	const stack_t *stack = &((const ucontext_t *)ucontext)->uc_stack;
	uintptr_t below = (uintptr_t)__builtin_frame_address(0) - (uintptr_t)stack->ss_sp;

	return (stack->ss_flags & SS_DISABLE) || below >= stack->ss_size || below >= AGENT_STACK;
}

static uintptr_t ip_of(const void *ucontext)
{
	const ucontext_t *context = ucontext;
#if defined(__x86_64__)
	return (uintptr_t)context->uc_mcontext.gregs[REG_RIP];
#else
	return (uintptr_t)context->uc_mcontext.pc;
#endif
}

static bool take_sample(struct sampler *sampler, unsigned int clock, unsigned int times, const void *ucontext)
{
	struct recording *recording = recording_of(sampler, sampler);
	struct sample_place place = {
		.ip = ip_of(ucontext), .event = recording->event_of_clock[clock],
		.period = times * sampler->clocks[clock].period,
	};

	retour_torture_delay();
	if (!recording_runs(recording)) {
		if (recording_state(recording) == AGENT_GONE && recording->abandon)
			recording->abandon(recording);
		return !recording_is_over(recording);
	}
	if (!has_stack(ucontext)) {
		place.reason = REASON_NO_STACK;
	} else if (!agent_request_chain(recording, &place)) {
		struct retour_unwind_regs regs;

		retour_unwind_regs_of_signal(&regs, ucontext);
		agent_walk_now(recording, &regs, 0, &place);
	}
	agent_write_sample(recording, &place);
	return true;
}

/* ---- beginning and end ------------------------------------------------------- */

static bool is_valid(const struct agent_session *wanted)
{
	if (wanted->n_events > AGENT_MAX_EVENTS)
		return false;
	for (unsigned int i = 0; i < wanted->n_events; i++) {
		const struct agent_event *event = &wanted->events[i];

		if (event->kind > AGENT_TRACEPOINTS || !event->period ||
		    (event->kind != AGENT_TRACEPOINTS && event->period < MIN_PERIOD) ||
		    !memchr(event->pattern, '\0', sizeof(event->pattern)))
			return false;
	}
	return true;
}

/* The page cannot be taken away from under the handlers. */
static int map_page(int fd, const struct agent_page **page)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;
	void *at;

	if (seals < 0 || !(seals & F_SEAL_SHRINK) || fstat(fd, &st) || st.st_size < (off_t)sizeof(struct agent_page))
		return -EINVAL;
	at = mmap(NULL, sizeof(struct agent_page), PROT_READ, MAP_SHARED, fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	*page = at;
	return 0;
}

static int map_all(struct recording *recording, int page)
{
	struct retour_ring_options options = { .mode = RETOUR_RING_DISCARD, .data_size = recording->wanted.ring_bytes };
	int err = map_page(page, &recording->page);

	if (err)
		return err;
	err = retour_ring_create(&options, &recording->ring);
	if (err)
		munmap((void *)recording->page, sizeof(struct agent_page));
	return err;
}

int recording_create(const struct agent_session *wanted, int page, struct recording **ret)
{
	struct recording *recording;
	int err;

	if (!is_valid(wanted))
		return -EINVAL;
	recording = calloc(1, sizeof(*recording));
	if (!recording)
		return -ENOMEM;
	recording->wanted = *wanted;
	recording->work.bit = -1;
	recording->sampler.fire = take_sample;
	for (unsigned int i = 0; i < wanted->n_events; i++) {
		const struct agent_event *event = &wanted->events[i];

		if (event->kind == AGENT_TRACEPOINTS || wanted->is_further)
			continue;
		recording->event_of_clock[recording->sampler.n_clocks] = i;
		recording->sampler.clocks[recording->sampler.n_clocks++] =
			(struct sampler_clock){ event->kind == AGENT_WALL_CLOCK, event->period };
	}
	err = map_all(recording, page);
	if (err)
		free(recording);
	else
		*ret = recording;
	return err;
}

void recording_destroy(struct recording *recording)
{
	retour_ring_destroy(recording->ring);
	munmap((void *)recording->page, sizeof(struct agent_page));
	free(recording);
}

int recording_start(struct recording *recording)
{
	int err = retour_unwind_deferred_init(&recording->work, agent_chain_comes);

	if (!err)
		err = sampler_start(&recording->sampler);
	if (err)
		recording_stop(recording);
	else
		trace_record_start(recording);
	return err;
}

void recording_stop(struct recording *recording)
{
	trace_record_stop(recording);
	sampler_stop(&recording->sampler);
	/* Handlers that found the sampler have written; nobody asks any more, and then nobody is called. */
	if (!mutant(agent_no_grace_period))
		retour_synchronize_rcu();
	retour_unwind_deferred_cancel(&recording->work);
}

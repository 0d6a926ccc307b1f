/* SPDX-License-Identifier: MIT */
/*
 * Clocks of threads that fire a signal handler in the thread they belong to.
 *
 * A thread has a timer for each clock of each sampler.  They are the kernel's
 * alone: a number, no descriptor and no memory of the program's.  The signal
 * is a real-time one that nobody uses; should the program use it after all, it
 * gets what it expects (sampler_program_*()).
 */
#ifndef RETOUR_RUNTIME_SAMPLER_H
#define RETOUR_RUNTIME_SAMPLER_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum { SAMPLERS = 8, SAMPLER_CLOCKS = 5 };

struct sampler_clock {
	bool wall;		/* CLOCK_MONOTONIC instead of the thread's CPU time */
	uint64_t period;	/* ns */
};

struct sampled_thread;

struct sampler {
	/*
	 * Called in the handler, under retour_rcu and in a runtime section.  times: how
	 * often the clock went off since the last call.  False: nothing is wanted, so this clock
	 * goes on slowly.
	 */
	bool (*fire)(struct sampler *sampler, unsigned int clock, unsigned int times, const void *ucontext);
	unsigned int n_clocks;
	struct sampler_clock clocks[SAMPLER_CLOCKS];
	/* The sampler's own: */
	unsigned int slot;
	struct sampled_thread *threads;
	size_t n_threads, room;
};

/*
 * Makes the sampler known to the handler.  0; -EBUSY: there are SAMPLERS, or no
 * signal is free; -errno of sigaction().  These and the next are for one thread
 * at a time, and leave the allocator alone.
 */
int sampler_start(struct sampler *sampler);

/* Deletes all timers.  The sampler may be freed after a grace period of retour_rcu. */
void sampler_stop(struct sampler *sampler);

/*
 * Starts the clocks of a thread, at a random phase, unless they run.  0, or -errno
 * once: the thread then counts as armed, and is not tried again.  -EBUSY: the signal
 * was given back.
 */
int sampler_arm(struct sampler *sampler, pid_t tid);

/* Leaves a thread without clocks, also those that it had: it counts as armed. */
void sampler_leave_out(struct sampler *sampler, pid_t tid);

bool sampler_has(const struct sampler *sampler, pid_t tid);

/* Has any thread its clocks? */
bool sampler_runs(const struct sampler *sampler);

/* Stops the clocks of one thread; of those for which over() is true. */
void sampler_disarm(struct sampler *sampler, pid_t tid);
void sampler_disarm_if(struct sampler *sampler, bool (*over)(pid_t tid, void *arg), void *arg);

/* Takes clocks' signals that are still on their way to the calling thread. */
void sampler_drop_pending(void);

/* In a forked child, which has none of its parent's timers. */
void sampler_after_fork(struct sampler *sampler);

/* Takes the signal before the first sampler needs it.  0 or -errno as sampler_start(). */
int sampler_take_signal(void);

/* The signal, 0: none yet. */
int sampler_signal(void);

/* Lets the signal through to the calling thread, which has seen it blocked or not: that is what it goes on seeing. */
void sampler_admit(bool seen_blocked);

/* Does the calling thread believe that it has blocked the signal? */
bool sampler_seen_blocked(void);

/*
 * Once a signal that is not a clock's reaches a thread that believes it blocked,
 * the program waits for it somewhere: it is blocked there and kept, and
 * from then on no thread gets clocks.  The first does the same beforehand; the
 * second: has the calling thread the signal back, so that what it says is to be
 * done?  The third: is it a clock's after all?  Then it is stopped.
 */
void sampler_give_back(void);
bool sampler_has_given_back(void);
bool sampler_stop_clock_of(const siginfo_t *info);

/* As sigaction() and pthread_sigmask(), for the signal alone: as if it were the program's. */
void sampler_program_action(const struct sigaction *action, struct sigaction *old);
void sampler_program_mask(int how, const sigset_t *set, sigset_t *old);

#endif

/* SPDX-License-Identifier: MIT */
/* What per-CPU data need of the machine: how many CPUs there may be, and restartable sequences. */
#ifndef RETOUR_RCU_PERCPU_H
#define RETOUR_RCU_PERCPU_H

#define PERCPU_MAX 8192

/*
 * CPU numbers are below this, at most PERCPU_MAX.  The first call also finds
 * the threads' struct rseq, so it comes before the first sequence.
 * Async-signal-safe.
 */
unsigned int percpu_possible(void);

/* Where libc does not do it, registers the calling thread for sequences, until it ends.  Async-signal-safe. */
void percpu_register_thread(void);

#endif

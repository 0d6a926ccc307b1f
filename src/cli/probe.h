/* SPDX-License-Identifier: MIT */
/*
 * Small experiments with the kernel: does a system call get through, does an
 * event fire, do its samples carry what is asked for?
 */
#ifndef RETOUR_CLI_PROBE_H
#define RETOUR_CLI_PROBE_H

#include "cli/events.h"

#include <linux/perf_event.h>
#include <stdbool.h>

/*
 * Do bpf(2) and perf_event_open(2) reach the kernel, or does a seccomp filter
 * answer?  0 if they do, otherwise the filter's errno, or -SIGNAL if it kills
 * (a child finds out).
 */
int probe_bpf_call(void);
int probe_perf_event_open_call(void);

/* The smallest BPF program of a perf event: 0, or the errno of its load. */
int probe_bpf_program(void);

/* An event of a whole CPU: 0, or the errno of its open. */
int probe_cpu_event(void);

/*
 * Events of this process, which is made to run until they fire: 0, or the
 * errno of the open, or ENOBUFS if the limits on locked memory have no room for
 * a ring, or ETIME if no sample came as wanted.
 */
struct probe_result {
	int error;
	bool user_only;		/* only without the kernel's part */
};

struct probe_result probe_event(const struct cli_event *event);
/* Samples with registers and a copy of the stack. */
struct probe_result probe_stack_copies(void);
/* Samples whose user chain is deferred by the kernel: the marker has to be seen, kernels may ignore the request. */
struct probe_result probe_deferred_chains(void);

#endif

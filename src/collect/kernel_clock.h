/* SPDX-License-Identifier: MIT */
/*
 * The clock of what comes from the kernel: bpf_ktime_get_ns() and perf events
 * tell CLOCK_MONOTONIC of the machine, clock_gettime() that of the time
 * namespace that the caller is in.
 */
#ifndef RETOUR_COLLECT_KERNEL_CLOCK_H
#define RETOUR_COLLECT_KERNEL_CLOCK_H

#include <stdint.h>

/* In nanoseconds.  Without /proc no namespace is seen.  Thread-safe. */
uint64_t kernel_clock_ns(void);

#endif

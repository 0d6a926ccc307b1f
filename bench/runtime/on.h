/* SPDX-License-Identifier: MIT */
/*
 * How an implementation is switched on.
 *
 * on_begin() attaches what records, in the way named by `how`; then FIRE()
 * records two ints and the time.  0, or something else: there is no such way.
 */
#ifndef BENCH_RUNTIME_ON_H
#define BENCH_RUNTIME_ON_H

int on_begin(const char *how);

/* The frames of the last chain that was recorded. */
extern unsigned int on_frames;

#endif

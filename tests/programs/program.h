/* SPDX-License-Identifier: MIT */
/*
 * What the profiled programs share: options, the deadline, and work to sample.
 *
 * Every program is called NAME [--seconds N] [--count N] and has a user call
 * chain that the tests know.  Truth that is not static (thread ids, addresses)
 * is printed as one JSON object on a line of its own.
 */
#ifndef TESTS_PROGRAM_H
#define TESTS_PROGRAM_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A function that must show up as a frame under its own name. */
#define FRAME __attribute__((noipa))

/* Reads the options and starts the clock of running(). */
void program_start(int argc, char **argv);
/* Until --seconds are over. */
bool time_left(void);
/* Also until a quarter of them was spent at work, on a machine that has little time for it. */
bool running(void);
/* --count, or the value given when there was none. */
long program_count(long otherwise);
/* The name without --, as in "vfork" of `processes vfork`; NULL if there was none. */
const char *program_mode(void);

/* About 20 us of arithmetic in a leaf function. */
void burn(void);
/* burn() until the time is up, inlined into its caller. */
static inline __attribute__((always_inline)) void burn_until_end(void)
{
	while (running())
		burn();
}

/* A stack of its own for a coroutine or thread; NULL never: the program exits. */
void *map_stack(size_t size, int flags, int fd);
/* Prints why and exits with failure if the condition does not hold. */
void must(bool condition, const char *what);

#ifdef __cplusplus
}
#endif

#endif

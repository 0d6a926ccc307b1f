/* SPDX-License-Identifier: MIT */
/*
 * Torture of the RCU family, in the manner of the kernel's rcutorture.
 *
 * Updaters replace objects and let them age by one at each grace period; a
 * reader that finds the object it holds older than 1 was not waited for.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "retour/rcu.h"
#include "retour/srcu.h"

/* Nothing takes so long on the busiest machine. */
#define HANG_SECONDS 40

/* What a domain is to the tests. */
struct torture_ops {
	const char *name;
	void *(*lock)(void);
	void (*unlock)(void *cookie);
	void *(*lock_notrace)(void);
	void (*unlock_notrace)(void *cookie);
	void (*synchronize)(void);
	void (*expedited)(void);
	void (*call)(struct retour_rcu_head *head, void (*func)(struct retour_rcu_head *head));
	void (*barrier)(void);
	unsigned long (*get_state)(void);
	unsigned long (*start_poll)(void);
	bool (*poll)(unsigned long cookie);
	void (*cond)(unsigned long cookie);
	unsigned long (*start_poll_expedited)(void);
	void (*cond_expedited)(unsigned long cookie);
	bool bound;		/* sections are known to be the thread's that began them */
	bool boosted;		/* readers are lent priorities */
	bool handed_over;	/* most sections end in another thread */
};

/* The domain under torture. */
extern const struct torture_ops *torture;

/* ops.c; NULL: no such domain. */
const struct torture_ops *torture_find(const char *name);

/* delay.c; all async-signal-safe. */
uint64_t torture_random(void);
void spin(unsigned int n);
void sleep_us(unsigned long us);
double seconds_now(void);

static inline bool one_in(unsigned int n)
{
	return torture_random() % n == 0;
}

/* Random delays in the library, and longer sections. */
void set_noisy(bool on);
bool is_noisy(void);

/* The calling thread sleeps at one in n of the places for delays; 0: as the others. */
void be_sluggish(unsigned int n);

/* pipeline.c: an updater is a thread that waits for grace periods in one way. */
struct updater {
	unsigned int kind;
	unsigned long rounds;	/* grace periods so far */
	struct pipeline *pipeline;
};

extern const unsigned int updater_kinds;
const char *updater_name(unsigned int kind);

/* Before the first and after the last updater. */
void pipelines_init(void);
void pipelines_finish(void);

void update_until_stopped(struct updater *updater);

/* A section of random length and depth; it may be left for the next reader to end.  Async-signal-safe. */
void read_once(void);

/* Sections in sections, to their ends.  Async-signal-safe. */
void read_nested(unsigned int depth);

/* After the last reader: ends the section that none was left to take over. */
void readers_finish(void);

/* What the calling thread's readers saw goes to the histogram. */
void histogram_add(void);
void histogram_print(void);

/* handlers.c: signals at random instructions of the threads between begin and end. */
void handlers_init(void);
void handlers_begin(void);
void handlers_end(void);
unsigned long handlers_ran(void);

/* The same in all hooks of the library. */
void probe_hooks(bool on);

/* threads.c */
pthread_t start(void *(*main)(void *), void *arg);

/* Has it been decided to stop? */
bool stopping(void);

/* The first failure ends the torture.  Async-signal-safe. */
void torture_fail(const char *what);
const char *torture_failure(void);

/* Tortures, and runs meanwhile() now and then; a failure ends the process. */
void torture_run(double seconds, void (*meanwhile)(void));

/* duel.c: one reader against one updater, slow ones against another, one caller against the worker. */
void duel_of_reader(double for_seconds);
void duel_of_stragglers(double for_seconds);
void duel_of_caller(double for_seconds);

/* boost.c */
bool boost_possible(void);
void boost_once(void);

#endif

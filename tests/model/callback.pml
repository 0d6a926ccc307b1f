/* SPDX-License-Identifier: MIT */
/*
 * The queue of callbacks: PRODUCERS that push one each, and the worker that
 * takes the list whole, calls, and sleeps when there is nothing to do.  What
 * the queue holds is a set of producers.  The mutants are the NO_ and BAD_ macros.
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif

#define THREADS (PRODUCERS + 1)
#define WORKER PRODUCERS	/* the others are producers */
#define MESSAGES 16

/* Locations. */
#define QUEUE 0
#define IDLE 1
#define CONTENTS(p) (2 + (p))	/* of the callback of producer p */
#define LOCATIONS (2 + PRODUCERS)

#include "machine.pml"

#ifdef NO_b
#define ORDER_b RELAXED
#else
#define ORDER_b ORDERED
#endif
#ifdef NO_e
#define ORDER_e RELAXED
#else
#define ORDER_e ORDERED
#endif

bit asleep;		/* the worker, on the futex IDLE */
byte calls[PRODUCERS];

/* callback_queue() */
proctype producer(byte me)
{
	byte tmp;

	store(me, CONTENTS(me), 1, RELAXED);
	d_step { APPEND_MESSAGE(me, QUEUE, LATEST(QUEUE) | (1 << me), ORDER_b, 1) }	/* b */
#ifndef NO_c
	fence(me);								/* c */
#endif
	exchange(me, IDLE, 0, tmp, ORDERED);
	if
	:: tmp -> asleep = 0	/* FUTEX_WAKE */
	:: else
	fi
}

/* take_queue() and invoke() */
inline run_round()
{
	exchange(WORKER, QUEUE, 0, batch, ORDER_e);				/* e */
	p = 0;
	do
	:: p < PRODUCERS && (batch & (1 << p)) ->
		load(WORKER, CONTENTS(p), tmp, RELAXED);
		assert(tmp == 1);
		calls[p]++;
		assert(calls[p] == 1);
		called++;
		p++
	:: p < PRODUCERS && !(batch & (1 << p)) -> p++
	:: else -> break
	od
}

inline sleep_idle()
{
	store(WORKER, IDLE, 1, RELAXED);
#ifndef NO_d
	fence(WORKER);								/* d */
#endif
#ifdef BAD_SLEEP_BLINDLY
	tmp = 0;
#else
	load(WORKER, QUEUE, tmp, RELAXED);
#endif
	if
	:: tmp == 0 ->
		atomic {	/* FUTEX_WAIT */
			if
			:: LATEST(IDLE) == 1 -> asleep = 1
			:: else
			fi
		}
		asleep == 0
	:: else
	fi;
	store(WORKER, IDLE, 0, RELAXED)
}

proctype worker()
{
	byte batch, called, p, tmp;

	do
	:: called == PRODUCERS -> break
	:: else ->
		load(WORKER, QUEUE, tmp, RELAXED);
		if
		:: tmp -> run_round()
		:: else -> sleep_idle()
		fi
	od
}

init {
	byte p;

	atomic {
		run worker();
		do
		:: p < PRODUCERS -> run producer(p); p++
		:: else -> break
		od
	}
}

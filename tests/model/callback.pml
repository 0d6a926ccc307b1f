/* SPDX-License-Identifier: MIT */
/*
 * The queue of callbacks: PRODUCERS that push one each, and the worker that
 * works in rounds and sleeps when there is nothing to do.  What the queue holds
 * is a set of producers.  With READER the first producer removes an object that
 * a reader may hold; with BARRIER it waits for its callback by a barrier.  With
 * AWAKE the worker does not sleep, which leaves fewer states.  The mutants are the NO_ and BAD_ macros.
 */
#ifndef PRODUCERS
#define PRODUCERS 2
#endif

#define WORKER PRODUCERS	/* the others are producers */
#define READING (PRODUCERS + 1)	/* the reader */
#define THREADS (PRODUCERS + 2)
#define MESSAGES 16

/* Locations. */
#define QUEUE 0
#define IDLE 1
#define ROUNDS 2		/* odd while one is under way */
#define WANTED 3		/* the round that a barrier waits for */
#define EFFECT 4		/* what callbacks write: those that were called */
#define INSIDE 5		/* odd while the reader is in its section */
#define REMOVED 6		/* the object */
#define CONTENTS(p) (7 + (p))	/* of the callback of producer p */
#define LOCATIONS (7 + PRODUCERS)

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
#ifdef NO_p
#define ORDER_p RELAXED
#else
#define ORDER_p ORDERED
#endif
#ifdef NO_B
#define ORDER_B RELAXED
#else
#define ORDER_B ORDERED
#endif
#ifdef NO_C
#define ORDER_C RELAXED
#else
#define ORDER_C ORDERED
#endif
#ifdef BAD_BARRIER_EARLY
#define SNAP(rounds) ((rounds) / 2 * 2 + 2)
#else
#define SNAP(rounds) (((rounds) + 3) / 2 * 2)
#endif

bit asleep;			/* the worker, on the futex IDLE */
byte calls[PRODUCERS];
byte called, finished;		/* callbacks, producers */
bit found;			/* the reader has the object, in its section */

/* seq_snap(&domain->rounds) */
inline snap()
{
#ifndef NO_A
	fence(me);								/* A */
#endif
	load(me, ROUNDS, tmp, ORDER_B);						/* B */
	cookie = SNAP(tmp)
}

inline wake_worker()
{
#ifndef AWAKE
#ifndef NO_c
	fence(me);								/* c */
#endif
	atomic {
		exchange(me, IDLE, 0, tmp, RELAXED);
		if
		:: tmp -> asleep = 0	/* FUTEX_WAKE */
		:: else
		fi
	}
#endif
	skip
}

/* wait_for_round(); the sleep is seq_sleep(), which gp.pml has. */
inline wait_for_round()
{
	exchange(me, WANTED, cookie, tmp, ORDERED);
	wake_worker();
	do
	:: true ->
		load(me, ROUNDS, tmp, ORDER_B);					/* B */
		if
		:: tmp >= cookie -> break
		:: else -> LATEST(ROUNDS) >= cookie
		fi
	od
}

/* callback_barrier(), with callback_is_drained() */
inline barrier()
{
	snap();
	load(me, QUEUE, tmp, ORDER_p);						/* p */
	if
	:: tmp == 0 -> load(me, ROUNDS, tmp, ORDER_B); tmp = tmp % 2		/* B */
	:: else
	fi;
	if
	:: tmp -> wait_for_round()
	:: else
	fi;
	assert(calls[me] == 1);
	load(me, EFFECT, tmp, RELAXED);
	assert(tmp & (1 << me))
}

/* callback_queue() */
proctype producer(byte me)
{
	byte tmp, cookie;

#ifdef READER
	if
	:: me == 0 -> store(me, REMOVED, 1, RELAXED)
	:: else
	fi;
#endif
	store(me, CONTENTS(me), 1, RELAXED);
	d_step { APPEND_MESSAGE(me, QUEUE, LATEST(QUEUE) | (1 << me), ORDER_b, 1) };	/* b */
	wake_worker();
#ifdef BARRIER
	if
	:: me == 0 -> barrier()
	:: else
	fi;
#endif
	finished++
}

#ifdef READER
proctype reader()
{
	byte tmp;

	store(READING, INSIDE, 1, RELAXED);
	fence(READING);
	load(READING, REMOVED, tmp, RELAXED);
	found = !tmp;
	assert(!found || !calls[0]);
	found = 0;
	store(READING, INSIDE, 2, ORDERED)
}
#endif

/* gp_wait(domain, gp_snap(domain)) */
inline wait_for_readers()
{
#ifdef READER
	fence(WORKER);
	load(WORKER, INSIDE, tmp, ORDERED);
	do
	:: tmp == 1 -> load(WORKER, INSIDE, tmp, ORDERED)
	:: else -> break
	od;
#endif
	skip
}

/* invoke() */
inline call_batch()
{
	p = 0;
	do
	:: p < PRODUCERS && (batch & (1 << p)) ->
		load(WORKER, CONTENTS(p), tmp, RELAXED);
		assert(tmp == 1);
		assert(p != 0 || !found);
		calls[p]++;
		assert(calls[p] == 1);
		called++;
		done = done | (1 << p);
		store(WORKER, EFFECT, done, RELAXED);
		p++
	:: p < PRODUCERS && !(batch & (1 << p)) -> p++
	:: else -> break
	od
}

inline run_round()
{
#ifdef BARRIER
	load(WORKER, ROUNDS, at, ORDERED);
	compare_exchange(WORKER, ROUNDS, at, at + 1, tmp, ORDERED);
#ifndef NO_L
	fence(WORKER);								/* L */
#endif
#endif
#ifdef BAD_SNAP_BEFORE_TAKE
	wait_for_readers();
#endif
	exchange(WORKER, QUEUE, 0, batch, ORDER_e);				/* e */
#if !defined(BAD_EARLY_CALLBACK) && !defined(BAD_SNAP_BEFORE_TAKE)
	if
	:: batch -> wait_for_readers()
	:: else
	fi;
#endif
	call_batch();
#ifdef BARRIER
	compare_exchange(WORKER, ROUNDS, at + 1, at + 2, tmp, ORDER_C);		/* C */
#endif
	skip
}

/* tmp: is there any? */
inline has_work()
{
	load(WORKER, QUEUE, tmp, RELAXED);
#ifdef BARRIER
	if
	:: !tmp ->
		load(WORKER, WANTED, p, RELAXED);
		load(WORKER, ROUNDS, at, RELAXED);
		tmp = p > at
	:: else
	fi;
#endif
	skip
}

inline sleep_idle()
{
#ifdef AWAKE
	LATEST(QUEUE) || LATEST(WANTED) > LATEST(ROUNDS) || (called == PRODUCERS && finished == PRODUCERS)
#else
	store(WORKER, IDLE, 1, RELAXED);
#ifndef NO_d
	fence(WORKER);								/* d */
#endif
#ifdef BAD_SLEEP_BLINDLY
	tmp = 0;
#else
	has_work();
#endif
	if
	:: tmp == 0 ->
		atomic {	/* FUTEX_WAIT */
			if
			:: LATEST(IDLE) == 1 -> asleep = 1
			:: else
			fi
		}
		if
		:: asleep == 0
		:: called == PRODUCERS && finished == PRODUCERS
		fi
	:: else
	fi;
	store(WORKER, IDLE, 0, RELAXED)
#endif
}

proctype worker()
{
	byte batch, done, at, p, tmp;

	do
	:: called == PRODUCERS && finished == PRODUCERS -> break
	:: else ->
		has_work();
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
#ifdef READER
		run reader();
#endif
		do
		:: p < PRODUCERS -> run producer(p); p++
		:: else -> break
		od
	}
}

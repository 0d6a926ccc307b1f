/* SPDX-License-Identifier: MIT */
/*
 * The engine of grace periods: UPDATERS that each take a cookie and wait for
 * it; whoever finds no leader leads.  The first of them removes an object
 * before.  The reader is the simplest one that is right: it counts itself and
 * then has a full fence.  SYNCHRONIZE: they lead at once, without a cookie, if
 * nobody does.  FULL_ORDER checks what (E) promises instead of the grace
 * period.  The mutants are the NO_ and BAD_ macros.
 */
#ifndef UPDATERS
#define UPDATERS 2
#endif
#ifndef SECTIONS
#define SECTIONS 1
#endif

#define THREADS (UPDATERS + 1)
#define READER UPDATERS		/* the others are updaters */
#define MESSAGES 8

/* Locations. */
#define SEQ 0
#define INSIDE 1	/* odd while the reader is in a section */
#define REMOVED 2	/* the object */
#define EFFECT 3	/* what sections write: their number */
#define BEFORE 2
#define AFTER 3
#define LOCATIONS 4

#include "machine.pml"

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

#define IDLE(seq) ((seq) / 4 * 4)
#define RUNNING 1
#define SLEEPERS 2
#ifdef BAD_SNAP_EARLY
#define SNAP(seq) (IDLE(seq) + 4)
#else
#define SNAP(seq) (IDLE(seq) + 4 + 4 * ((seq) & RUNNING))
#endif

bit asleep[UPDATERS];		/* on the futex SEQ */
byte leaders;

/* What the properties are about; no thread reads it. */
bit freed;
byte found;			/* the last section that found the object */
bit reader_done, updater_done;	/* the halves of FULL_ORDER */
bit reader_saw, updater_saw;

/* Of two threads that each store, have a full fence and load, one sees the other. */
#define CHECK_FULL_ORDER assert(!(reader_done && updater_done) || reader_saw || updater_saw)

proctype reader()
{
	byte n, tmp;

#ifdef FULL_ORDER
	store(READER, AFTER, 1, RELAXED);
	fence(READER);
	load(READER, BEFORE, reader_saw, RELAXED);
	reader_done = 1;
	CHECK_FULL_ORDER
#else
	do
	:: n < SECTIONS ->
		n++;
		store(READER, INSIDE, 2 * n - 1, RELAXED);
		fence(READER);
		load(READER, REMOVED, tmp, RELAXED);
		found = (tmp -> found : n);
		store(READER, EFFECT, n, RELAXED);
		assert(found != n || !freed);
		store(READER, INSIDE, 2 * n, ORDERED)
	:: else -> break
	od
#endif
}

/* seq_snap() */
inline snap()
{
#ifndef NO_A
	fence(me);								/* A */
#endif
	load(me, SEQ, tmp, ORDERED);
	cookie = SNAP(tmp)
}

/* A run, which waits for the section it finds. */
inline run_grace_period()
{
	leaders++;
	assert(leaders == 1);
#ifndef NO_L
	fence(me);								/* L */
#endif
	load(me, INSIDE, first, ORDERED);
	tmp = first;
	do
	:: tmp % 2 && tmp == first -> load(me, INSIDE, tmp, ORDERED)
	:: else -> break
	od;
	leaders--
}

inline seq_end()
{
	load(me, SEQ, first, RELAXED);
	do
	:: true ->
		compare_exchange(me, SEQ, first, at + 4, tmp, ORDER_C);		/* C */
		if
		:: tmp == first -> break
		:: else -> first = tmp
		fi
	od;
	if
	:: tmp & SLEEPERS ->
#ifndef BAD_NO_WAKE
		d_step {	/* FUTEX_WAKE */
			tmp = 0;
			do
			:: tmp < UPDATERS -> asleep[tmp] = 0; tmp++
			:: else -> break
			od
		}
#endif
	:: else
	fi
}

inline seq_sleep()
{
	load(me, SEQ, first, RELAXED);
	if
	:: (first | SLEEPERS) == (at | RUNNING | SLEEPERS) ->
#ifdef BAD_NO_FLAG
		tmp = first;
#else
		if
		:: first & SLEEPERS -> tmp = first
		:: else -> compare_exchange(me, SEQ, first, first | SLEEPERS, tmp, RELAXED)
		fi;
		if
		:: tmp == first -> first = first | SLEEPERS
		:: else -> first = 0
		fi;
#endif
		atomic {	/* FUTEX_WAIT, unless the exchange failed */
			if
			:: first && LATEST(SEQ) == first -> asleep[me] = 1
			:: else
			fi
		}
		asleep[me] == 0
	:: else
	fi
}

/* tmp becomes first if it began. */
inline seq_begin()
{
	load(me, SEQ, first, ORDER_B);
	first = first & ~RUNNING;
	at = IDLE(first);
	compare_exchange(me, SEQ, first, first | RUNNING, tmp, ORDERED)
}

/* gp_synchronize(), but for its wait() */
inline lead_or_snap()
{
	seq_begin();
	if
	:: tmp == first -> run_grace_period(); seq_end(); cookie = at + 4
	:: else -> snap()
	fi
}

/* gp_wait() */
inline wait()
{
	do
	:: true ->
		load(me, SEQ, tmp, ORDER_B);					/* B */
		if
		:: tmp >= cookie -> break
		:: else
		fi;
		seq_begin();
		if
		:: tmp == first -> run_grace_period(); seq_end()
		:: else -> seq_sleep()
		fi
	od
#ifndef NO_E
	;
	fence(me)								/* E */
#endif
}

proctype updater(byte me)
{
	byte cookie, at, first, tmp;

#ifndef FULL_ORDER
	if
	:: me == 0 -> store(me, REMOVED, 1, RELAXED)
	:: else
	fi;
#endif
#ifdef SYNCHRONIZE
	lead_or_snap();
#else
	snap();
#endif
#ifdef FULL_ORDER
	if
	:: me == 0 -> store(me, BEFORE, 1, RELAXED)
	:: else
	fi;
#endif
	wait();
	if
	:: me == 0 ->
#ifdef FULL_ORDER
		load(me, AFTER, updater_saw, RELAXED);
		updater_done = 1;
		CHECK_FULL_ORDER
#else
		load(me, EFFECT, tmp, RELAXED);
		assert(tmp >= found);
		freed = 1
#endif
	:: else
	fi
}

init {
	byte u;

	atomic {
		do
		:: u < UPDATERS -> run updater(u); u++
		:: else -> break
		od;
		run reader()
	}
}

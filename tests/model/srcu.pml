/* SPDX-License-Identifier: MIT */
/*
 * retour_srcu: reader threads that may change the CPU between lock and unlock,
 * and a leader that is also the updater.
 *
 * Configurations: READERS threads, SECTIONS each; GRACE_PERIODS; NESTED: with
 * a section inside; PUBLISH: the domain has no area yet.  The mutants are the
 * NO_ and BAD_ macros.
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef SECTIONS
#define SECTIONS 2
#endif
#ifndef GRACE_PERIODS
#define GRACE_PERIODS 1
#endif

#define THREADS (READERS + 1)
#define LEADER 0	/* the others are readers */
#ifndef MESSAGES
#define MESSAGES 6
#endif

/* Locations. */
#define POINTER 0	/* what readers dereference: its value is the age of the object */
#define CURRENT 1	/* the bank of new readers, or NO_BANK */
#define WAITING 2
#define DRAINING 3
#define SLEEPING 4
#define LOCK(bank, cpu) (5 + (bank) * 4 + (cpu))
#define UNLOCK(bank, cpu) (7 + (bank) * 4 + (cpu))
#define EFFECT(t) (12 + (t))	/* what sections write: their number; t is at least 1 */
#ifdef PUBLISH
#define AREA (13 + READERS)
#define CONTENTS (14 + READERS)	/* of the area */
#define LOCATIONS (15 + READERS)
#else
#define LOCATIONS (13 + READERS)
#endif
#define NO_BANK 2

#include "machine.pml"

#ifdef NO_S
#define ORDER_S RELAXED
#else
#define ORDER_S ORDERED
#endif
#ifdef NO_V
#define ORDER_V RELAXED
#else
#define ORDER_V ORDERED
#endif
#ifdef NO_Y
#define ORDER_Y RELAXED
#else
#define ORDER_Y ORDERED
#endif

bit asleep;		/* the leader, on the futex SLEEPING */

/* What the properties are about; no thread reads it. */
#define NEVER 255
byte freed;			/* objects younger than this are still there */
byte began[THREADS];
byte age[THREADS * SECTIONS];	/* by section: that of the object it found */
#define AGE age[(t - 1) * SECTIONS + n]

/* An increment goes on in the release sequence: of an atomic instruction by rule, of an rseq by the context switch. */
inline increment(thread, loc, order)
{
	d_step { APPEND_MESSAGE(thread, loc, LATEST(loc) + 1, order, 1) }
}

inline choose_cpu()
{
	if
	:: cpu = 0
	:: cpu = 1
	fi
}

#ifdef PUBLISH
/* attach() */
inline attach()
{
	load(t, AREA, tmp, ORDERED);
	if
	:: tmp == 0 ->
		store(t, CONTENTS, 1, RELAXED);
		compare_exchange(t, AREA, 0, 1, tmp, ORDERED);
		compare_exchange(t, CURRENT, NO_BANK, 0, tmp, ORDER_Y);		/* Y */
#ifndef NO_f
		fence(t)							/* f */
#endif
	:: else
	fi;
	bank = 0
}
#endif

inline read_lock()
{
	load(t, CURRENT, bank, ORDERED);
#ifdef PUBLISH
	if
	:: bank == NO_BANK -> attach()
	:: else
	fi;
	load(t, CONTENTS, tmp, RELAXED);
	assert(tmp == 1);
#endif
	choose_cpu();
#ifdef NO_R
	load(t, POINTER, AGE, RELAXED);
	increment(t, LOCK(bank, cpu), RELAXED);
#else
	increment(t, LOCK(bank, cpu), RELAXED);
	load(t, POINTER, AGE, RELAXED)						/* R: behind the increment */
#endif
}

#define ACCESS assert(AGE >= freed)

inline read_unlock()
{
#ifndef NO_S
	ACCESS;
#endif
	choose_cpu();
#ifdef NO_T
	load(t, WAITING, tmp, RELAXED);
	increment(t, UNLOCK(bank, cpu), ORDER_S);
#else
	increment(t, UNLOCK(bank, cpu), ORDER_S);				/* S */
	load(t, WAITING, tmp, RELAXED);						/* T: behind the increment */
#endif
#ifdef NO_S
	ACCESS;
#endif
	if
	:: tmp -> unlock_slow()
	:: else
	fi
}

inline unlock_slow()
{
#ifndef NO_W
	fence(t);								/* W */
#endif
	load(t, DRAINING, tmp, RELAXED);
	if
	:: tmp == bank ->
		load(t, SLEEPING, tmp, RELAXED);
		if
		:: tmp ->
			exchange(t, SLEEPING, 0, tmp, RELAXED);
#ifndef BAD_NO_WAKE
			if
			:: tmp -> asleep = 0	/* FUTEX_WAKE */
			:: else
			fi
#endif
		:: else
		fi
	:: else
	fi
}

/* Ends without a look at waiting: in one grace period the leader sleeps for the outer section only. */
inline inner_section()
{
	load(t, CURRENT, inner, ORDERED);
	increment(t, LOCK(inner, cpu), RELAXED);
	increment(t, UNLOCK(inner, cpu), ORDERED)
}

proctype reader(byte t)
{
	byte n, bank, cpu, tmp;
#ifdef NESTED
	byte inner;
#endif

	do
	:: n < SECTIONS ->
		d_step { AGE = NEVER; began[t]++ }
		read_lock();
		store(t, EFFECT(t), n + 1, RELAXED);
#ifdef NESTED
		inner_section();
#endif
		read_unlock();
		n++;
		d_step { bank = 0; cpu = 0; tmp = 0 }
	:: else -> break
	od
}

inline membarrier()
{
	fence(LEADER);
	tmp = 1;
	do
	:: tmp < THREADS -> fence(tmp); tmp++
	:: else -> break
	od;
	fence(LEADER)
}

inline add_up(first, order)
{
	load(LEADER, first, tmp, order);
	sum = sum + tmp;
	load(LEADER, first + 1, tmp, order);
	sum = sum + tmp
}

/* area_is_drained(): sum is 0 if it is */
inline add_up_bank()
{
	sum = 0;
#ifdef BAD_LOCK_FIRST
	add_up(LOCK(bank, 0), RELAXED);
	sum = -sum;
	add_up(UNLOCK(bank, 0), ORDER_V);
#else
	add_up(UNLOCK(bank, 0), ORDER_V);					/* V */
	sum = -sum;
	add_up(LOCK(bank, 0), RELAXED);
#endif
	tmp = 0
}

inline sleep_for_readers()
{
	store(LEADER, SLEEPING, 1, RELAXED);
#ifndef NO_a
	fence(LEADER);								/* a */
#endif
	add_up_bank();
	if
	:: sum ->
		atomic {	/* FUTEX_WAIT */
			if
			:: LATEST(SLEEPING) == 1 -> asleep = 1
			:: else
			fi
		}
		asleep == 0
	:: else
	fi;
	store(LEADER, SLEEPING, 0, RELAXED)
}

inline drain()
{
	store(LEADER, DRAINING, bank, RELAXED);
	do
	:: true ->
		add_up_bank();
		if
		:: sum == 0 -> break
		:: sum && !waiting ->
			waiting = 1;
			store(LEADER, WAITING, 1, RELAXED);
#ifndef NO_Z
			membarrier()						/* Z */
#endif
		:: else -> sleep_for_readers()
		fi
	od
}

/* srcu_run() */
inline run_grace_period()
{
	/* A guess of the code, on which nothing depends. */
	if
	:: waiting = 1; store(LEADER, WAITING, 1, RELAXED)
	:: waiting = 0
	fi;
#ifndef NO_X
	membarrier();								/* X */
#endif
	bank = !index;
#ifndef BAD_SINGLE_PHASE
	drain();
#endif
	index = bank;
	store(LEADER, CURRENT, bank, ORDER_Y);
	bank = !bank;
#ifndef BAD_ONLY_IDLE
	drain();
#endif
	store(LEADER, WAITING, 0, RELAXED);
	store(LEADER, DRAINING, NO_BANK, RELAXED)
}

/* What whoever learns of the end of the grace period sees of the sections that it waited for. */
inline check_effects()
{
	d_step {
		t = 1;
		do
		:: t < THREADS ->
			n = 0;
			do
			:: n < began[t] ->
				assert(AGE >= g || value[MESSAGE(EFFECT(t), VIEW(LEADER, EFFECT(t)))] > n);
				n++
			:: else -> break
			od;
			t++
		:: else -> break
		od;
		t = 0;
		n = 0
	}
}

proctype leader()
{
	byte g, bank, tmp, t, n;
	bit index, waiting;
	short sum;

	do
	:: g < GRACE_PERIODS ->
		g++;
		store(LEADER, POINTER, g, ORDERED);
#ifndef NO_L
		fence(LEADER);							/* L */
#endif
#ifdef PUBLISH
		load(LEADER, AREA, tmp, ORDERED);
		if
		:: tmp -> run_grace_period()
		:: else
		fi;
#else
		run_grace_period();
#endif
		check_effects();
		freed = g
	:: else -> break
	od
}

init {
	byte t = 1;

	atomic {
#ifdef PUBLISH
		value[MESSAGE(CURRENT, 0)] = NO_BANK;
#endif
		value[MESSAGE(DRAINING, 0)] = NO_BANK;
		run leader();
		do
		:: t < THREADS -> run reader(t); t++
		:: else -> break
		od
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * retour_rcu: reader threads and a leader that is also the updater.
 *
 * Configurations: READERS threads, each with a record of its own or, with
 * HANDOVER, one after the other with the same; SECTIONS sections each;
 * GRACE_PERIODS; HANDLER: one section in a signal handler at any point of
 * thread 1; DIES: thread 1 ends inside its section; FENCES: membarrier is
 * refused.  The mutants are the NO_ and BAD_ macros.
 */
#ifndef READERS
#define READERS 1
#endif
#ifndef SECTIONS
#define SECTIONS 2
#endif
#ifndef GRACE_PERIODS
#define GRACE_PERIODS 2
#endif

#ifdef HANDOVER
#define RECORDS 1
#define RECORD(t) 0
#else
#define RECORDS READERS
#define RECORD(t) ((t) - 1)
#endif

#define THREADS (READERS + 1)
#define LEADER 0	/* the others, 1 to READERS, are their tids */
#define MESSAGES 12

/* Locations. */
#define POINTER 0	/* what readers dereference: its value is the age of the object */
#define FIELDS 4
#define EFFECT(r) (1 + (r) * FIELDS)	/* what sections write: their number */
#define NESTING(r) (2 + (r) * FIELDS)
#define SPECIAL(r) (3 + (r) * FIELDS)
#define TID(r) (4 + (r) * FIELDS)
#define LOCATIONS (1 + RECORDS * FIELDS)

#include "machine.pml"

#ifdef NO_K
#define ORDER_K RELAXED
#else
#define ORDER_K ORDERED
#endif
#ifdef NO_N
#define ORDER_N RELAXED
#else
#define ORDER_N ORDERED
#endif
#ifdef NO_Q
#define ORDER_Q RELAXED
#else
#define ORDER_Q ORDERED
#endif
/* The PI futexes: the words, always exchanged or changed by the kernel, and what the kernel knows beside them. */
byte boost[RECORDS];
#define LEADER_TID 7
#define WAITERS 8
#define OWNER(v) ((v) & 7)
bit asleep[RECORDS];	/* the leader */
bit unlending[RECORDS];	/* without priority inheritance */
byte locker[RECORDS];	/* for whom it sleeps, whatever becomes of the word */
bit dead[THREADS];

/* What the properties are about; no thread reads it. */
#define NEVER 255
#define AGES 8
byte freed;			/* objects younger than this are still there */
byte began[RECORDS];		/* sections of the record, but for the handler's */
byte age[RECORDS * AGES];	/* by section: that of the object it found */
#define HANDLERS_SECTION (AGES - 1)
byte deaths;
bit in_handler;
bit fast;			/* retour_rcu_reader of thread 1 is set */

inline give_to_leader()
{
	if
	:: boost[r] & WAITERS -> boost[r] = LEADER_TID; asleep[r] = 0
	:: else -> boost[r] = 0
	fi
}

/* reader_report() */
inline report()
{
	exchange(t, SPECIAL(r), 0, tmp, ORDER_K);				/* K */
	if
	:: tmp ->
#ifndef NO_g
		fence(t);							/* g */
#endif
#ifndef NO_WAKE
		if
		:: atomic { boost[r] == t -> boost[r] = 0 }
		:: else ->
			atomic {	/* FUTEX_UNLOCK_PI; EINVAL if who sleeps did not lock */
				if
				:: OWNER(boost[r]) == t && !unlending[r] -> give_to_leader(); tmp = 0
				:: else
				fi
			}
			if
			:: tmp ->
				boost[r] = 0;
				atomic {	/* FUTEX_WAKE */
					if
					:: unlending[r] -> unlending[r] = 0; asleep[r] = 0
					:: else
					fi
				}
			:: else
			fi
		fi
#endif
	:: else
	fi;
	tmp = 0
}

#define ADD_NESTING(t, r, n, order) store(t, NESTING(r), LATEST(NESTING(r)) + (n), order)

/* The object is still there. */
#define ACCESS(r, number) assert(age[(r) * AGES + (number)] >= freed)

inline read_lock()
{
#ifdef NO_H
	load(t, POINTER, age[(r) * AGES + number], RELAXED);
	ADD_NESTING(t, r, 1, RELAXED);
#else
	ADD_NESTING(t, r, 1, RELAXED);
#ifdef FENCES
	fence(t);
#endif
#ifdef HANDLER
	if
	:: !fast -> fence(t)	/* retour_rcu_read_lock_slow(), within claim */
	:: else
	fi;
#endif
	load(t, POINTER, age[(r) * AGES + number], RELAXED);			/* H: behind the store */
#endif
}

inline read_unlock()
{
#ifdef NO_I
	ADD_NESTING(t, r, -1, RELAXED);
	ACCESS(r, number);
#else
	ACCESS(r, number);
#ifdef NO_J
	load(t, SPECIAL(r), tmp, RELAXED);
#endif
	ADD_NESTING(t, r, -1, ORDERED);						/* I */
#endif
#ifdef FENCES
	fence(t);
#endif
#ifndef NO_J
	load(t, SPECIAL(r), tmp, RELAXED);					/* J: behind the store */
#endif
	if
	:: tmp && LATEST(NESTING(r)) == 0 -> report()
	:: else -> tmp = 0
	fi
}

/* reader_claim() */
inline claim()
{
	atomic {
#ifdef HANDOVER
		(t == 1 || (began[r] && (LATEST(TID(r)) == 0 || (dead[1] && LATEST(NESTING(r)) == 0))));
#endif
		exchange(t, TID(r), t, tmp, ORDERED);
		tmp = 0
	}
#ifndef NO_G
	fence(t);								/* G */
#endif
	fast = 1
}

/* give_back(), then the kernel's part */
inline leave()
{
	if
	:: report(); store(t, TID(r), 0, ORDERED)
	:: skip		/* claimed again after the destructors had run */
	fi;
	die()
}

inline die()
{
	atomic {
		dead[t] = 1;
		if
		:: asleep[r] && locker[r] == t -> boost[r] = LEADER_TID; asleep[r] = 0
		:: else
		fi
	}
}

proctype reader(byte t)
#ifdef HANDLER
	provided (!in_handler)
#endif
{
	byte r = RECORD(t), n, number, tmp;

	claim();
	do
	:: n < SECTIONS ->
		d_step { number = began[r]; age[r * AGES + number] = NEVER; began[r]++ }
		read_lock();
		store(t, EFFECT(r), number + 1, RELAXED);
#ifdef DIES
		if
		:: t == 1 && n == SECTIONS - 1 -> age[r * AGES + number] = NEVER; die(); goto end
		:: else
		fi;
#endif
		read_unlock();
		n++
	:: else -> break
	od;
#ifdef HANDOVER
	if
	:: t == 1 -> leave()
	:: else
	fi;
#endif
end:	skip
}

#ifdef HANDLER
proctype handler()
{
	byte t = 1, r, number = HANDLERS_SECTION, tmp;

end:	atomic { LATEST(TID(0)) == 1 -> in_handler = 1; age[HANDLERS_SECTION] = NEVER }
	read_lock();
	read_unlock();
	in_handler = 0
}
#endif

inline arm()
{
	load(LEADER, TID(r), tid, RELAXED);
#ifdef NO_P
	store(LEADER, SPECIAL(r), 1, RELAXED);
	boost[r] = tid
#else
	boost[r] = tid;
	store(LEADER, SPECIAL(r), 1, ORDERED)					/* P */
#endif
}

inline disarm()
{
	exchange(LEADER, SPECIAL(r), 0, tmp, ORDERED);
	if
	:: tmp -> boost[r] = 0
	:: else
	fi
}

inline membarrier()
{
	fence(LEADER);
#ifndef FENCES
	tmp = 1;
	do
	:: tmp < THREADS -> fence(tmp); tmp++
	:: else -> break
	od;
	fence(LEADER)
#endif
}

inline first_look()
{
	remote = 0;
	r = 0;
	do
	:: r < RECORDS ->
		load(LEADER, TID(r), tid, RELAXED);
		remote = remote || tid;
		load(LEADER, NESTING(r), tmp, RELAXED);
		if
		:: tmp ->
			arm();
#ifndef BAD_ARMED_NOT_REMOTE
			remote = 1
#endif
		:: else
		fi;
		r++
	:: else -> break
	od
}

inline second_look()
{
	late = 0;
	r = 0;
	do
	:: r < RECORDS ->
		load(LEADER, NESTING(r), tmp, ORDER_N);				/* N */
		if
		:: tmp == 0 -> disarm()
		:: else ->
			load(LEADER, SPECIAL(r), tmp, ORDER_Q);			/* Q */
			if
			:: tmp == 0 ->
#ifndef BAD_REPORT_TRUSTED
				arm(); late = 1
#endif
			:: else
			fi
		fi;
		r++
	:: else -> break
	od
}

/* The futex is to be locked by the thread that has the record now. */
inline lock_for()
{
	tmp = boost[r];
	if
	:: OWNER(tmp) == tid && (lends || tmp & WAITERS)
	:: else ->
		if
		:: atomic { boost[r] == tmp -> boost[r] = (lends -> tid : tid | WAITERS) }
		:: else
		fi
	fi
}

inline bury()
{
	load(LEADER, TID(r), tmp, ORDERED);
	if
	:: tmp == tid ->
		store(LEADER, NESTING(r), 0, RELAXED);
		store(LEADER, SPECIAL(r), 0, RELAXED);
		boost[r] = 0;
		store(LEADER, TID(r), 0, ORDERED);
		deaths++
	:: else
	fi
}

#define LOCKED 0
#define QUEUED 1
#define NO_OWNER 2

inline lock_pi()
{
	atomic {
		if
		:: boost[r] == 0 -> boost[r] = LEADER_TID; tmp = LOCKED
		:: boost[r] != 0 && dead[OWNER(boost[r])] -> tmp = NO_OWNER
		:: else -> boost[r] = boost[r] | WAITERS; locker[r] = OWNER(boost[r]); asleep[r] = 1; tmp = QUEUED
		fi
	}
	if
	:: tmp == NO_OWNER -> bury()
	:: else ->
		atomic { asleep[r] == 0 -> locker[r] = 0 }
		if
		:: atomic { boost[r] == LEADER_TID -> boost[r] = 0 }
		:: else
		fi
	fi
}

/* FUTEX_WAIT; its time limit shows only where the thread is dead, which lock_pi() finds. */
inline wait_unlending()
{
	atomic {
		if
		:: boost[r] == (tid | WAITERS) -> unlending[r] = 1; asleep[r] = 1
		:: else
		fi
	}
	atomic { asleep[r] == 0 || dead[tid] -> unlending[r] = 0; asleep[r] = 0 }
}

inline sleep()
{
	if
	:: lends -> lock_pi()
	:: else -> wait_unlending()
	fi
}

inline sleep_for()
{
	if
	:: lends = 0
	:: lends = 1
	fi;
	lock_for();
#ifndef NO_h
	fence(LEADER);								/* h */
	load(LEADER, SPECIAL(r), tmp, ORDER_Q);
	if
	:: tmp -> sleep()
	:: else
	fi
#else
	sleep()
#endif
}

inline wait_reader()
{
	do
	:: true ->
		load(LEADER, TID(r), tid, RELAXED);
		load(LEADER, SPECIAL(r), tmp, ORDER_Q);				/* Q */
		if
		:: tmp == 0 -> break
		:: else
		fi;
		load(LEADER, NESTING(r), tmp, ORDER_N);				/* N */
		if
		:: tmp == 0 -> disarm(); break
		:: else
		fi;
		if
		:: true		/* spins on */
		:: late ->
#ifndef NO_O
			membarrier();						/* O */
#endif
			late = 0
		:: !late -> sleep_for()
		fi
	od
}

inline rcu_run()
{
	first_look();
	if
	:: remote ->
#ifndef NO_M
		membarrier()							/* M */
#endif
	:: else
	fi;
#ifndef BAD_NO_RESCAN
	second_look();
#endif
	r = 0;
	do
	:: r < RECORDS -> wait_reader(); r++
	:: else -> break
	od
}

/* What whoever learns of the end of the grace period sees of the sections that it waited for. */
inline check_effects(g)
{
	d_step {
		r = 0;
		do
		:: r < RECORDS ->
			tmp = 0;
			do
			:: tmp < began[r] ->
				assert(age[r * AGES + tmp] >= g ||
				       value[MESSAGE(EFFECT(r), VIEW(LEADER, EFFECT(r)))] > tmp);
				tmp++
			:: else -> break
			od;
			r++
		:: else -> break
		od;
		tmp = 0
	}
}

proctype leader()
{
	byte g, r, tid, tmp;
	bit remote, late, lends;

	do
	:: g < GRACE_PERIODS ->
		g++;
		store(LEADER, POINTER, g, ORDERED);
#ifndef NO_L
		fence(LEADER);							/* L */
#endif
		rcu_run();
		check_effects(g);
		freed = g
	:: else -> break
	od
}

init {
	byte t = 1;

	atomic {
		run leader();
		do
		:: t < THREADS -> run reader(t); t++
		:: else -> break
		od;
#ifdef HANDLER
		run handler()
#endif
	}
}

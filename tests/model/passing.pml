/* SPDX-License-Identifier: MIT */
/*
 * What is only handed from thread to thread: the pairs of barriers of which one
 * stores after, and the other loads before.  GIVER writes something and then a
 * word; TAKER, who finds the word, must find the other thing.  The mutants are
 * the NO_ macros.
 */
#define THREADS 2
#define GIVER 0
#define TAKER 1
#define MESSAGES 4

/* Locations. */
#define CONTENTS 0
#define WORD 1
#define LOCATIONS 2

#include "machine.pml"

#if defined(NO_i) || defined(NO_k) || defined(NO_m)
#define ORDER_GIVE RELAXED
#else
#define ORDER_GIVE ORDERED
#endif
#if defined(NO_j) || defined(NO_l) || defined(NO_n)
#define ORDER_TAKE RELAXED
#else
#define ORDER_TAKE ORDERED
#endif

proctype giver()
{
	byte tmp;

	store(GIVER, CONTENTS, 1, RELAXED);
#ifdef REQUEST
	exchange(GIVER, WORD, 1, tmp, ORDER_GIVE)				/* m */
#else
	store(GIVER, WORD, 1, ORDER_GIVE)					/* i k */
#endif
}

proctype taker()
{
	byte tmp;

#ifdef HANDOVER
	compare_exchange(TAKER, WORD, 1, 2, tmp, ORDER_TAKE);			/* l */
#else
	load(TAKER, WORD, tmp, ORDER_TAKE);					/* j n */
#endif
	if
	:: tmp == 1 ->
		load(TAKER, CONTENTS, tmp, RELAXED);
		assert(tmp == 1)
	:: else
	fi
}

init {
	atomic {
		run giver();
		run taker()
	}
}

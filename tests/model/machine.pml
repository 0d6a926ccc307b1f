/* SPDX-License-Identifier: MIT */
/*
 * A weakly ordered machine, of which each model is a program.
 *
 * A location keeps all the messages (values) ever stored to it.  A thread
 * has a view: for each location the oldest message that it may still read.  A
 * load picks any message from there on, so an old value may be read long
 * after it was overwritten, unless something ordered the two: a release
 * store's message carries the view of its thread, an acquire load adds that
 * to its own, and full fences go through one view that they share.  This is
 * the view machine of RC11: weaker than x86-64 and, but for loads delayed
 * behind later stores, than ARMv8; those are written as swapped statements.
 *
 * membarrier is a full fence put into each thread wherever that thread is, one
 * thread after the other, between two fences of the caller.
 *
 * A model defines THREADS, LOCATIONS and MESSAGES and includes this.
 */
#define RELAXED 0
#define ORDERED 1	/* acquire for loads, release for stores, both for exchanges */

#define MESSAGE(l, i) ((l) * MESSAGES + (i))
#define CARRIED(l, i, k) carried[MESSAGE(l, i) * LOCATIONS + (k)]
#define VIEW(t, k) view[(t) * LOCATIONS + (k)]
#define HEARD(t, k) heard[(t) * LOCATIONS + (k)]	/* by relaxed loads: a fence adds it to the view */
#define LATEST(l) value[MESSAGE(l, top[l])]

byte top[LOCATIONS];
byte value[LOCATIONS * MESSAGES];
byte carried[LOCATIONS * MESSAGES * LOCATIONS];
byte view[THREADS * LOCATIONS];
byte heard[THREADS * LOCATIONS];
byte fences[LOCATIONS];
byte pick;
hidden byte k_;

#define RAISE(to, by) to = ((by) > (to) -> (by) : (to))
#define EACH_LOCATION(statement) k_ = 0; do :: k_ < LOCATIONS -> statement; k_++ :: else -> break od; k_ = 0

inline fence(thread)
{
	d_step {
		EACH_LOCATION(
			RAISE(VIEW(thread, k_), HEARD(thread, k_));
			RAISE(VIEW(thread, k_), fences[k_]);
			fences[k_] = VIEW(thread, k_);
			HEARD(thread, k_) = VIEW(thread, k_))
	}
}

#define READ_MESSAGE(t, l, dest, order)                                        \
	VIEW(t, l) = pick;                                                     \
	dest = value[MESSAGE(l, pick)];                                        \
	EACH_LOCATION(                                                         \
		RAISE(HEARD(t, k_), CARRIED(l, pick, k_));                     \
		RAISE(VIEW(t, k_), (order -> CARRIED(l, pick, k_) : 0));       \
		RAISE(HEARD(t, k_), VIEW(t, k_)));                             \
	pick = 0

/* What the message before carried goes on in an exchange: inherit is 1. */
#define APPEND_MESSAGE(t, l, new, order, inherit)                              \
	assert(top[l] < MESSAGES - 1);                                         \
	pick = new;                                                            \
	top[l]++;                                                              \
	LATEST(l) = pick;                                                      \
	VIEW(t, l) = top[l];                                                   \
	HEARD(t, l) = top[l];                                                  \
	EACH_LOCATION(                                                         \
		CARRIED(l, top[l], k_) = (order -> VIEW(t, k_) : 0);           \
		RAISE(CARRIED(l, top[l], k_), (inherit -> CARRIED(l, top[l] - 1, k_) : 0))); \
	CARRIED(l, top[l], l) = top[l];                                        \
	pick = 0

inline load(thread, loc, dest, order)
{
	atomic {
		pick = VIEW(thread, loc);
		do
		:: pick < top[loc] -> pick++
		:: break
		od;
		d_step { READ_MESSAGE(thread, loc, dest, order) }
	}
}

inline store(thread, loc, new, order)
{
	d_step { APPEND_MESSAGE(thread, loc, new, order, 0) }
}

inline exchange(thread, loc, new, old, order)
{
	d_step {
		pick = top[loc];
		READ_MESSAGE(thread, loc, old, order);
		APPEND_MESSAGE(thread, loc, new, order, 1)
	}
}

/* Strong; what was found is in old. */
inline compare_exchange(thread, loc, expected, new, old, order)
{
	d_step {
		pick = top[loc];
		if
		:: LATEST(loc) == (expected) ->
			READ_MESSAGE(thread, loc, old, order);
			APPEND_MESSAGE(thread, loc, new, order, 1)
		:: else ->
			READ_MESSAGE(thread, loc, old, RELAXED)
		fi
	}
}

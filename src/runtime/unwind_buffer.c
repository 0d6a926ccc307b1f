/* SPDX-License-Identifier: MIT */
/* Room for walks; see unwind_buffer.h. */
#include "runtime/unwind_buffer.h"

#include <sched.h>
#include <stddef.h>
#include <sys/mman.h>

#include "rcu/sys.h"

#define PLACES 64u

/* A buffer is in its place or with one thread: it goes by exchanges, so no list can be caught in pieces. */
static struct unwind_buffer *places[PLACES];

struct unwind_buffer *unwind_buffer_get(void)
{
	unsigned int first = (unsigned int)sched_getcpu();
	long address;

	for (unsigned int i = 0; i < PLACES; i++) {
		struct unwind_buffer **place = &places[(first + i) % PLACES];
		struct unwind_buffer *buffer = __atomic_load_n(place, __ATOMIC_RELAXED);

		/* (l) pairs with (m): the last user has done with it. */
		if (buffer && (buffer = __atomic_exchange_n(place, NULL, __ATOMIC_ACQUIRE)))
			return buffer;
	}
	address = sys_call(SYS_mmap, 0, sizeof(struct unwind_buffer), PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	return address < 0 && address > -4096 ? NULL : (struct unwind_buffer *)address;
}

void unwind_buffer_put(struct unwind_buffer *buffer)
{
	unsigned int first = (unsigned int)sched_getcpu();

	if (!buffer)
		return;
	for (unsigned int i = 0; i < PLACES; i++) {
		struct unwind_buffer *none = NULL;

		/* (m) pairs with (l): what was done with it is before its return. */
		if (__atomic_compare_exchange_n(&places[(first + i) % PLACES], &none, buffer, false, __ATOMIC_RELEASE,
						__ATOMIC_RELAXED))
			return;
	}
	sys_call(SYS_munmap, (long)buffer, sizeof(*buffer), 0, 0, 0, 0);
}

/* SPDX-License-Identifier: MIT */
/*
 * Which loaded object an address lies in, and where its unwind tables are.
 *
 * glibc says it at any moment since 2.35, by _dl_find_object().  Before, the
 * list of objects can only be had under the loader's lock, which no handler may
 * take: there a copy of the list is kept, made where locks may be taken.
 */
#ifndef RETOUR_RUNTIME_UNWIND_OBJECTS_H
#define RETOUR_RUNTIME_UNWIND_OBJECTS_H

#include <stdbool.h>

struct unwind_object {
	unsigned long start, end;
	const unsigned char *header;	/* .eh_frame_hdr; NULL: none */
};

/* *object, zeroed before the first call, is the last answer.  Async-signal-safe: no lock, no allocation. */
bool unwind_object_find(struct unwind_object *object, unsigned long pc);

#endif

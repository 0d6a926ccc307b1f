/* SPDX-License-Identifier: MIT */
/*
 * Who is writing a record, and whether it still can.
 *
 * A record that is being written carries its writer's thread id.  A writer is
 * taken for dead only if it certainly is: there is no such thread, or it
 * does not map the rings (it died, or the id is somebody else's now).  Without
 * certainty (other pid namespace, no right to look) it lives.
 */
#ifndef RETOUR_RUNTIME_RING_OWNER_H
#define RETOUR_RUNTIME_RING_OWNER_H

#include "runtime/ring_layout.h"

/* Before the first owner_tid() of the process, not in a signal handler. */
void owner_prepare(void);

/* The calling thread's id as seen where the library began, RING_NOBODY if it is in another namespace now. */
uint32_t owner_tid(void);

/* Inode of the calling process's pid namespace, 0: not known. */
uint64_t owner_pid_ns(void);

/*
 * If the writer of a record with this busy header is dead (certain: whoever
 * it is), gives the record a header of its own right.  True if *header is
 * not busy any more.  Async-signal-safe, some system calls.
 */
bool owner_bury(const struct ring_map *map, uint64_t *header, uint64_t busy, bool certain);

/* The same for the lock of a ring. */
void owner_unlock_dead(const struct ring_map *map, struct ring_words *words, bool certain);

#endif

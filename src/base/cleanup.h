/* SPDX-License-Identifier: MIT */
/*
 * Scope cleanup: a variable marked _cleanup_(f) is handed to f when its scope
 * ends, so early returns need no goto chain.  steal_ptr() and steal_fd() take
 * a value out before that happens.
 */
#ifndef RETOUR_BASE_CLEANUP_H
#define RETOUR_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define _cleanup_(f) __attribute__((cleanup(f)))

/* DEFINE_CLEANUP(foo_close, struct foo *) makes foo_closep() for _cleanup_. */
#define DEFINE_CLEANUP(f, type)                       \
	static inline void f##p(type *p)              \
	{                                             \
		if (*p)                               \
			f(*p);                        \
	}                                             \
	struct retour_semicolon_

static inline void freep(void *p)
{
	free(*(void **)p);
}

static inline void closep(const int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void fclosep(FILE **f)
{
	if (*f)
		fclose(*f);
}

#define _cleanup_free_ _cleanup_(freep)
#define _cleanup_close_ _cleanup_(closep)
#define _cleanup_fclose_ _cleanup_(fclosep)

#define steal_ptr(p)                                  \
	({                                            \
		__typeof__(p) stolen_ = (p);          \
		(p) = NULL;                           \
		stolen_;                              \
	})

static inline int steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

#endif

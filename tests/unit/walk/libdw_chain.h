/* SPDX-License-Identifier: MIT */
/* The chain of a traced, stopped program as elfutils' libdw sees it. */
#ifndef RETOUR_TESTS_WALK_LIBDW_CHAIN_H
#define RETOUR_TESTS_WALK_LIBDW_CHAIN_H

#include "replay.h"

#include <elfutils/libdwfl.h>

struct libdw {
	Dwfl *dwfl;
	const struct snapshot_maps *maps;	/* that its modules are of */
};

/* complete: libdw found the outermost frame.  Else *error says why not.  False if it cannot attach. */
bool libdw_chain(struct libdw *libdw, const struct traced *traced, const struct snapshot *snapshot,
		 struct replay_chain *ret, const char **error);
void libdw_close(struct libdw *libdw);

#endif

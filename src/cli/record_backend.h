/* SPDX-License-Identifier: MIT */
/* The session of a recording, with the best backend that works or the one that was asked for. */
#ifndef RETOUR_CLI_RECORD_BACKEND_H
#define RETOUR_CLI_RECORD_BACKEND_H

#include "base/error.h"
#include "cli/backends.h"
#include "collect/session.h"

struct backend_wish {
	const struct backend_kind *backend;	/* NULL: auto */
	struct session_options session;		/* without its backend */
	bool own;				/* what is recorded was started here */
	bool quiet;
};

/*
 * Says on stderr, unless quiet, what the chosen backend is and why it is not a
 * better one, with the remedy.  The error names the remedy too; it is that of
 * the best backend that lacks nothing, or else of the best there is, and then
 * the others' are said before.
 */
ERROR_CHECK struct error *record_backend_open(const struct backend_wish *wish, struct machine *machine,
					      struct session **ret);

#endif

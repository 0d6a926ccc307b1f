/* SPDX-License-Identifier: MIT */
/* Which of the backends this machine and user can use, and which one auto takes. */
#ifndef RETOUR_CLI_BACKENDS_H
#define RETOUR_CLI_BACKENDS_H

#include "cli/machine.h"

enum { N_BACKENDS = 4 };

struct backend_kind {
	const char *name;
	bool automatic;			/* auto may take it */
	bool in_process;		/* works inside the programs, with events of its own, and sees nothing else */
	uint64_t needs_first;		/* features whose lack a try would not show, or not survive … */
	uint64_t needs;			/* … those and the others … */
	uint64_t needs_for_machine;	/* … and these to record more than this user's own processes */
};

/* In the order in which auto tries them. */
extern const struct backend_kind backend_kinds[N_BACKENDS];

struct backend_verdict {
	bool usable;
	char why[MACHINE_TEXT + 16];	/* not usable */
	const char *remedy;	/* of the machine's, or constant */
};

/* NULL: there is none of this name. */
const struct backend_kind *backend_find(const char *name);
struct backend_verdict backend_judge(struct machine *machine, const struct backend_kind *kind,
				     bool whole_machine);

#endif

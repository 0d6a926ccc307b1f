/* SPDX-License-Identifier: MIT */
/* The limits that a process inherits (setrlimit(2)): which of them makes a call fail, and what raises it. */
#ifndef RETOUR_CLI_LIMITS_H
#define RETOUR_CLI_LIMITS_H

#include "base/error.h"

/* A command that raises the limit behind an errno value; NULL: there is none behind it. */
const char *limit_remedy(int code);

/* Writing beyond the limit on the size of files becomes an error, and is none of the programs that are started. */
void limits_survive_large_files(void);

/* An error if no verb could run: it would end by a signal. */
ERROR_CHECK struct error *limits_check(void);

#endif

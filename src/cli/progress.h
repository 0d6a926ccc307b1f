/* SPDX-License-Identifier: MIT */
/* How far a recording has been read: a line on a terminal, once that takes longer than a second. */
#ifndef RETOUR_CLI_PROGRESS_H
#define RETOUR_CLI_PROGRESS_H

/* A samples_progress_fn; arg is what the line says is being done.  At 1 the line vanishes. */
void progress_show(const void *arg, double fraction);

#endif

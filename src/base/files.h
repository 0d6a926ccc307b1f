/* SPDX-License-Identifier: MIT */
/*
 * The limit on open files, seen before others hit it: libraries and kernels say
 * many things when they have no descriptor left, but rarely that.
 */
#ifndef RETOUR_BASE_FILES_H
#define RETOUR_BASE_FILES_H

#include <stdbool.h>

/* What raises it for the shell that one has. */
#define FILES_REMEDY "sudo prlimit --pid $$ --nofile=1048576"

/* Can so many more files be opened?  Tries it; others' may take them then. */
bool files_left(unsigned int n);

#endif

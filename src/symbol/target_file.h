/* SPDX-License-Identifier: MIT */
/*
 * Opening files as a process sees them: inside its root, whatever symbolic
 * links it made there, and nothing but regular files.
 */
#ifndef RETOUR_SYMBOL_TARGET_FILE_H
#define RETOUR_SYMBOL_TARGET_FILE_H

#include <stdint.h>

/* The root directory of a process, or ours if it is gone (or pid is 0, or we may not look): an fd or -errno. */
int target_root_open(uint32_t pid);
/* A regular file at a path inside the root, to read: an fd or -errno. */
int target_file_open(int root, const char *path);
/* The file of the first mapping of that path, unlinked or not: an fd or -errno. */
int target_mapped_file_open(uint32_t pid, const char *path);

#endif

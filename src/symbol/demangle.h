/* SPDX-License-Identifier: MIT */
/* C++ and Rust names as people write them: without parameters, without hashes. */
#ifndef RETOUR_SYMBOL_DEMANGLE_H
#define RETOUR_SYMBOL_DEMANGLE_H

#include <stdbool.h>

/* Cheap: false for most names that demangle() would refuse. */
bool demangle_wanted(const char *raw);
/* A malloc'ed name, or NULL: raw is not mangled, not well-formed, or would become too long. */
char *demangle(const char *raw);

#endif

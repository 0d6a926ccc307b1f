/* SPDX-License-Identifier: MIT */
/* The tracepoints of the tests' program, of its files in C and C++, and of its plugin. */
#ifndef TEST_RUNTIME_APP_TRACE_H
#define TEST_RUNTIME_APP_TRACE_H

#include "retour/tracepoint.h"

enum colour { RED, GREEN };
struct thing;

RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path));
RETOUR_TRACEPOINT(app, tick);
RETOUR_TRACEPOINT(app, reply, (int, id));
RETOUR_TRACEPOINT(app, lazy, (int, id), (const char *, path));
#define trace_app_lazy(...) RETOUR_TRACE(app_lazy, (__VA_ARGS__))
RETOUR_TRACEPOINT_FAULTABLE(app, load, (const char *, file), (unsigned long, size));
RETOUR_TRACEPOINT(app, kinds, (signed char, sc), (unsigned short, us), (bool, b), (float, f), (double, d),
		  (char *, text), (struct thing *, thing), (enum colour, colour), (long long, ll), (unsigned char, uc),
		  (const int, ci), (const void *, cv));

#ifdef __cplusplus
extern "C" {
#endif

/* other.c: the same tracepoints in another file. */
void other_request(int id, const char *path);
/* Has it a register function of its own? */
int other_register(void (*probe)(void *data, int id, const char *path), void *data);

/* cpp.cpp: in an inline member, in two instances of a template, in a lambda. */
void cpp_request(int id);
/* Its argument counts how often it was evaluated. */
void cpp_lazy(int *evaluated);
/* What a tracepoint of a namespace was given. */
int cpp_namespace(void);
int cpp_register(void (*probe)(void *data, int id, const char *path), void *data);

#ifdef __cplusplus
}
#endif
#endif

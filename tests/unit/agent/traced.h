/* SPDX-License-Identifier: MIT */
/* The tracepoints of the traced program. */
#ifndef TEST_AGENT_TRACED_H
#define TEST_AGENT_TRACED_H

#include "retour/tracepoint.h"

RETOUR_TRACEPOINT(app, request, (int, id), (const char *, path));
RETOUR_TRACEPOINT(app, pair, (int, a), (int, b));
RETOUR_TRACEPOINT(app, small, (signed char, c), (unsigned short, s), (double, d), (const void *, p));
RETOUR_TRACEPOINT(app, tick);

int main(int argc, char **argv);

#endif

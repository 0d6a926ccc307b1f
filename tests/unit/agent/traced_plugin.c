/* SPDX-License-Identifier: MIT */
/* An object that brings a tracepoint of its own, and one that the program has too. */
#include "traced.h"

RETOUR_TRACEPOINT(app, late, (long, number));

void plugin_trace(int number);

__attribute__((visibility("default"))) void plugin_trace(int number)
{
	trace_app_late(number);
	trace_app_pair(number, -number);
}

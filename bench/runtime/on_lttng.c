/* SPDX-License-Identifier: MIT */
/* The tracepoint's provider; it is switched on by the session before the program starts. */
#define LTTNG_UST_TRACEPOINT_CREATE_PROBES
#define LTTNG_UST_TRACEPOINT_DEFINE
#include "impl/lttng.h"

#include "on.h"

int on_begin(const char *how)
{
	return !lttng_ust_tracepoint_enabled(bench, event);
}

/* SPDX-License-Identifier: MIT */
/* LTTng-UST, Debian's; a session for its tracepoint is the script's. */
#undef LTTNG_UST_TRACEPOINT_PROVIDER
#define LTTNG_UST_TRACEPOINT_PROVIDER bench

#undef LTTNG_UST_TRACEPOINT_INCLUDE
#define LTTNG_UST_TRACEPOINT_INCLUDE "impl/lttng.h"

#if !defined(BENCH_RUNTIME_LTTNG_H) || defined(LTTNG_UST_TRACEPOINT_HEADER_MULTI_READ)
#define BENCH_RUNTIME_LTTNG_H

#include <lttng/tracepoint.h>

LTTNG_UST_TRACEPOINT_EVENT(bench, event,
	LTTNG_UST_TP_ARGS(int, a, int, b),
	LTTNG_UST_TP_FIELDS(lttng_ust_field_integer(int, a, a) lttng_ust_field_integer(int, b, b)))

#define FIRE(a, b) lttng_ust_tracepoint(bench, event, a, b)

#endif

#include <lttng/tracepoint-event.h>

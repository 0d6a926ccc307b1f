/* SPDX-License-Identifier: MIT */
#include <emmintrin.h>
#include <retour/tracepoint.h>

RETOUR_TRACEPOINT(bench, event, (int, a), (int, b));

#define FIRE(a, b) trace_bench_event(a, b)
#define DECLARE_SITE(name) RETOUR_TRACEPOINT(bench, name, (int, a), (int, b));
#define FIRE_SITE(name, a, b) trace_bench_##name(a, b)
#define FLUSH_SITE(name) _mm_clflush(&retour_tracepoint_bench_##name);

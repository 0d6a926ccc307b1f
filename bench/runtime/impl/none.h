/* SPDX-License-Identifier: MIT */
/* No tracepoint: what the loops cost. */
#define FIRE(a, b) ((void)(a), (void)(b))

/* SPDX-License-Identifier: MIT */
/* What one would write by hand: a flag in a structure that fills a cache line, loaded and tested. */
#include <emmintrin.h>

struct flag {
	int enabled;
} __attribute__((aligned(64)));

extern struct flag event_flag;
void fire_probe(int a, int b);

#define FIRE_FLAG_(flag, a, b)                                                 \
	do {                                                                   \
		if (__builtin_expect(__atomic_load_n(&(flag).enabled, __ATOMIC_RELAXED), 0)) \
			fire_probe(a, b);                                      \
	} while (0)
#define FIRE(a, b) FIRE_FLAG_(event_flag, a, b)
#define DECLARE_SITE(name) static struct flag flag_##name;
#define FIRE_SITE(name, a, b) FIRE_FLAG_(flag_##name, a, b)
#define FLUSH_SITE(name) _mm_clflush(&flag_##name);

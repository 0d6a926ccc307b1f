/* SPDX-License-Identifier: MIT */
/* A thousand sites of one key, and what stands at sites. */
#ifndef TEST_RUNTIME_SITES_H
#define TEST_RUNTIME_SITES_H

#include <string.h>

#include "retour/static_key.h"

#define TEN(x) x x x x x x x x x x

/* How many of SITES sites of the key saw it as true. */
#define SITES 1000
#define COUNT_SITES(key)                                                       \
	({                                                                     \
		int n_ = 0;                                                    \
		TEN(TEN(TEN(if (retour_static_branch_unlikely(key)) n_++;)))   \
		n_;                                                            \
	})

static inline const unsigned char *site_code(const struct retour_static_site *site)
{
	return (const unsigned char *)&site->code + site->code;
}

static inline bool site_is_nop(const struct retour_static_site *site)
{
	return memcmp(site_code(site), "\x0f\x1f\x44\x00\x00", 5) == 0;
}

static inline bool site_is_jump(const struct retour_static_site *site)
{
	int distance;

	memcpy(&distance, site_code(site) + 1, sizeof(distance));
	return *site_code(site) == 0xe9 &&
	       site_code(site) + 5 + distance == (const unsigned char *)&site->target + site->target;
}

/* The number of the key's sites in this object that are as `is` says. */
static inline int count_sites(const struct retour_static_key *key, bool (*is)(const struct retour_static_site *))
{
	int n = 0;

	for (const struct retour_static_site *s = __start_retour_static_sites; s < __stop_retour_static_sites; s++)
		n += (s->key & ~1UL) == (unsigned long)key && is(s);
	return n;
}

/* Does the library write the text of this object? */
static inline bool text_is_written(void)
{
	for (const struct retour_static_site *s = __start_retour_static_sites; s < __stop_retour_static_sites; s++)
		if (site_is_nop(s))
			return true;
	return false;
}

#endif

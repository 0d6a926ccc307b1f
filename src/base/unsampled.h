/* SPDX-License-Identifier: MIT */
/* The table of unsampled.def, as an enum with names and explanations. */
#ifndef RETOUR_BASE_UNSAMPLED_H
#define RETOUR_BASE_UNSAMPLED_H

enum unsampled {
#define UNSAMPLED(number, NAME, name, text) UNSAMPLED_##NAME = number,
#include "base/unsampled.def"
#undef UNSAMPLED
	UNSAMPLED_MAX = 8,	/* every number is below this */
};

/* The stable name; NULL: there is no such number. */
const char *unsampled_name(unsigned int why);
/* A sentence for people, or NULL. */
const char *unsampled_text(unsigned int why);

#endif

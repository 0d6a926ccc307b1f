/* SPDX-License-Identifier: MIT */
/* The reason table of reasons.def, as an enum with names and explanations. */
#ifndef RETOUR_BASE_REASON_H
#define RETOUR_BASE_REASON_H

enum reason {
	REASON_NONE = 0,
#define REASON(number, NAME, kind, name, text) REASON_##NAME = number,
#include "base/reasons.def"
#undef REASON
	REASON_MAX = 128,	/* every number is below this */
};

enum reason_kind { REASON_KIND_NONE, REASON_KIND_NO_USER, REASON_KIND_MISSING, REASON_KIND_TRUNCATED };

/* The stable name, "unknown reason N" never: an unknown number is "unknown". */
const char *reason_name(unsigned int reason);
/* One sentence for people. */
const char *reason_text(unsigned int reason);
enum reason_kind reason_kind(unsigned int reason);

#endif

/* SPDX-License-Identifier: MIT */
/* Look-ups in the reason table; see reasons.def. */
#include "base/reason.h"

#include <stddef.h>

static const struct {
	enum reason_kind kind;
	const char *name, *text;
} table[REASON_MAX] = {
	[REASON_NONE] = { REASON_KIND_NONE, "none", "nothing is missing" },
#define REASON(number, NAME, kind, name, text) [number] = { REASON_KIND_##kind, name, text },
#include "base/reasons.def"
#undef REASON
};

const char *reason_name(unsigned int reason)
{
	return reason < REASON_MAX && table[reason].name ? table[reason].name : "unknown";
}

const char *reason_text(unsigned int reason)
{
	return reason < REASON_MAX && table[reason].text ? table[reason].text : "unknown reason";
}

enum reason_kind reason_kind(unsigned int reason)
{
	return reason < REASON_MAX ? table[reason].kind : REASON_KIND_NONE;
}

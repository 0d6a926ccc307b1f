/* SPDX-License-Identifier: MIT */
/* Look-ups in the table of unsampled.def. */
#include "base/unsampled.h"

#include <stddef.h>

static const struct {
	const char *name, *text;
} table[UNSAMPLED_MAX] = {
#define UNSAMPLED(number, NAME, name, text) [number] = { name, text },
#include "base/unsampled.def"
#undef UNSAMPLED
};

const char *unsampled_name(unsigned int why)
{
	return why < UNSAMPLED_MAX ? table[why].name : NULL;
}

const char *unsampled_text(unsigned int why)
{
	return why < UNSAMPLED_MAX ? table[why].text : NULL;
}

/* SPDX-License-Identifier: MIT */
/* Choosing the size of stack copies; see copy_size.h. */
#include "collect/copy_size.h"

#include <linux/types.h>

#include "bpf/shared.h"

enum {
	PATIENCE = 256,			/* walks that must have shown that less would do */
	MAX_SURPRISES = 6,		/* each makes it four times as many */
	MARGIN = 2,
};

const uint32_t copy_sizes[N_COPY_SIZES] = { 65528, 16384 };

static bool choose(struct copy_size *size, unsigned int choice)
{
	bool changed = size->choice != choice;

	size->choice = choice;
	size->walks = size->reach = 0;
	return changed;
}

bool copy_size_learn(struct copy_size *size, uint64_t asked, uint64_t reach)
{
	if (reach > STACK_FAR)
		return false;		/* another stack: no copy would do */
	if (reach > asked && asked <= copy_sizes[COPY_SHORT]) {
		/* Copies that were under way at the change tell nothing new. */
		if (size->choice == COPY_SHORT && size->surprises < MAX_SURPRISES)
			size->surprises++;
		return choose(size, COPY_WHOLE);
	}
	size->walks++;
	if (reach > size->reach)
		size->reach = reach;
	if (size->choice == COPY_SHORT || size->walks < (uint64_t)PATIENCE << 2 * size->surprises)
		return false;
	return choose(size, size->reach <= copy_sizes[COPY_SHORT] / MARGIN ? COPY_SHORT : COPY_WHOLE);
}

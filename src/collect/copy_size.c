/* SPDX-License-Identifier: MIT */
/* Choosing the size of stack copies; see copy_size.h. */
#include "collect/copy_size.h"

#include <linux/types.h>

#include "bpf/shared.h"

enum {
	PATIENCE = 256,			/* samples that must have shown that less would do */
	MAX_SURPRISES = 6,		/* each makes it four times as many */
	SHORT_SAMPLES = 4096,		/* after which short copies are thought over … */
	MAX_CUT = 8,			/* … and of which so many may be cut */
	MARGIN = 2,
};

const uint32_t copy_sizes[N_COPY_SIZES] = { 65528, 16384 };

bool copy_size_is_deep(uint64_t reach)
{
	return reach > copy_sizes[COPY_SHORT] / MARGIN && reach <= STACK_FAR;
}

static bool choose(struct copy_size *size, unsigned int choice)
{
	bool changed = size->choice != choice;

	size->choice = choice;
	size->samples = size->deep = size->cut = 0;
	return changed;
}

bool copy_size_give_up(struct copy_size *size)
{
	/* Copies that were under way at the change tell nothing new. */
	if (size->choice == COPY_SHORT && size->surprises < MAX_SURPRISES)
		size->surprises++;
	return choose(size, COPY_WHOLE);
}

bool copy_size_learn(struct copy_size *size, bool deep, bool cut)
{
	size->samples++;
	size->deep += deep;
	if (size->choice == COPY_WHOLE) {
		if (size->samples < (uint64_t)PATIENCE << 2 * size->surprises)
			return false;
		return choose(size, size->deep <= size->samples / 4 ? COPY_SHORT : COPY_WHOLE);
	}
	size->cut += cut;
	if (size->cut > MAX_CUT)
		return copy_size_give_up(size);
	if (size->samples < SHORT_SAMPLES)
		return false;
	return size->deep <= size->samples / 2 ? choose(size, COPY_SHORT) : copy_size_give_up(size);
}

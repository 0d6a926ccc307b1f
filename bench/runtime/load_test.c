/* SPDX-License-Identifier: MIT */
/* What the flags of impl/load_test.h guard. */
#include "impl/load_test.h"

struct flag event_flag;

void fire_probe(int a, int b)
{
}

/* SPDX-License-Identifier: MIT */
/* The progress line; see progress.h. */
#include "cli/progress.h"

#include "base/clock.h"
#include "cli/cli.h"

enum { QUIET_NS = 1000000000, REDRAW_NS = 200000000 };

void progress_show(const void *arg, double fraction)
{
	static uint64_t start, shown;	/* one pass at a time */
	uint64_t now = clock_monotonic_ns();

	if (!cli_is_terminal(stderr))
		return;
	if (!start)
		start = now;
	if (fraction >= 1) {
		if (shown)
			fputs("\r\033[K", stderr);
		start = shown = 0;
	} else if (now - start >= QUIET_NS && now - shown >= REDRAW_NS) {
		fprintf(stderr, "\r\033[K%s: %.0f %%", (const char *)arg, fraction * 100);
		shown = now;
	}
	fflush(stderr);
}

/* SPDX-License-Identifier: MIT */
/* The events that -e takes, as the kernel calls them. */
#include "cli/events.h"

#include <linux/perf_event.h>
#include <string.h>

const struct cli_event cli_events[] = {
	{ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, false, "time on a CPU, by a timer of every CPU" },
	{ "task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, false, "time on a CPU, by a timer of the task" },
	{ "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, false, "CPU cycles, by the hardware counter" },
	{ "page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, false, "page faults" },
	{ "context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, false, "switches to another task" },
	{ "wall-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, true, "time, also asleep, of every thread: backend agent" },
	{ 0 },
};

const struct cli_event *cli_event_find(const char *name)
{
	for (const struct cli_event *e = cli_events; e->name; e++)
		if (!strcmp(e->name, name))
			return e;
	return NULL;
}

/* SPDX-License-Identifier: MIT */
/* The events that -e takes, as the kernel calls them. */
#include "cli/events.h"

#include <linux/perf_event.h>
#include <string.h>

const struct cli_event cli_events[] = {
	{ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK, "time on a CPU, by a timer of every CPU" },
	{ "task-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_TASK_CLOCK, "time on a CPU, by a timer of the task" },
	{ "cycles", PERF_TYPE_HARDWARE, PERF_COUNT_HW_CPU_CYCLES, "CPU cycles, by the hardware counter" },
	{ "page-faults", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_PAGE_FAULTS, "page faults" },
	{ "context-switches", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CONTEXT_SWITCHES, "switches to another task" },
	{ 0 },
};

const struct cli_event *cli_event_find(const char *name)
{
	for (const struct cli_event *e = cli_events; e->name; e++)
		if (!strcmp(e->name, name))
			return e;
	return NULL;
}

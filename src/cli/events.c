/* SPDX-License-Identifier: MIT */
/* The events that -e takes, as the kernel calls them. */
#include "cli/events.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

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

bool cli_event_available(const struct cli_event *event)
{
	struct perf_event_attr attr = {
		.type = event->type, .size = sizeof(attr), .config = event->config, .sample_period = 1000000,
		.disabled = 1, .exclude_kernel = 1, .exclude_hv = 1,
	};
	long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0)
		return errno == EACCES || errno == EPERM;
	close((int)fd);
	return true;
}

const struct cli_event *cli_event_default(void)
{
	const struct cli_event *cycles = cli_event_find("cycles");

	return cli_event_available(cycles) ? cycles : cli_event_find("cpu-clock");
}

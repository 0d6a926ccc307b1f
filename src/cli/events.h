/* SPDX-License-Identifier: MIT */
/* The events that -e takes. */
#ifndef RETOUR_CLI_EVENTS_H
#define RETOUR_CLI_EVENTS_H

#include <stdbool.h>
#include <stdint.h>

struct cli_event {
	const char *name;
	uint32_t type;		/* perf_event_attr.type and .config */
	uint64_t config;
	const char *description;
};

/* Ends with an entry without name. */
extern const struct cli_event cli_events[];

/* NULL for a name that is not in the table. */
const struct cli_event *cli_event_find(const char *name);
/* Can the kernel make such an event?  Missing rights count as yes: opening it for real will tell. */
bool cli_event_available(const struct cli_event *event);
/* cycles where the machine has them, cpu-clock otherwise. */
const struct cli_event *cli_event_default(void);

#endif

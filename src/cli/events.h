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
	bool in_process;	/* of backend agent alone */
	const char *description;
};

/* Ends with an entry without name. */
extern const struct cli_event cli_events[];

/* NULL for a name that is not in the table. */
const struct cli_event *cli_event_find(const char *name);

#endif

/* SPDX-License-Identifier: MIT */
/* A user call chain as it came from the kernel side or was finished here. */
#ifndef RETOUR_COLLECT_CHAIN_H
#define RETOUR_COLLECT_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

struct chain {
	uint64_t time, cookie;
	uint32_t pid, tid, cpu;		/* cpu: where it was walked */
	uint16_t reason;		/* 0: complete */
	uint16_t n;
	const uint64_t *ips;		/* innermost first */
};

#endif

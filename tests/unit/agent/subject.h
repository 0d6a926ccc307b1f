/* SPDX-License-Identifier: MIT */
#ifndef TEST_AGENT_SUBJECT_H
#define TEST_AGENT_SUBJECT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct part {
	const char *name;
	void (*run)(void);
};

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			printf("line %d: %s\n", __LINE__, #condition);         \
			exit(1);                                               \
		}                                                              \
	} while (0)

/* Uses so much CPU time of the thread. */
unsigned long spin(unsigned int ms);

#endif

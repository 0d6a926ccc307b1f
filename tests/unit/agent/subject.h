/* SPDX-License-Identifier: MIT */
/* The parts of the subject. */
#ifndef TEST_AGENT_SUBJECT_H
#define TEST_AGENT_SUBJECT_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

struct part {
	const char *name;
	void (*run)(void);
};

/* subject_signals.c, subject_seccomp.c */
extern const struct part signal_parts[], seccomp_parts[];

/* This program's file. */
extern const char *self;

#define MUST(condition)                                                        \
	do {                                                                   \
		if (!(condition)) {                                            \
			printf("%s:%d: %s\n", __FILE__, __LINE__, #condition); \
			exit(1);                                               \
		}                                                              \
	} while (0)

/* Uses so much CPU time of the thread. */
unsigned long spin(unsigned int ms);

#endif

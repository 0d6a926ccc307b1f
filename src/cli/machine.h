/* SPDX-License-Identifier: MIT */
/*
 * What this machine lets this user do.  Every feature is probed by trying it,
 * never inferred from a version.
 */
#ifndef RETOUR_CLI_MACHINE_H
#define RETOUR_CLI_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An obstacle stands before the features that fail because of it. */
enum feature_id {
	FEATURE_PROC, FEATURE_SYS, FEATURE_SECCOMP_PERF, FEATURE_SECCOMP_BPF, FEATURE_USER_NAMESPACE,
	FEATURE_PID_NAMESPACE, FEATURE_CONTAINER, FEATURE_CHROOT, FEATURE_NEW_PRIVILEGES,
	FEATURE_BTF, FEATURE_TASK_WORK,
	FEATURE_CAP_BPF, FEATURE_CAP_PERFMON, FEATURE_CAP_SYS_PTRACE, FEATURE_CAP_DAC_READ_SEARCH,
	FEATURE_CAP_CHECKPOINT_RESTORE, FEATURE_CAP_SYSLOG, FEATURE_CAP_IPC_LOCK,
	FEATURE_MEMORY,
	FEATURE_BPF_PROGRAM, FEATURE_PERF_EVENTS, FEATURE_PERF_EVENTS_OWN, FEATURE_BPF_WALKER,
	FEATURE_DEFERRED_CHAINS, FEATURE_STACK_COPIES, FEATURE_AGENT,
	FEATURE_CPU_CLOCK, FEATURE_TASK_CLOCK, FEATURE_CYCLES, FEATURE_PAGE_FAULTS, FEATURE_CONTEXT_SWITCHES,
	FEATURE_KERNEL_SYMBOLS, FEATURE_PARANOID, FEATURE_PERF_MLOCK, FEATURE_MEMLOCK, FEATURE_FILES,
	N_FEATURES,
};

#define FEATURE(name)	(1ULL << FEATURE_##name)

struct machine_feature {
	const char *name;	/* stable, for scripts */
	const char *text;	/* what it is, for people */
	bool available;
	char value[192];	/* what was found, may be empty */
	char remedy[640];	/* what to do if it is not available */
	int code;		/* errno of a try that tells nothing about its cause, or 0 */
};

/* Starts as zeroes; a feature is probed when it is asked for, once. */
struct machine {
	struct machine_feature features[N_FEATURES];
};

const struct machine_feature *machine_feature(struct machine *machine, enum feature_id id);
/* What may mend an error (an errno value) although no feature is missing. */
const char *machine_remedy_of(int code);
/* Takes a feature to be there without a probe. */
void machine_assume(struct machine *machine, enum feature_id id);
/* The bit of a feature, or 0. */
uint64_t machine_feature_named(const char *name);
/* The first feature of the mask that is missing, or NULL. */
const struct machine_feature *machine_obstacle(struct machine *machine, uint64_t needed);
/* "TEXT: VALUE", or only the text. */
enum { MACHINE_TEXT = 288 };
void machine_describe(const struct machine_feature *feature, char *ret, size_t size);

#endif

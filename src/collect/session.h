/* SPDX-License-Identifier: MIT */
/*
 * A recording session: from the events to the finished file.
 *
 * create, start, poll until done, finish, destroy; all from one thread.
 */
#ifndef RETOUR_COLLECT_SESSION_H
#define RETOUR_COLLECT_SESSION_H

#include "base/cleanup.h"
#include "base/error.h"
#include "base/reason.h"
#include "base/unsampled.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

enum { SESSION_MAX_EVENTS = 5, SESSION_MAX_DEPTH = 4096, SESSION_MAX_FREQUENCY = 20000 };
#define SESSION_MAX_PERIOD (1ULL << 40)

struct session_event {
	const char *name;	/* or PROVIDER:GLOB, tracepoints of the program */
	uint32_t type;		/* perf_event_attr.type and .config */
	uint64_t config;
};

static inline bool session_event_is_pattern(const struct session_event *event)
{
	return strchr(event->name, ':');
}

enum session_scope {
	SESSION_SYSTEM,		/* every CPU */
	SESSION_PROCESSES,	/* pids, all their threads, and what they fork from now on */
	SESSION_THREADS,	/* pids are single threads */
};

/* What it points to stays until the session is destroyed. */
struct session_options {
	const char *backend;			/* "bpf" */
	const struct session_event *events;	/* at most SESSION_MAX_EVENTS */
	size_t n_events;
	enum session_scope scope;
	const pid_t *pids;
	size_t n_pids;
	const char *command;			/* that the one pid is about to become, or NULL */
	uint32_t frequency;			/* Hz; 0: by period */
	uint64_t period;			/* a sample every so many events */
	uint32_t max_depth;			/* user frames */
	bool deferred_records;			/* write chains as records of their own */
	const char *output;			/* path, "-" for standard output */
	const char *const *cmdline;		/* NULL-terminated, for the file */
};

struct session_stats {
	const char *backend;
	uint64_t samples, no_user, with_user_context, stitched, complete, truncated;
	uint64_t reasons[REASON_MAX];		/* samples by reason */
	uint64_t shared;			/* samples that used another sample's walk */
	uint64_t lost_samples, lost_records, throttled;
	uint64_t unsampled[UNSAMPLED_MAX];	/* threads without clocks */
	uint64_t file_bytes;
};

struct session;

/* Is a backend of this name part of this version? */
bool session_has_backend(const char *name);

/*
 * Does all that the backend may be refused: loads and attaches the programs,
 * opens the events (disabled).  Another backend may be tried after an error; its
 * sentence names what failed, EPERM and EACCES mean rights, EOPNOTSUPP the
 * kernel, ESRCH a target that is gone.
 */
ERROR_CHECK struct error *session_create(const struct session_options *options, struct session **ret);
/* What the environment of the command has to get, "NAME=VALUE", NULL-terminated; or NULL. */
const char *const *session_environment(struct session *session);
/* Creates the file, and sampling begins; what runs already is entered into the file. */
ERROR_CHECK struct error *session_start(struct session *session);
/* Waits for records at most timeout_ms, then takes what there is.  A signal ends the wait early. */
ERROR_CHECK struct error *session_poll(struct session *session, int timeout_ms);
/* Ends sampling, answers every request that is still open, completes the file. */
ERROR_CHECK struct error *session_finish(struct session *session);
/* The numbers as they stand. */
void session_stats(struct session *session, struct session_stats *ret);
void session_destroy(struct session *session);
DEFINE_CLEANUP(session_destroy, struct session *);

#endif

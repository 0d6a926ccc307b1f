/* SPDX-License-Identifier: MIT */
/* The BPF programs and maps of one session: loaded, sized, mapped. */
#ifndef RETOUR_COLLECT_PROGRAMS_H
#define RETOUR_COLLECT_PROGRAMS_H

#include "base/cleanup.h"
#include "base/error.h"

#include <linux/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "bpf/shared.h"

enum { RULE_SETS = 65536 };	/* 16 MB: rules for up to 64 MB of hot text */

struct programs;

typedef void (*programs_record_fn)(void *arg, const void *data, uint32_t size);

struct programs_options {
	uint32_t n_events;
	uint32_t max_depth;
	enum scope_kind scope;
	uint32_t ring_bytes;	/* of each CPU's deferred ring, a power of two */
	programs_record_fn record;	/* is handed every record of these rings */
	void *record_arg;
};

/*
 * Loads the programs.  EPERM and EACCES mean a missing capability, EOPNOTSUPP
 * a kernel without the task-work kfunc.
 */
ERROR_CHECK struct error *programs_load(const struct programs_options *options, struct programs **ret);
void programs_destroy(struct programs *programs);
DEFINE_CLEANUP(programs_destroy, struct programs *);

/* Attaches what runs at fork, exec and exit; from here to programs_detach() walks may happen.  Events come later. */
ERROR_CHECK struct error *programs_attach(struct programs *programs);
void programs_detach(struct programs *programs);

int programs_event_fd(const struct programs *programs, uint32_t event);
int programs_sample_rings_fd(const struct programs *programs);
int programs_files_fd(const struct programs *programs);
struct rule_set *programs_rule_sets(const struct programs *programs);
struct unwind_rule *programs_rules(const struct programs *programs);

/* Empties the deferred rings into options.record; those that fill meanwhile not to the end. */
void programs_drain_rings(struct programs *programs);
/* Adds the rings to an epoll instance, which is readable when woken.  False: errno. */
bool programs_watch_rings(const struct programs *programs, int epoll_fd);

/* Walks what has not returned to user space, from outside. */
ERROR_CHECK struct error *programs_walk_blocked(struct programs *programs);
/* A process or thread enters the scope, or leaves it; forks are followed by the kernel side. */
ERROR_CHECK struct error *programs_scope_add(struct programs *programs, uint32_t id);
/* A task has ended: frees what the kernel side remembers of it. */
void programs_forget(struct programs *programs, uint32_t tid);
/* Is the request of this cookie still unanswered? */
bool programs_slot_pending(const struct programs *programs, uint32_t tid, uint64_t cookie);
void programs_counters(const struct programs *programs, struct counters *ret);

#endif

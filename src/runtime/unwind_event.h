/* SPDX-License-Identifier: MIT */
/* Events that want deferred chains, of both forms. */
#ifndef RETOUR_RUNTIME_UNWIND_EVENT_H
#define RETOUR_RUNTIME_UNWIND_EVENT_H

#include "runtime/unwind_deferred.h"

struct unwind_session;

struct retour_unwind_event {
	struct retour_unwind_event_attr attr;
	struct retour_rcu_head head;
	struct retour_unwind_event *next;	/* on its CPU; or in its thread's list of who asked */
	struct unwind_session *session;		/* NULL: task-bound */
	/* task-bound */
	const struct retour_runtime_task *task;
	uint64_t cookie;			/* of the last entry it asked in */
	unsigned int closed;
};

/* Per-CPU events: unwind_session.c.  add: 0, -ENOMEM, -EBUSY, nothing done then. */
int unwind_session_add(struct retour_unwind_event *event);
int unwind_session_request(struct unwind_session *session, uint64_t *cookie);
void unwind_session_remove(struct retour_unwind_event *event);
unsigned long unwind_session_missed(const struct unwind_session *session);

/* Task-bound ones: unwind_task.c.  add: 0 or -EBUSY. */
int unwind_task_add(struct retour_unwind_event *event);
int unwind_task_request(struct retour_unwind_event *event, uint64_t *cookie);
void unwind_task_remove(struct retour_unwind_event *event);

#endif

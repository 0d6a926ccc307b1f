/* SPDX-License-Identifier: MIT */
/* Opening, asking and closing, whatever an event is bound to. */
#include "runtime/unwind_event.h"

#include <errno.h>
#include <stdlib.h>

#include "rcu/percpu.h"
#include "retour/rcu.h"

int retour_unwind_event_open(const struct retour_unwind_event_attr *attr, struct retour_unwind_event **ret)
{
	struct retour_unwind_event *event;
	int err;

	if (attr->cpu != RETOUR_UNWIND_TASK && (unsigned int)attr->cpu >= percpu_possible())
		return -EINVAL;
	event = calloc(1, sizeof(*event));
	if (!event)
		return -ENOMEM;
	event->attr = *attr;
	err = attr->cpu == RETOUR_UNWIND_TASK ? unwind_task_add(event) : unwind_session_add(event);
	if (err)
		free(event);
	else
		*ret = event;
	return err;
}

int retour_unwind_event_request(struct retour_unwind_event *event, uint64_t *cookie)
{
	return event->session ? unwind_session_request(event->session, cookie) : unwind_task_request(event, cookie);
}

unsigned long retour_unwind_event_missed(const struct retour_unwind_event *event)
{
	return event->session ? unwind_session_missed(event->session) : 0;
}

static void free_event(struct retour_rcu_head *head)
{
	free((char *)head - offsetof(struct retour_unwind_event, head));
}

int retour_unwind_event_close(struct retour_unwind_event *event)
{
	if (retour_runtime_task.nesting)
		return -EDEADLK;
	/* Not as the library is loaded: few programs close events, and all would have the thread. */
	retour_rcu_start_worker();
	if (event->session)
		unwind_session_remove(event);
	else
		unwind_task_remove(event);
	retour_call_rcu_extern(&event->head, free_event);
	return 0;
}

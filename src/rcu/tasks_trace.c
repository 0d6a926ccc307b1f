/* SPDX-License-Identifier: MIT */
/* The SRCU domain for readers that may fault, sleep and block; its operations are inline in the header. */
#include "retour/srcu.h"

struct retour_srcu_struct retour_rcu_tasks_trace_srcu_struct = RETOUR_SRCU_INIT_("retour_tasks", RETOUR_SRCU_FAST);

__attribute__((constructor(101))) static void tasks_trace_init(void)
{
	retour_srcu_module_coming(&retour_rcu_tasks_trace_srcu_struct);
}

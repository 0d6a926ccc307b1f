/* SPDX-License-Identifier: MIT */
/* The SRCU domain for readers that may fault, sleep and block; its operations are inline in the header. */
#include "retour/srcu.h"

struct retour_srcu_struct retour_rcu_tasks_trace_srcu_struct = RETOUR_SRCU_INIT_("retour_tasks", RETOUR_SRCU_FAST);

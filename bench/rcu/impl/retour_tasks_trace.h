/* SPDX-License-Identifier: MIT */
/* retour_rcu_tasks_trace. */
#ifndef BENCH_RCU_IMPL_RETOUR_TASKS_TRACE_H
#define BENCH_RCU_IMPL_RETOUR_TASKS_TRACE_H

#include <retour/srcu.h>

#include "impl/plain.h"

#define HAVE_CALL
#define HAVE_POLL
#define COUNT_GRACE_PERIODS(fn) retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_END, fn)
#define bench_head retour_rcu_head

typedef struct retour_srcu_bank *section_t;

#define section_begin() retour_rcu_read_lock_tasks_trace()
#define section_end(section) retour_rcu_read_unlock_tasks_trace(section)
#define synchronize() retour_synchronize_rcu_tasks_trace()
#define call(head, func) retour_call_rcu_tasks_trace(head, func)
#define callback_barrier() retour_rcu_barrier_tasks_trace()
#define start_poll() retour_start_poll_synchronize_rcu_tasks_trace()
#define poll_state(cookie) retour_poll_state_synchronize_rcu_tasks_trace(cookie)

#endif

/* SPDX-License-Identifier: MIT */
/* retour_rcu. */
#ifndef BENCH_RCU_IMPL_RETOUR_RCU_H
#define BENCH_RCU_IMPL_RETOUR_RCU_H

#include <retour/rcu.h>

#include "impl/plain.h"

#define HAVE_CALL
#define HAVE_POLL
#define COUNT_GRACE_PERIODS(fn) retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_END, fn)
#define bench_head retour_rcu_head

typedef struct { } section_t;

static inline section_t section_begin(void)
{
	retour_rcu_read_lock();
	return (section_t){ };
}

static inline void section_end(section_t section)
{
	retour_rcu_read_unlock();
}

#define synchronize() retour_synchronize_rcu()
#define call(head, func) retour_call_rcu(head, func)
#define callback_barrier() retour_rcu_barrier()
#define start_poll() retour_start_poll_synchronize_rcu()
#define poll_state(cookie) retour_poll_state_synchronize_rcu(cookie)

#endif

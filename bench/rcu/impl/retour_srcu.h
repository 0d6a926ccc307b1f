/* SPDX-License-Identifier: MIT */
/* retour_srcu: one domain, which main.c defines. */
#ifndef BENCH_RCU_IMPL_RETOUR_SRCU_H
#define BENCH_RCU_IMPL_RETOUR_SRCU_H

#include <retour/srcu.h>

#include "impl/plain.h"

#define HAVE_CALL
#define HAVE_POLL
#define COUNT_GRACE_PERIODS(fn) retour_rcu_set_hook(RETOUR_RCU_EVENT_GP_END, fn)
#define bench_head retour_rcu_head
#define DEFINE_IMPL RETOUR_DEFINE_SRCU_FAST(bench_srcu);

typedef struct retour_srcu_bank *section_t;

extern struct retour_srcu_struct bench_srcu;

static inline section_t section_begin(void)
{
	return retour_srcu_read_lock_fast(&bench_srcu);
}

static inline void section_end(section_t section)
{
	retour_srcu_read_unlock_fast(&bench_srcu, section);
}

#define synchronize() retour_synchronize_srcu(&bench_srcu)
#define call(head, func) retour_call_srcu(&bench_srcu, head, func)
#define callback_barrier() retour_srcu_barrier(&bench_srcu)
#define start_poll() retour_start_poll_synchronize_srcu(&bench_srcu)
#define poll_state(cookie) retour_poll_state_synchronize_srcu(&bench_srcu, cookie)

#endif

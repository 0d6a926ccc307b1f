/* SPDX-License-Identifier: MIT */
/*
 * The flavours of liburcu, FLAVOUR being the header of one.  Its readers are
 * inlined as its licence allows LGPL-compatible code, unless NOT_INLINED.
 */
#ifndef BENCH_RCU_IMPL_URCU_H
#define BENCH_RCU_IMPL_URCU_H

#ifndef NOT_INLINED
#define _LGPL_SOURCE
#endif
#define URCU_API_MAP
#include FLAVOUR

#define HAVE_CALL
#define bench_head rcu_head

typedef struct { } section_t;

static inline void reader_begin(void)
{
	rcu_register_thread();
}

static inline void updater_begin(void)
{
}

static inline section_t section_begin(void)
{
	rcu_read_lock();
	return (section_t){ };
}

static inline void section_end(section_t section)
{
	rcu_read_unlock();
}

static inline void quiescent(void)
{
	rcu_quiescent_state();
}

static inline void offline(void)
{
	rcu_thread_offline();
}

static inline void online(void)
{
	rcu_thread_online();
}

#define synchronize() synchronize_rcu()
#define call(head, func) call_rcu(head, func)
#define callback_barrier() rcu_barrier()

#endif

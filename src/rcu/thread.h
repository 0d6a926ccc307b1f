/* SPDX-License-Identifier: MIT */
/* What the kernel knows about another thread of the process. */
#ifndef RETOUR_RCU_THREAD_H
#define RETOUR_RCU_THREAD_H

#include <stdbool.h>

/* Has the thread ended?  Async-signal-safe. */
bool thread_is_dead(int tid);

/* Where the thread is blocked in user code; NULL if it runs or may not be asked. */
const void *thread_pc(int tid);

#endif

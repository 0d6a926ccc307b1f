/* SPDX-License-Identifier: MIT */
/* What those need not do whose readers are not registered and have no quiescent states to report. */
#ifndef BENCH_RCU_IMPL_PLAIN_H
#define BENCH_RCU_IMPL_PLAIN_H

#define reader_begin() ((void)0)
#define updater_begin() ((void)0)
#define quiescent() ((void)0)
#define offline() ((void)0)
#define online() ((void)0)

#endif

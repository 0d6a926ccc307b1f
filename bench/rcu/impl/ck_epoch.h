/* SPDX-License-Identifier: MIT */
/* Concurrency Kit's epochs: every thread brings its record.  Callbacks run in the thread that queued them. */
#ifndef BENCH_RCU_IMPL_CK_EPOCH_H
#define BENCH_RCU_IMPL_CK_EPOCH_H

#include <ck_epoch.h>
#include <stdlib.h>

#define DEFINE_IMPL                                                            \
	ck_epoch_t bench_epoch = { .epoch = 1 };                               \
	__thread ck_epoch_record_t *bench_record;

typedef struct { } section_t;

extern ck_epoch_t bench_epoch;
extern __thread ck_epoch_record_t *bench_record;

/* The list of records keeps them: none is freed. */
static inline void updater_begin(void)
{
	bench_record = aligned_alloc(_Alignof(ck_epoch_record_t), sizeof(ck_epoch_record_t));
	if (!bench_record)
		abort();
	ck_epoch_register(&bench_epoch, bench_record, NULL);
}

#define reader_begin() updater_begin()
#define quiescent() ((void)0)
#define offline() ((void)0)
#define online() ((void)0)

static inline section_t section_begin(void)
{
	ck_epoch_begin(bench_record, NULL);
	return (section_t){ };
}

static inline void section_end(section_t section)
{
	ck_epoch_end(bench_record, NULL);
}

#define synchronize() ck_epoch_synchronize(bench_record)

#endif

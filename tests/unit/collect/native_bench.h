/* SPDX-License-Identifier: MIT */
/* A session of the kernel's own deferral without a kernel: records go in, and what the file says comes out. */
#ifndef RETOUR_TESTS_COLLECT_NATIVE_BENCH_H
#define RETOUR_TESTS_COLLECT_NATIVE_BENCH_H

#include "collect/deferral.h"
#include "test.h"

#include "collect/perf_events.h"
#include "perfdata/reader.h"

#include <stddef.h>
#include <sys/mman.h>

enum { PID = 1000001, CODE = 0x40000000, CODE_SIZE = 0x100000, EVENT_ID = 77, OTHER_SESSION = 78,
       NO_EVENT = 79, MAX_SAMPLES = 64 };

struct bench {
	struct session_options options;
	struct session_event event;
	struct recorder *recorder;
	struct dso_store *dsos;
	struct deferral *deferral;
	char path[64];
	uint64_t time;
	/* What the file says of the sample with period i. */
	struct outcome {
		unsigned int times;
		uint16_t reason;
		size_t n_user, n_kernel;
		uint64_t innermost, outermost;
	} samples[MAX_SAMPLES];
	uint64_t file_bytes;
};

struct bytes {
	struct perf_event_header header;
	unsigned char body[65528];
};

/* Words of a chain, and the user ip at the time; 0: no registers. */
struct sample {
	unsigned int number;
	uint32_t tid;
	const uint64_t *words;
	size_t n;
	uint64_t user_ip;
	uint64_t id;		/* 0: ours */
	uint32_t cpu;
	uint64_t slow;		/* how much the clock is behind */
};

/* A record as it comes out of a ring; those with a trailer are a microsecond younger than the one before. */
void feed(struct bench *b, const void *record);
void put(struct bytes *r, const void *data, size_t size);
void put_word(struct bytes *r, uint64_t word);
void put_pair(struct bytes *r, uint32_t first, uint32_t second);
void feed_with_trailer(struct bench *b, struct bytes *r, uint32_t pid, uint32_t tid);
struct bytes new_record(uint32_t type, uint16_t misc);
void feed_mmap(struct bench *b, uint32_t pid, uint64_t start, uint64_t size, uint64_t pgoff, uint32_t prot,
	       const char *path);
void feed_exec(struct bench *b, uint32_t pid);
void feed_name(struct bench *b, uint32_t pid, uint32_t tid, const char *name);
void feed_exit(struct bench *b, uint32_t tid);
void feed_lost(struct bench *b);
void feed_sample(struct bench *b, uint32_t pid, const struct sample *s);
/* A sample inside the kernel, with two kernel frames; chain() is what answers it. */
void sample(struct bench *b, unsigned int number, uint32_t tid, uint64_t cookie);
void feed_chain(struct bench *b, uint32_t tid, uint64_t cookie, const uint64_t *ips, size_t n);
void chain(struct bench *b, uint32_t tid, uint64_t cookie);
/* Has all that was fed taken in order of time. */
void take_all(struct bench *b);
void set_up(struct bench *b);
uint16_t why(void *arg, uint32_t tid, uint64_t cookie);
void finish(struct bench *b, unsigned int n);
void check_whole(const struct bench *b, unsigned int number);
void check_missing(const struct bench *b, unsigned int number, enum reason reason);

#endif

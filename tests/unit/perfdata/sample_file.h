/* SPDX-License-Identifier: MIT */
/* A small recording of every kind of record, for the tests to read, cut and damage. */
#ifndef RETOUR_TEST_SAMPLE_FILE_H
#define RETOUR_TEST_SAMPLE_FILE_H

#include "base/error.h"
#include "perfdata/writer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	SAMPLE_FILE_PID = 42,
	SAMPLE_FILE_TID = 43,
	SAMPLE_FILE_SAMPLES = 8,
	SAMPLE_FILE_USER = 5,
	SAMPLE_FILE_KERNEL = 3,
};

#define SAMPLE_FILE_STATS "{\"samples\": 8}"
#define SAMPLE_FILE_BUILD_ID "0123456789abcdefghi"
#define SAMPLE_FILE_TEXT 0x400000ULL
#define SAMPLE_FILE_KERNEL_TEXT 0xffffffff81000000ULL

struct sample_file_options {
	size_t n_events;	/* 1 or 2 */
	bool deferred;		/* type 22 records, before their samples if the sample's number is odd */
	bool unfinished;
	bool nothing_lost;	/* without a LOST record, of which perf rightly warns */
	bool tracepoints;	/* and then samples of app:request and, come after the first of them, app:late */
};

/* The i-th word of the chains of sample number n. */
uint64_t sample_file_user_ip(unsigned int n, unsigned int i);
uint64_t sample_file_kernel_ip(unsigned int n, unsigned int i);
/* Samples are written by pairs in the wrong order: sample n has time 2000 + 10 n. */
uint64_t sample_file_time(unsigned int n);
/* The data of sample number n of the tracepoints: request(int id, const char *path) and late(int id). */
struct sample_file_raw {
	uint16_t type;
	uint8_t flags, preempt_count;
	int32_t pid, id;
	uint32_t path;		/* where the text is, and << 16 how long */
	char text[8];
};
#define SAMPLE_FILE_TEXT_OF_PATH "/a path"

/* Samples hit in user mode have no kernel part. */
bool sample_file_user_mode(unsigned int n);

ERROR_CHECK struct error *sample_file_write(const char *path, const struct sample_file_options *options);

/* Bodies of the ABI's records; path and comm must fit. */
struct sample_file_mmap {
	uint32_t pid, tid;
	uint64_t start, len, pgoff;
	union {
		struct {
			uint32_t maj, min;
			uint64_t ino, generation;
		};
		struct {
			uint8_t size, reserved[3];
			uint8_t build_id[20];
		};
	};
	uint32_t prot, flags;
	char path[64];
};

struct sample_file_comm {
	uint32_t pid, tid;
	char comm[16];
};

struct sample_file_task {
	uint32_t pid, ppid, tid, ptid;
	uint64_t time;
};

#endif

/* SPDX-License-Identifier: MIT */
/* Writing the known recording; see synthetic.h. */
#include "synthetic.h"

#include "base/reason.h"
#include "perfdata/writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct perfdata_writer *writer;
static uint64_t now = 5000000000;
static uint64_t next_cookie = 1;

static void must(struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "synthetic recording: %s\n", err->text);
	exit(2);
}

static void comm(uint32_t pid, const char *name)
{
	struct {
		uint32_t pid, tid;
		char comm[16];
	} body = { pid, pid, "" };

	memcpy(body.comm, name, strlen(name));
	must(perfdata_writer_record(writer, PERF_RECORD_COMM, 0, &body, sizeof(body), pid, pid, now++, 0));
}

static void map(uint32_t pid, uint64_t start, uint64_t len, const char *path)
{
	struct {
		uint32_t pid, tid;
		uint64_t start, len, pgoff;
		uint32_t maj, min;
		uint64_t ino, generation;
		uint32_t prot, flags;
		char path[64];
	} body = { pid, pid, start, len, 0, 8, 1, 7, 0, 5, 2, "" };

	memcpy(body.path, path, strlen(path));
	must(perfdata_writer_record(writer, PERF_RECORD_MMAP2, 0, &body, sizeof(body), pid, pid, now++, 0));
}

/* A chain, innermost first. */
struct chain {
	size_t n;
	uint64_t ips[4];
};

static void samples(unsigned int count, uint32_t pid, unsigned int reason, struct chain kernel, struct chain user)
{
	struct perfdata_sample s = { .pid = pid, .tid = pid, .cpu = 1, .period = 1001001, .reason = reason };

	s.kernel = kernel.ips;
	s.n_kernel = kernel.n;
	s.user = user.ips;
	s.n_user = user.n;
	s.user_mode = !kernel.n;
	s.ip = kernel.n ? kernel.ips[0] : user.ips[0];
	s.return_cpu = user.n ? 1 : PERFDATA_NO_CPU;
	for (; count > 0; count--) {
		s.time = now += 1001001;
		s.cookie = next_cookie++;
		must(perfdata_writer_sample(writer, &s));
	}
}

static const struct chain none, kernel_chain = { 2, { 0xffff800000000010, 0xffff800000000021 } };

static void write_prog(void)
{
	const struct chain user = { 3, { 0x400010, 0x400101, 0x400201 } };

	comm(100, "prog");
	map(100, 0x400000, 0x10000, "/nonexistent/prog");
	map(100, 0x7f0000000000, 0x10000, "/nonexistent/libfoo.so");
	samples(50, 100, REASON_NONE, none, user);
	next_cookie -= 10;	/* asked for twice in one kernel entry */
	samples(10, 100, REASON_NONE, none, user);
	samples(20, 100, REASON_NONE, kernel_chain, (struct chain){ 2, { 0x400020, 0x400201 } });
	samples(10, 100, REASON_NO_UNWIND_INFO, none, (struct chain){ 2, { 0x400030, 0x7f0000000041 } });
	samples(5, 100, REASON_EXEC, kernel_chain, none);
}

void synthetic_write(const char *path)
{
	const struct perfdata_event event = { .name = "cpu-clock", .type = PERF_TYPE_SOFTWARE,
					      .config = PERF_COUNT_SW_CPU_CLOCK, .frequency = 999 };
	const struct perfdata_writer_options options = { .events = &event, .n_events = 1 };

	must(perfdata_writer_create(path, &options, &writer));
	write_prog();
	comm(2, "kworker/0:1");
	samples(3, 2, REASON_KERNEL_THREAD, kernel_chain, none);
	comm(200, SYNTHETIC_HOSTILE);
	map(200, 0x400000, 0x10000, SYNTHETIC_HOSTILE_DSO);
	samples(4, 200, REASON_NONE, none, (struct chain){ 1, { 0x400050 } });
	must(perfdata_writer_finish(writer));
	perfdata_writer_close(writer);
}

/* SPDX-License-Identifier: MIT */
/*
 * What a recorder takes from an agent, damaged: packets, descriptors of rings and
 * what is in them, records, descriptions of tracepoints and the data of their
 * samples.  Nothing may crash or hang it, nor what it passes on be beyond its
 * bounds.
 */
#include "../random.h"
#include "collect/agent_packet.h"
#include "collect/agent_tracepoints.h"
#include "collect/perf_events.h"
#include "collect/recorder.h"
#include "retour/ring.h"
#include "retour/tracepoint.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROUNDS = 500, RECORDS = 100, MAX_RECORD = 8192 };

/* Changes a few words of up to eight bytes to what lengths, offsets and counts like least. */
static void damage(void *data, size_t size, uint32_t times)
{
	static const uint64_t words[] = {
		0, 1, 4, 7, 8, 16, 24, 0x7f, 0xff, 0x7fff, 0xffff, 0x10000, 0x7fffffff, 0xffffffff, 1ULL << 32,
		INT64_MAX, UINT64_MAX, UINT64_MAX - 7,
	};
	unsigned char *bytes = data;

	for (uint32_t i = 0; i < times && size; i++) {
		size_t width = 1u << random_below(4), at = random_below((uint32_t)size) & ~(width - 1);
		uint64_t word = words[random_below(sizeof(words) / sizeof(words[0]))];

		if (random_below(2))
			bytes[random_below((uint32_t)size)] ^= (unsigned char)(1u << random_below(8));
		else
			memcpy(bytes + at, &word, size - at < width ? size - at : width);
	}
}

static void must(bool good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static void must_succeed(struct error *err)
{
	if (!err)
		return;
	fprintf(stderr, "%s\n", err->text);
	exit(1);
}

/* ---- records ------------------------------------------------------------------------- */

struct fixture {
	struct recorder *recorder;
	struct agent_process *process;
	struct agent_tracepoints tracepoints;
	struct retour_ring *ring;
	uint64_t taken, samples;
};

static struct agent_tracepoint make_tracepoint(void)
{
	struct agent_tracepoint tp = {
		.id = (uint16_t)(1 + random_below(4)), .n_fields = 3, .provider = "app", .name = "request",
		.fields = {
			{ "id", "int", 8, 4, RETOUR_FIELD_SIGNED, 0 },
			{ "path", "const char *", 12, 4, RETOUR_FIELD_STRING, 0 },
			{ "ratio", "double", 16, 8, RETOUR_FIELD_FLOAT, 0 },
		},
	};

	return tp;
}

static size_t put(unsigned char *to, const void *data, size_t size)
{
	memcpy(to, data, size);
	return size;
}

/* A record as an agent writes it; its size. */
static size_t make_record(const struct fixture *f, uint32_t *type, unsigned char *to)
{
	static const uint32_t types[] = {
		AGENT_RECORD_SAMPLE, AGENT_RECORD_SAMPLE, AGENT_RECORD_CHAIN, AGENT_RECORD_TRACEPOINT, PERF_RECORD_MMAP2,
		PERF_RECORD_COMM, PERF_RECORD_FORK, PERF_RECORD_EXIT, PERF_RECORD_LOST,
	};
	struct {
		uint16_t type, flags;
		uint32_t pid, id, path;
		double ratio;
		char text[8];
	} raw = { .type = (uint16_t)(1 + random_below(4)), .path = 24 | 8 << 16, .text = "/a path" };
	struct agent_sample sample = {
		.time = retour_ring_clock(f->ring), .cookie = 17 + random_below(3), .ip = 5, .period = 1, .pid = (uint32_t)getpid(),
		.tid = (uint32_t)getpid(), .event = (uint16_t)random_below(2), .raw_size = sizeof(raw),
	};
	struct agent_chain chain = { .time = sample.time, .cookie = sample.cookie, .pid = sample.pid, .tid = sample.tid, .n = 3 };
	struct agent_trailer trailer = { .pid = sample.pid, .tid = sample.tid, .time = sample.time };
	const uint64_t ips[3] = { 1, 2, 3 };
	struct agent_tracepoint tp;
	size_t size = 0;

	*type = types[random_below(sizeof(types) / sizeof(types[0]))];
	switch (*type) {
	case AGENT_RECORD_SAMPLE:
		size += put(to, &sample, sizeof(sample));
		return size + put(to + size, &raw, sizeof(raw));
	case AGENT_RECORD_CHAIN:
		size += put(to, &chain, sizeof(chain));
		return size + put(to + size, ips, sizeof(ips));
	case AGENT_RECORD_TRACEPOINT:
		tp = make_tracepoint();
		return put(to, &tp, offsetof(struct agent_tracepoint, fields) + tp.n_fields * sizeof(tp.fields[0]));
	default:
		/* Ids, and whatever follows them. */
		size = 96;
		memset(to, 0, size);
		for (size_t i = 0; i < 4; i++)
			put(to + 4 * i, &sample.pid, sizeof(sample.pid));
		return size + put(to + size, &trailer, sizeof(trailer));
	}
}

static void write_record(struct fixture *f)
{
	static unsigned char room[MAX_RECORD];
	struct retour_ring_record record;
	uint32_t type;
	size_t size = make_record(f, &type, room);

	damage(room, size, random_below(4));
	if (!random_below(8))
		size = random_below((uint32_t)size + 1);
	if (!random_below(16))
		type = random_below(128);
	if (retour_ring_reserve(f->ring, size, &record))
		return;
	memcpy(record.data, room, size);
	retour_ring_commit(f->ring, &record, type, (uint16_t)random_below(8));
}

/* As the backend does when the turn of an event has come. */
static void take(void *arg, enum recorder_event kind, const void *data, uint32_t size)
{
	struct agent_queued *head = malloc(size);
	struct sample_record *sample = (struct sample_record *)(head + 1);
	struct fixture *f = arg;

	memcpy(head, data, size);
	f->taken++;
	if (kind == EVENT_COPY) {
		agent_tracepoints_add(&f->tracepoints, f->recorder, head->process, (struct agent_tracepoint *)(head + 1));
	} else if (kind == EVENT_SAMPLE) {
		size -= (uint32_t)sizeof(*head);
		if (sample->event != 1 ||
		    agent_tracepoints_convert(&f->tracepoints, head->process, head->tracepoint, sample, size)) {
			recorder_sample(f->recorder, sample, size);
			f->samples++;
		}
	} else if (kind == EVENT_CHAIN) {
		const struct agent_chain *c = (const struct agent_chain *)head;

		recorder_chain(f->recorder, &(struct chain){ .time = c->time, .cookie = c->cookie, .pid = c->pid, .tid = c->tid,
							     .cpu = c->cpu, .reason = c->reason, .n = c->n, .ips = c->ips });
	}
	free(head);
}

/* ---- rings ----------------------------------------------------------------------------- */

/* The same rings somewhere else, damaged; a descriptor. */
static int copy_rings(const struct fixture *f)
{
	int fd = memfd_create("rings", MFD_CLOEXEC | MFD_ALLOW_SEALING), original = retour_ring_fd(f->ring);
	size_t size;
	struct stat st;
	char *memory;

	must(fd >= 0 && !fstat(original, &st), "memfd");
	size = (size_t)st.st_size;
	must(!ftruncate(fd, st.st_size), "ftruncate");
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(memory != MAP_FAILED && pread(original, memory, size, 0) == st.st_size, "the rings");
	/* Half of it where the sizes and positions are: at the beginnings of pages. */
	for (uint32_t i = random_below(16); i; i--)
		damage(memory + 4096 * random_below((uint32_t)(size / 4096)), random_below(2) ? 2048 : 4096, 1);
	damage(memory, 256, random_below(3));
	munmap(memory, size);
	if (!random_below(8))
		must(!ftruncate(fd, random_below((uint32_t)size)), "ftruncate");
	if (random_below(8))
		fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return fd;
}

static struct agent_process *new_process(const struct fixture *f, int fd, int watch)
{
	struct agent_process *process;
	struct error *err;
	int fds[2];

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), "socketpair");
	must_succeed(agent_process_create(fds[0], (uint32_t)getpid(), watch, &process));
	close(fds[1]);
	err = agent_process_open_rings(process, fd);
	if (f && err)
		error_free(err);
	else
		must_succeed(err);
	return process;
}

/* ---- packets ---------------------------------------------------------------------------- */

static void receive_packets(void)
{
	struct {
		struct agent_message message;
		char more[64];
	} packet;
	struct agent_message got;
	int fds[2], passed;

	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), "socketpair");
	for (int i = 0; i < 50; i++) {
		memset(&packet, 0, sizeof(packet));
		packet.message.kind = 1 + random_below(9);
		packet.message.size = (uint32_t)agent_packet_size(packet.message.kind);
		packet.message.tracepoint = make_tracepoint();
		damage(&packet, random_below(2) ? 64 : sizeof(packet), random_below(3));
		must(send(fds[0], &packet, random_below(4) && packet.message.size <= sizeof(packet) ? packet.message.size
						   : random_below(sizeof(packet)) + 1, 0) >= 0, "send");
		if (agent_packet_receive(fds[1], &got, &passed) > 0 && got.kind == AGENT_TRACEPOINT &&
		    agent_tracepoint_is_sane(&got.tracepoint) && memchr(got.tracepoint.name, '\0', AGENT_MAX_NAME) == NULL)
			abort();
	}
	close(fds[0]);
	close(fds[1]);
}

/* ---- all -------------------------------------------------------------------------------- */

static void run_round(struct fixture *f, int watch)
{
	static const struct retour_ring_options small = { .mode = RETOUR_RING_DISCARD, .data_size = 64 << 10 };
	struct agent_process *damaged;
	int fd;

	must(!retour_ring_create(&small, &f->ring), "rings");
	f->process = new_process(NULL, retour_ring_fd(f->ring), watch);
	for (int i = 0; i < RECORDS; i++)
		write_record(f);
	fd = copy_rings(f);
	damaged = new_process(f, fd, watch);
	close(fd);
	agent_process_drain(f->process, f->recorder, false);
	agent_process_drain(damaged, f->recorder, true);
	recorder_take(f->recorder, UINT64_MAX, take, f);
	agent_process_drain(f->process, f->recorder, true);
	recorder_take(f->recorder, UINT64_MAX, take, f);
	agent_process_destroy(damaged);
	agent_process_destroy(f->process);
	retour_ring_destroy(f->ring);
	receive_packets();
}

int main(void)
{
	static const struct session_event events[] = {
		{ "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK }, { "app:*", PERF_TYPE_TRACEPOINT, 0 },
	};
	static const struct session_options options = {
		.backend = "agent", .events = events, .n_events = 2, .scope = SESSION_PROCESSES, .frequency = 99,
		.max_depth = 100, .output = "/dev/null",
	};
	const struct perf_event_attr attr = perf_events_side_band_attr();
	struct fixture f = { 0 };
	int watch = epoll_create1(EPOLL_CLOEXEC);

	must_succeed(recorder_create(&options, &f.recorder));
	must_succeed(recorder_open(f.recorder, &attr));
	for (int round = 0; round < ROUNDS; round++)
		run_round(&f, watch);
	/* Most of it must have been good, or nothing was tried. */
	must(f.samples > ROUNDS && f.taken > ROUNDS * RECORDS / 4 && f.tracepoints.events.len > 1, "records");
	recorder_destroy(f.recorder);
	vec_free(&f.tracepoints.events);
	printf("1..1\nok 1 %d_damaged_records\n", ROUNDS * RECORDS);
	return 0;
}

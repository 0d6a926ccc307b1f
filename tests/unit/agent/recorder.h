/* SPDX-License-Identifier: MIT */
/*
 * A small recorder: it starts a program under the agent, answers each process
 * that says hello, and reads all rings until the program has ended.  It speaks
 * the protocol by itself, so that agents are tested against the text of it.
 */
#ifndef TEST_AGENT_RECORDER_H
#define TEST_AGENT_RECORDER_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "base/unsampled.h"
#include "retour/ring.h"
#include "runtime/agent_protocol.h"
#include "unit/test.h"

enum { MAX_PROCESSES = 64, MAX_TASKS = 4096 };

struct task {
	uint32_t pid, tid;
	unsigned int samples, chains, complete;
	bool began, ended, unsampled;
	uint64_t cpu_ns;		/* the sum of periods */
	char comm[16];
};

static struct agent_page *page;
static int page_fd = -1, listener = -1;
static char directory[64], socket_path[96];
static struct retour_ring_reader *readers[MAX_PROCESSES];
static unsigned int n_readers, n_hellos, n_refused;
static int last_refusal, last_rings = -1;
static struct task tasks[MAX_TASKS];
static unsigned int n_tasks;
static struct {
	unsigned int samples, cookies, chains, complete, mappings, forks, execs, lost;
	unsigned int reasons[128], of_event[AGENT_MAX_EVENTS], unsampled[UNSAMPLED_MAX];
} seen;
static char mapping_names[1 << 16];

/* How the next session is to be. */
static struct agent_session session = {
	.n_events = 1, .max_depth = 127, .events = { { .kind = AGENT_CPU_CLOCK, .period = 1000000 } },
};
/* What the recorder does to a process that said hello; false: the usual. */
static bool (*on_hello)(int fd);
/* A recorder that never reads. */
static bool dont_read;
/* The program has one CPU, so its records come in their order. */
static bool one_cpu;
/* Sees each record first; true: the usual does not. */
static bool (*on_record)(const struct perf_event_header *header);

static void make_page(unsigned int seals)
{
	page_fd = memfd_create("page", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(page_fd >= 0 && !ftruncate(page_fd, 4096));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, page_fd, 0);
	CHECK(page != MAP_FAILED);
	CHECK(!fcntl(page_fd, F_ADD_SEALS, seals));
	page->state = AGENT_RUNNING;
}

static void listen_for_agents(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	snprintf(directory, sizeof(directory), "/tmp/retour-test-XXXXXX");
	CHECK(mkdtemp(directory));
	snprintf(socket_path, sizeof(socket_path), "%s/agent", directory);
	strcpy(address.sun_path, socket_path);
	listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	CHECK(listener >= 0 && !bind(listener, (struct sockaddr *)&address, sizeof(address)) && !listen(listener, 16));
}

static void send_packet(int fd, const void *data, size_t size, int passed)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { { 0 } };
	struct iovec part = { (void *)data, size };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };

	if (passed >= 0) {
		control.align = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.align), &passed, sizeof(int));
		packet.msg_control = control.bytes;
		packet.msg_controllen = sizeof(control.bytes);
	}
	CHECK(sendmsg(fd, &packet, MSG_NOSIGNAL) == (ssize_t)size);
}

/* False: the other side hung up. */
static bool receive_packet(int fd, struct agent_message *message, int *passed)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec part = { message, sizeof(*message) };
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof(control.bytes),
	};
	ssize_t n = recvmsg(fd, &packet, MSG_CMSG_CLOEXEC);

	*passed = -1;
	if (n <= 0)
		return false;
	CHECK(message->size == n && n >= (ssize_t)offsetof(struct agent_message, version));
	if (packet.msg_controllen)
		memcpy(passed, CMSG_DATA(CMSG_FIRSTHDR(&packet)), sizeof(int));
	return true;
}

static size_t session_size(void)
{
	return offsetof(struct agent_message, session) + sizeof(struct agent_session);
}

static void send_session(int fd)
{
	struct agent_message message = { .kind = AGENT_SESSION, .size = session_size(), .session = session };

	send_packet(fd, &message, message.size, page_fd);
}

static void take_rings(int fd)
{
	struct agent_message message;
	int rings;

	if (!receive_packet(fd, &message, &rings))
		return;
	if (message.kind == AGENT_REFUSED) {
		n_refused++;
		last_refusal = (int)message.error;
		return;
	}
	CHECK(message.kind == AGENT_RINGS && rings >= 0 && n_readers < MAX_PROCESSES);
	CHECK(!retour_ring_reader_open(rings, &readers[n_readers]));
	n_readers++;
	if (last_rings >= 0)
		close(last_rings);
	last_rings = rings;
}

static void welcome(void)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC), none;
	struct agent_message message;

	CHECK(fd >= 0);
	if (receive_packet(fd, &message, &none)) {
		CHECK(message.kind == AGENT_HELLO && message.version == AGENT_VERSION);
		n_hellos++;
		if (!on_hello || !on_hello(fd)) {
			send_session(fd);
			take_rings(fd);
		}
	}
	close(fd);
}

static struct task *task_of(uint32_t pid, uint32_t tid)
{
	for (unsigned int i = n_tasks; i--;)
		if (tasks[i].tid == tid && tasks[i].pid == pid && !tasks[i].ended)
			return &tasks[i];
	CHECK(n_tasks < MAX_TASKS);
	tasks[n_tasks] = (struct task){ .pid = pid, .tid = tid };
	return &tasks[n_tasks++];
}

static void take_mapping(const struct perf_event_header *header)
{
	const char *name = (const char *)(header + 1) + 64;
	size_t used = strlen(mapping_names), room = header->size - sizeof(*header) - 64 - sizeof(struct agent_trailer);

	CHECK(header->size > sizeof(*header) + 64 + sizeof(struct agent_trailer) && strnlen(name, room) < room);
	snprintf(mapping_names + used, sizeof(mapping_names) - used, "%s\n", name);
	seen.mappings++;
}

static void take_record(const struct perf_event_header *header)
{
	const struct agent_sample *sample = (const void *)(header + 1);
	const struct agent_chain *chain = (const void *)(header + 1);
	const uint32_t *ids = (const void *)(header + 1);
	struct task *task;

	if (on_record && on_record(header))
		return;
	switch (header->type) {
	case AGENT_RECORD_SAMPLE:
		CHECK(header->size >= sizeof(*header) + sizeof(*sample));
		task = task_of(sample->pid, sample->tid);
		task->samples++;
		task->cpu_ns += sample->period;
		CHECK(sample->ip && sample->period && sample->reason < 128);
		CHECK(!sample->cookie == !!sample->reason);
		seen.samples++;
		seen.cookies += sample->cookie != 0;
		seen.reasons[sample->reason]++;
		CHECK(sample->event < session.n_events);
		seen.of_event[sample->event]++;
		break;
	case AGENT_RECORD_CHAIN:
		CHECK(header->size >= sizeof(*header) + sizeof(*chain) + chain->n * sizeof(chain->ips[0]));
		CHECK(chain->cookie && chain->n);
		task = task_of(chain->pid, chain->tid);
		task->chains++;
		task->complete += !chain->reason;
		seen.chains++;
		seen.complete += !chain->reason;
		break;
	case PERF_RECORD_COMM:
		task = task_of(ids[0], ids[1]);
		memcpy(task->comm, ids + 2, sizeof(task->comm));
		task->began = true;
		seen.execs += !!(header->misc & PERF_RECORD_MISC_COMM_EXEC);
		break;
	case PERF_RECORD_FORK:
		task_of(ids[0], ids[2])->began = true;
		seen.forks++;
		break;
	case PERF_RECORD_EXIT:
		task_of(ids[0], ids[2])->ended = true;
		break;
	case PERF_RECORD_MMAP2:
		take_mapping(header);
		break;
	case AGENT_RECORD_UNSAMPLED:
		CHECK(ids[2] < UNSAMPLED_MAX);
		task_of(ids[0], ids[1])->unsampled = (int)ids[3] > 0;
		seen.unsampled[ids[2]] += ids[3];
		break;
	case PERF_RECORD_LOST:
		seen.lost += ((const uint64_t *)header)[2];
		break;
	default:
		CHECK(header->type == AGENT_RECORD_TRACEPOINT);
	}
}

static void read_rings(void)
{
	const struct perf_event_header *header;

	for (unsigned int i = 0; i < n_readers && !dont_read; i++)
		for (unsigned int ring = 0; ring < retour_ring_reader_rings(readers[i]); ring++)
			while (retour_ring_reader_next(readers[i], ring, &header))
				take_record(header);
}

/* Starts argv under the agent; its standard output is a pipe that *output reads. */
static pid_t start_program(char **argv, int *output)
{
	int ends[2];
	pid_t pid;

	CHECK(!pipe2(ends, O_CLOEXEC));
	pid = fork();
	if (pid == 0) {
		cpu_set_t first = { { 1 } };

		if (one_cpu)
			sched_setaffinity(0, sizeof(first), &first);
		dup2(ends[1], STDOUT_FILENO);
		setenv("LD_PRELOAD", PRELOAD, 1);
		setenv(AGENT_ENVIRONMENT, socket_path, 1);
		execvp(argv[0], argv);
		_exit(127);
	}
	close(ends[1]);
	*output = ends[0];
	return pid;
}

static char program_output[4096];

/* Reads until the program, and all that have its output open, have ended; returns its status. */
static int follow(pid_t pid, int output)
{
	struct pollfd polled[2] = { { listener, POLLIN }, { output, POLLIN } };
	size_t used = 0;
	int status;

	for (;;) {
		ssize_t n;

		poll(polled, 2, 20);
		if (polled[0].revents)
			welcome();
		read_rings();
		if (!polled[1].revents)
			continue;
		n = read(output, program_output + used, sizeof(program_output) - 1 - used);
		if (n <= 0)
			break;
		used += n;
		program_output[used] = '\0';
	}
	close(output);
	CHECK(waitpid(pid, &status, 0) == pid);
	read_rings();
	return status;
}

/* Runs a program under a recorder that wants its session; checks what holds for all. */
static inline int record_argv(char **argv)
{
	int output, status;
	pid_t pid;

	if (page_fd < 0)
		make_page(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	listen_for_agents();
	pid = start_program(argv, &output);
	status = follow(pid, output);
	unlink(socket_path);
	rmdir(directory);
	close(listener);
	/* Each sample that was promised a chain shares one. */
	CHECK(seen.chains <= seen.cookies);
	return status;
}

/* One of the subject's parts, which must succeed. */
static inline void record(const char *part)
{
	char *argv[] = { (char *)SUBJECT, (char *)part, NULL };
	int status = record_argv(argv);

	if (status)
		printf("# status %#x, output: %s\n", status, program_output);
	CHECK(status == 0);
	CHECK_STR(program_output, "done\n");
	printf("# %s: %u samples, %u chains, %u complete, %u lost\n", part, seen.samples, seen.chains, seen.complete,
	       seen.lost);
}

static inline struct task *task_named(const char *comm)
{
	for (unsigned int i = 0; i < n_tasks; i++)
		if (!strncmp(tasks[i].comm, comm, sizeof(tasks[i].comm)))
			return &tasks[i];
	return NULL;
}

#endif

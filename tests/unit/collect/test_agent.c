/* SPDX-License-Identifier: MIT */
/* What the recorder believes of agents: packets, descriptions of tracepoints, records in rings. */
#include "collect/agent_packet.h"
#include "collect/agent_process.h"
#include "collect/perf_events.h"
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "retour/ring.h"

/* ---- packets ----------------------------------------------------------------------- */

static void make_sockets(int fds[2])
{
	CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds));
}

TEST(a_packet_comes_with_its_descriptor)
{
	struct agent_message message = { .kind = AGENT_SESSION, .session = { .n_events = 3, .max_depth = 7 } }, got;
	int fds[2], passed;

	make_sockets(fds);
	CHECK_U64(agent_packet_receive(fds[1], &got, &passed), 0);
	CHECK(!agent_packet_send(fds[0], &message, fds[0]));
	CHECK_U64(agent_packet_receive(fds[1], &got, &passed), 1);
	CHECK(passed >= 0 && got.kind == AGENT_SESSION && got.session.n_events == 3 && got.session.max_depth == 7);
	close(fds[0]);
	close(passed);
	CHECK(agent_packet_receive(fds[1], &got, &passed) == -ECONNRESET);
}

static void refused(const void *packet, size_t size)
{
	struct agent_message got;
	int fds[2], passed;

	make_sockets(fds);
	CHECK(send(fds[0], packet, size, 0) == (ssize_t)size);
	CHECK(agent_packet_receive(fds[1], &got, &passed) == -EPROTO);
	CHECK(passed == -1);
	close(fds[0]);
	close(fds[1]);
}

TEST(what_is_no_packet_is_refused)
{
	struct {
		struct agent_message message;
		char more[64];
	} packet = { .message = { .kind = AGENT_HELLO } };
	uint32_t sizes[] = { 0, 4, 8, 11, 16, sizeof(packet) };

	for (size_t i = 1; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		packet.message.size = sizes[i];
		refused(&packet, sizes[i]);
	}
	/* A right packet that says a wrong size, and a kind that there is not. */
	packet.message.size = 1 << 30;
	refused(&packet, agent_packet_size(AGENT_HELLO));
	packet.message.kind = 99;
	packet.message.size = 12;
	refused(&packet, 12);
}

TEST(a_description_must_fit_where_it_goes)
{
	struct agent_tracepoint good = {
		.id = 3, .n_fields = 1, .provider = "app", .name = "request",
		.fields = { { .name = "id", .type = "const char *", .offset = 8, .size = 4 } },
	}, bad = good;

	CHECK(agent_tracepoint_is_sane(&good));
	bad.n_fields = AGENT_MAX_FIELDS + 1;
	CHECK(!agent_tracepoint_is_sane(&bad));
	bad = good;
	memset(bad.name, 'x', sizeof(bad.name));
	CHECK(!agent_tracepoint_is_sane(&bad));
	bad = good;
	strcpy(bad.fields[0].type, "int;\n\tfield:int y");
	CHECK(!agent_tracepoint_is_sane(&bad));
	bad = good;
	strcpy(bad.fields[0].name, "a b");
	CHECK(!agent_tracepoint_is_sane(&bad));
	bad = good;
	bad.fields[0].offset = 4;
	CHECK(!agent_tracepoint_is_sane(&bad));
}

/* ---- records --------------------------------------------------------------------------- */

struct fixture {
	struct recorder *recorder;
	struct agent_process *process;
	struct retour_ring *ring;
	struct perf_event_attr attr;
	unsigned int n[EVENT_COPY + 1];		/* events that came out, by kind */
	struct sample_record sample;		/* the last */
};

static const struct session_event event = { "cpu-clock", PERF_TYPE_SOFTWARE, PERF_COUNT_SW_CPU_CLOCK };
static struct session_options options = {
	.backend = "agent", .events = &event, .n_events = 1, .scope = SESSION_PROCESSES, .frequency = 99,
	.max_depth = 100, .output = "/dev/null",
};

static void fixture_init(struct fixture *f)
{
	struct retour_ring_options ring = { .mode = RETOUR_RING_DISCARD };
	int fds[2];

	make_sockets(fds);
	*f = (struct fixture){ .attr = perf_events_side_band_attr() };
	CHECK(!recorder_create(&options, &f->recorder));
	CHECK(!recorder_open(f->recorder, &f->attr));
	CHECK(!agent_process_create(fds[0], getpid(), epoll_create1(0), &f->process));
	CHECK(!retour_ring_create(&ring, &f->ring));
	CHECK(!agent_process_open_rings(f->process, retour_ring_fd(f->ring)));
}

static void fixture_free(struct fixture *f)
{
	agent_process_destroy(f->process);
	recorder_destroy(f->recorder);
	retour_ring_destroy(f->ring);
}

static void write_record(struct fixture *f, uint32_t type, const void *payload, size_t size)
{
	struct retour_ring_record record;

	CHECK(!retour_ring_reserve(f->ring, size, &record));
	memcpy(record.data, payload, size);
	retour_ring_commit(f->ring, &record, type, PERF_RECORD_MISC_USER);
}

static void take(void *arg, enum recorder_event kind, const void *data, uint32_t size)
{
	struct fixture *f = arg;

	f->n[kind]++;
	if (kind == EVENT_SAMPLE)
		memcpy(&f->sample, (const struct agent_queued *)data + 1, offsetof(struct sample_record, kernel));
}

/* Gives how many of the records were dropped. */
static uint64_t drain(struct fixture *f)
{
	uint64_t before = f->process->foreign;

	agent_process_drain(f->process, f->recorder, false);
	recorder_take(f->recorder, UINT64_MAX, take, f);
	return f->process->foreign - before;
}

static struct agent_sample sample_of(struct fixture *f)
{
	return (struct agent_sample){ .time = retour_ring_clock(f->ring), .cookie = 17, .ip = 5, .period = 1,
				      .pid = getpid(), .tid = getpid() };
}

TEST(a_process_speaks_of_itself_only)
{
	struct agent_sample sample;
	struct fixture f;

	fixture_init(&f);
	sample = sample_of(&f);
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
	CHECK_U64(drain(&f), 0);
	CHECK_U64(f.n[EVENT_SAMPLE], 1);
	CHECK(f.sample.pid == (uint32_t)getpid() && f.sample.cookie && f.sample.cookie != 17 && f.sample.ip == 5);
	sample.pid = getppid();
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
	sample.pid = getpid();
	sample.tid = getppid();
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
	CHECK_U64(drain(&f), 2);
	CHECK_U64(f.n[EVENT_SAMPLE], 1);
	fixture_free(&f);
}

TEST(a_child_with_the_rings_speaks_too)
{
	struct agent_sample sample;
	struct fixture f;
	int status;
	pid_t child;

	fixture_init(&f);
	child = fork();
	if (!child) {
		sample = sample_of(&f);
		write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
		_exit(0);
	}
	while (waitid(P_PID, child, &(siginfo_t){ 0 }, WEXITED | WNOWAIT))
		;
	CHECK_U64(drain(&f), 0);
	CHECK_U64(f.n[EVENT_SAMPLE], 1);
	CHECK_U64(f.sample.pid, child);
	waitpid(child, &status, 0);
	fixture_free(&f);
}

/* Somebody without the rings; with this id if it is not 0. */
static pid_t start_stranger(pid_t wanted)
{
	struct clone_args args = { .exit_signal = SIGCHLD, .set_tid = wanted ? (uintptr_t)&wanted : 0, .set_tid_size = wanted != 0 };
	pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		execlp("sleep", "sleep", "100", (char *)NULL);
		_exit(1);
	}
	return pid;
}

static void end_stranger(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void wait_for_exec(pid_t pid)
{
	char path[40], name[16] = "";

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	while (strncmp(name, "sleep", 5)) {
		int fd = open(path, O_RDONLY);

		CHECK(read(fd, name, sizeof(name)) > 0);
		close(fd);
	}
}

/* Makes another process the one with the agent. */
static void take_other(struct fixture *f, pid_t agent)
{
	int fds[2];

	agent_process_destroy(f->process);
	make_sockets(fds);
	CHECK(!agent_process_create(fds[0], agent, epoll_create1(0), &f->process));
	CHECK(!agent_process_open_rings(f->process, retour_ring_fd(f->ring)));
}

/* The agent is another child, so that strangers are not its own. */
TEST(an_id_that_nobody_had_is_not_its_own_later)
{
	pid_t agent = start_stranger(0), stranger = start_stranger(0);
	struct agent_sample sample;
	struct fixture f;

	fixture_init(&f);
	take_other(&f, agent);
	sample = sample_of(&f);
	sample.pid = sample.tid = stranger;
	end_stranger(stranger);
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
	CHECK_U64(drain(&f), 0);
	if (start_stranger(stranger) != stranger)
		SKIP("an id cannot be chosen here");
	wait_for_exec(stranger);
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
	CHECK_U64(drain(&f), 1);
	end_stranger(stranger);
	end_stranger(agent);
	fixture_free(&f);
}

static void write_own_sample(struct fixture *f)
{
	struct agent_sample sample = sample_of(f);

	write_record(f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
}

/* The first process of a pid namespace, and its child: 1 and 2 in there. */
static void be_in_namespace(struct fixture *f, int say)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	write_own_sample(f);
	if (!fork())
		write_own_sample(f);
	CHECK(write(say, "", 1) == 1);
	pause();
}

TEST(children_in_another_pid_namespace_speak_too)
{
	int said[2];
	struct fixture f;
	cpu_set_t one;
	char c;
	pid_t first;

	fixture_init(&f);
	/* There is a ring for each CPU: in one of them the child's sample is the last. */
	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK(!sched_setaffinity(0, sizeof(one), &one));
	CHECK(!pipe(said));
	/* Not unshare(): the leak sanitizer could start no thread any more when that namespace has ended. */
	first = (pid_t)syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0);
	if (first < 0)
		SKIP("no right to make a pid namespace");
	if (!first)
		be_in_namespace(&f, said[1]);
	CHECK(read(said[0], &c, 1) == 1 && read(said[0], &c, 1) == 1);
	take_other(&f, first);
	CHECK_U64(drain(&f), 0);
	CHECK_U64(f.n[EVENT_SAMPLE], 2);
	CHECK(f.sample.pid > 2 && f.sample.pid != (uint32_t)first && f.sample.pid == f.sample.tid);
	end_stranger(first);
	fixture_free(&f);
}

/* System calls that read. */
static uint64_t n_reads(void)
{
	FILE *f = fopen("/proc/self/io", "re");
	unsigned long n = 0;

	CHECK(f && fscanf(f, "rchar: %*u wchar: %*u syscr: %lu", &n) == 1);
	fclose(f);
	return n;
}

/* As many records as there may be; /proc is read for each process, not for each record. */
TEST(a_flood_of_records_of_others_is_refused_at_once)
{
	struct agent_sample sample;
	struct fixture f;
	uint64_t before;
	unsigned int n = 0;

	fixture_init(&f);
	sample = sample_of(&f);
	sample.pid = getppid();
	for (; n < 1000; n++)
		write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
	before = n_reads();
	CHECK_U64(drain(&f), n);
	CHECK(n_reads() - before < 100);
	fixture_free(&f);
}

TEST(lengths_and_reasons_are_checked)
{
	struct {
		struct agent_chain chain;
		uint64_t ips[2];
	} chain = { { .cookie = 3, .pid = getpid(), .tid = getpid(), .n = 3 }, { 1, 2 } };
	struct agent_sample sample;
	struct fixture f;

	fixture_init(&f);
	write_record(&f, AGENT_RECORD_CHAIN, &chain, sizeof(chain));		/* longer than its record */
	chain.chain.n = 2;
	chain.chain.reason = 999;
	write_record(&f, AGENT_RECORD_CHAIN, &chain, sizeof(chain));		/* there is no such reason */
	write_record(&f, AGENT_RECORD_CHAIN, &chain, sizeof(chain.chain) - 8);
	CHECK_U64(drain(&f), 3);
	sample = sample_of(&f);
	sample.raw_size = 8;
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));		/* nor such data */
	sample.raw_size = 0;
	sample.cookie = 0;
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));		/* no chain, and why not? */
	write_record(&f, PERF_RECORD_SWITCH, &sample, sizeof(sample));
	write_record(&f, PERF_RECORD_COMM, &sample, 8);
	CHECK_U64(drain(&f), 4);
	CHECK_U64(f.n[EVENT_SAMPLE] + f.n[EVENT_CHAIN], 0);
	chain.chain.reason = 0;
	write_record(&f, AGENT_RECORD_CHAIN, &chain, sizeof(chain));
	CHECK_U64(drain(&f), 0);
	CHECK_U64(f.n[EVENT_CHAIN], 1);
	fixture_free(&f);
}

/* Whatever times an agent makes up, its events do not wait for them. */
TEST(times_are_between_its_coming_and_now)
{
	struct agent_sample sample;
	struct fixture f;

	fixture_init(&f);
	sample = sample_of(&f);
	for (int i = 0; i < 3; i++) {
		uint64_t times[] = { 0, UINT64_MAX / 2, UINT64_MAX };

		sample.time = times[i];
		write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
		drain(&f);
		CHECK(f.sample.time >= f.process->since && f.sample.time <= f.process->since + 30000000000ULL);
	}
	CHECK_U64(f.n[EVENT_SAMPLE], 3);
	fixture_free(&f);
}

static void *say_who(void *fd)
{
	pid_t tid = (pid_t)syscall(SYS_gettid);

	CHECK(write((int)(long)fd, &tid, sizeof(tid)) == sizeof(tid));
	for (;;)
		pause();
	return NULL;
}

static pid_t begin_thread(void)
{
	pthread_t thread;
	int ends[2];
	pid_t tid;

	CHECK(!pipe(ends) && !pthread_create(&thread, NULL, say_who, (void *)(long)ends[1]));
	CHECK(read(ends[0], &tid, sizeof(tid)) == sizeof(tid));
	return tid;
}

static uint64_t count_unseen(struct fixture *f)
{
	for (int i = 0; i < 5; i++)
		agent_process_look(f->process);
	return f->process->unsampled[UNSAMPLED_UNSEEN];
}

/* Threads that the agent has not told of, but not those that come to speak later, or have said that they end. */
TEST(threads_that_say_nothing_are_counted)
{
	struct agent_sample sample;
	struct {
		uint32_t pid, ppid, tid, ptid;
		uint64_t time;
		struct agent_trailer trailer;
	} end = { 0 };
	struct fixture f;
	pid_t first, second;

	fixture_init(&f);
	CHECK_U64(count_unseen(&f), 0);
	first = begin_thread();
	second = begin_thread();
	agent_process_look(f.process);
	CHECK_U64(f.process->unsampled[UNSAMPLED_UNSEEN], 0);
	CHECK_U64(count_unseen(&f), 2);
	sample = sample_of(&f);
	sample.tid = first;
	write_record(&f, AGENT_RECORD_SAMPLE, &sample, sizeof(sample));
	CHECK_U64(drain(&f), 0);
	CHECK_U64(count_unseen(&f), 1);
	end.pid = end.ppid = end.trailer.pid = getpid();
	end.tid = end.ptid = end.trailer.tid = second;
	write_record(&f, PERF_RECORD_EXIT, &end, sizeof(end));
	CHECK_U64(drain(&f), 0);
	CHECK_U64(count_unseen(&f), 0);
	fixture_free(&f);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/* Recordings inside the process: they come and go while threads fire and are sampled. */
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "base/reason.h"
#include "rcu/sys.h"
#include "retour/rcu.h"
#include "runtime/agent.h"
#include "runtime/agent_socket.h"
#include "runtime/recording.h"
#include "runtime/ring_layout.h"
#include "runtime/tracepoint.h"
#include "traced.h"
#include "unit/test.h"

enum { N_THREADS = 3 };

#ifdef RETOUR_TORTURE
/* Now and then another thread comes first. */
void retour_torture_delay(void)
{
	static unsigned int n;

	if (__atomic_add_fetch(&n, 1, __ATOMIC_RELAXED) % 64 == 0)
		sys_call(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
}
#endif

static bool stop;
static pid_t tids[N_THREADS];
static unsigned int n_ready;

static void *fire(void *arg)
{
	tids[(long)arg] = sys_gettid();
	__atomic_fetch_add(&n_ready, 1, __ATOMIC_RELEASE);
	for (int i = 0; !__atomic_load_n(&stop, __ATOMIC_RELAXED); i++) {
		trace_app_pair(i, -i);
		trace_app_request(i, "path");
	}
	return NULL;
}

static int make_page(void)
{
	struct agent_page *page;
	int fd = memfd_create("page", MFD_ALLOW_SEALING);

	CHECK(fd >= 0 && !ftruncate(fd, 4096) && !fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(page != MAP_FAILED);
	page->state = AGENT_RUNNING;
	return fd;
}

static int recording_open(const struct agent_session *wanted, int page, struct recording **ret)
{
	int err = recording_create(wanted, page, ret);

	if (err)
		return err;
	err = recording_start(*ret);
	if (err)
		recording_destroy(*ret);
	return err;
}

static void recording_close(struct recording *recording)
{
	recording_stop(recording);
	recording_destroy(recording);
}

static const struct agent_session both = {
	.n_events = 2, .max_depth = 64, .ring_bytes = 65536, .events = {
		{ .kind = AGENT_WALL_CLOCK, .period = 50000 },
		{ .kind = AGENT_TRACEPOINTS, .period = 1, .pattern = "app:*" },
	},
};

static unsigned int drain(const struct recording *recording)
{
	struct retour_ring_reader *reader;
	const struct perf_event_header *header;
	unsigned int n = 0;

	CHECK(!retour_ring_reader_open(retour_ring_fd(recording->ring), &reader));
	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &header))
			n += header->type == AGENT_RECORD_SAMPLE;
	retour_ring_reader_close(reader);
	return n;
}

/* A deliberate bug may take its time on a busy machine. */
#ifdef RETOUR_TORTURE
#define COME_AND_GO_NS 60000000000
#else
#define COME_AND_GO_NS 1500000000
#endif

/* What is freed is not used any more: it would fault, or the sanitizers would say so. */
TEST(come_and_go)
{
	int page = make_page();
	unsigned int n = 0;
	pthread_t threads[N_THREADS];
	uint64_t end = now_ns(CLOCK_MONOTONIC) + COME_AND_GO_NS;

	for (long i = 0; i < N_THREADS; i++)
		CHECK(!pthread_create(&threads[i], NULL, fire, (void *)i));
	while (__atomic_load_n(&n_ready, __ATOMIC_ACQUIRE) < N_THREADS)
		sched_yield();
	while (now_ns(CLOCK_MONOTONIC) < end || n <= 100) {
		struct recording *recording;

		CHECK(!recording_open(&both, page, &recording));
		for (int i = 0; i < N_THREADS; i++)
			CHECK(!sampler_arm(&recording->sampler, tids[i]));
		usleep(500);
		n += drain(recording);
		recording_close(recording);
		CHECK(!trace_app_pair_enabled());
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < N_THREADS; i++)
		pthread_join(threads[i], NULL);
	printf("# %u samples\n", n);
}

/* Who gets no clocks is not asked about again. */
TEST(refused_clocks)
{
	struct recording *recording;
	struct rlimit limit;

	CHECK(!getrlimit(RLIMIT_SIGPENDING, &limit));
	limit.rlim_cur = 0;
	CHECK(!recording_open(&both, make_page(), &recording));
	CHECK(!setrlimit(RLIMIT_SIGPENDING, &limit));
	CHECK(sampler_arm(&recording->sampler, sys_gettid()) == -EAGAIN);
	CHECK(sampler_has(&recording->sampler, sys_gettid()) && !sampler_runs(&recording->sampler));
	CHECK(!sampler_arm(&recording->sampler, sys_gettid()));
	sampler_disarm(&recording->sampler, sys_gettid());
	limit.rlim_cur = limit.rlim_max;
	CHECK(!setrlimit(RLIMIT_SIGPENDING, &limit) && !sampler_arm(&recording->sampler, sys_gettid()));
	CHECK(sampler_runs(&recording->sampler));
	recording_close(recording);
}

TEST(as_many_as_there_is_room_for)
{
	struct recording *recordings[SAMPLERS], *more;
	struct agent_session session = both;
	int page = make_page();

	for (int i = 0; i < SAMPLERS; i++)
		CHECK(!recording_open(&session, page, &recordings[i]));
	CHECK(recording_open(&session, page, &more) == -EBUSY);
	trace_app_pair(1, 2);
	for (int i = 0; i < SAMPLERS; i++) {
		CHECK(drain(recordings[i]) == 1);
		recording_close(recordings[i]);
	}
	CHECK(!trace_app_pair_enabled());
	CHECK(!recording_open(&session, page, &more));
	recording_close(more);
}

/* A handler amid the recording of a tracepoint has its own record. */
static void fire_in_handler(int sig)
{
	trace_app_pair(1, 1);
}

TEST(handlers_fire_too)
{
	struct recording *recording;
	struct agent_session session = both;
	struct sigaction action = { .sa_handler = fire_in_handler };
	timer_t timer;
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };
	struct itimerspec every = { { 0, 50000 }, { 0, 50000 } };
	uint64_t end = now_ns(CLOCK_MONOTONIC) + 300000000;
	unsigned int n = 0;

	session.events[0] = session.events[1];
	session.n_events = 1;
	CHECK(!recording_open(&session, make_page(), &recording));
	CHECK(!sigaction(SIGUSR1, &action, NULL) && !timer_create(CLOCK_MONOTONIC, &event, &timer) &&
	      !timer_settime(timer, 0, &every, NULL));
	while (now_ns(CLOCK_MONOTONIC) < end || n <= 50) {
		for (int i = 0; i < 50; i++)
			trace_app_request(i, "a");
		n += drain(recording);
	}
	timer_delete(timer);
	recording_close(recording);
}

/* ---- alternate stacks ------------------------------------------------------------ */

#ifndef AT_MINSIGSTKSZ
#define AT_MINSIGSTKSZ 51
#endif

static char area[1 << 16];

static void spin_there(int sig)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + 10000000;

	while (now_ns(CLOCK_MONOTONIC) < end)
		;
}

static unsigned int count_reason(struct retour_ring_reader *reader, unsigned int reason)
{
	const struct perf_event_header *header;
	unsigned int n = 0;

	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &header))
			n += header->type == AGENT_RECORD_SAMPLE &&
			     ((const struct agent_sample *)(header + 1))->reason == reason;
	return n;
}

/* Whatever room a handler's stack has beyond two frames of the kernel's, nothing is written below it. */
TEST(small_alternate_stacks)
{
	size_t frame = getauxval(AT_MINSIGSTKSZ) ? getauxval(AT_MINSIGSTKSZ) : 2048, guard = 16384;
	struct sigaction action = { .sa_handler = spin_there, .sa_flags = SA_ONSTACK };
	struct agent_session session = both;
	struct recording *recording;
	struct retour_ring_reader *reader;
	unsigned int without = 0, with = 0;

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
	SKIP("code under a sanitizer needs more stack");
#endif
	session.n_events = 1;
	CHECK(!recording_open(&session, make_page(), &recording));
	CHECK(!retour_ring_reader_open(retour_ring_fd(recording->ring), &reader));
	CHECK(!sigaction(SIGUSR1, &action, NULL) && !sampler_arm(&recording->sampler, sys_gettid()));
	for (size_t more = 768; more < 5120; more += 256) {
		stack_t stack = { .ss_sp = area + guard, .ss_size = 2 * frame + more };

		memset(area, 0x5a, sizeof(area));
		CHECK(!sigaltstack(&stack, NULL) && !raise(SIGUSR1));
		for (size_t i = 0; i < guard; i++)
			CHECK(area[i] == 0x5a);
		if (more < 1024)
			without += count_reason(reader, REASON_NO_STACK);
		else if (more > 4096)
			with += count_reason(reader, REASON_NONE);
		else
			count_reason(reader, 0);
	}
	CHECK(with > 10);
	printf("# %u samples without a walk\n", without);
	retour_ring_reader_close(reader);
	recording_close(recording);
}

RETOUR_TRACEPOINT(bytes, three, (signed char, a), (signed char, b), (signed char, c));
RETOUR_TRACEPOINT(bytes, four, (int, i), (signed char, a), (signed char, b), (const char *, text));

enum { POISON = 0x5a };

/* Fills what of the rings is free, or looks whether it is still filled. */
static bool is_poisoned(const struct retour_ring *ring, bool fill)
{
	unsigned char *at = mmap(NULL, 256 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, retour_ring_fd(ring), 0);
	const struct ring_set *set = (const void *)at;
	size_t page = sysconf(_SC_PAGESIZE);
	bool is = true;

	CHECK(at != MAP_FAILED);
	at += page;
	for (unsigned int i = 0; i < set->n_rings; i++, at += page + set->data_size)
		for (uint64_t where = ((const struct ring_page *)at)->words.reserve; where < set->data_size; where++) {
			is &= at[page + where] == POISON;
			if (fill)
				at[page + where] = POISON;
		}
	return is;
}

/* Small fields at the end of a record leave alone what is behind it. */
TEST(within_records)
{
	struct recording *recording;
	struct agent_session session = both;

	session.n_events = 1;
	session.max_depth = 0;
	session.events[0] = session.events[1];
	strcpy(session.events[0].pattern, "bytes:*");
	CHECK(!recording_open(&session, make_page(), &recording));
	is_poisoned(recording->ring, true);
	trace_bytes_three(-1, -2, -3);
	CHECK(is_poisoned(recording->ring, false));
	trace_bytes_four(-1, -2, -3, "");
	CHECK(is_poisoned(recording->ring, false));
	CHECK(drain(recording) == 2);
	recording_close(recording);
}

RETOUR_TRACEPOINT(text, ten, (const char *, a), (const char *, b), (const char *, c), (const char *, d),
		  (const char *, e), (const char *, f), (const char *, g), (const char *, h), (const char *, i),
		  (const char *, j));

/* The data of the only sample. */
static const struct agent_sample *only_sample(struct retour_ring_reader *reader)
{
	const struct perf_event_header *header;

	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &header))
			if (header->type == AGENT_RECORD_SAMPLE)
				return (const void *)(header + 1);
	return NULL;
}

static struct recording *record_pattern(const char *pattern)
{
	struct agent_session session = both;
	struct recording *recording;

	session.n_events = 1;
	session.max_depth = 0;
	session.events[0] = session.events[1];
	strcpy(session.events[0].pattern, pattern);
	CHECK(!recording_open(&session, make_page(), &recording));
	return recording;
}

static struct retour_ring_reader *open_reader(const struct recording *recording)
{
	struct retour_ring_reader *reader;

	CHECK(!retour_ring_reader_open(retour_ring_fd(recording->ring), &reader));
	return reader;
}

static void count_all(struct retour_ring_reader *reader, uint64_t *samples, uint64_t *lost)
{
	const struct perf_event_header *header;

	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &header)) {
			*samples += header->type == AGENT_RECORD_SAMPLE;
			*lost += header->type == PERF_RECORD_LOST ? ((const uint64_t *)header)[2] : 0;
		}
}

/* More than a recorder takes: each string has its place, and the last ones less of it. */
TEST(long_strings)
{
	struct recording *recording = record_pattern("text:ten");
	struct retour_ring_reader *reader = open_reader(recording);
	const struct agent_sample *sample;
	char s[4096];
	uint32_t loc[10];

	memset(s, 'x', sizeof(s) - 1);
	s[sizeof(s) - 1] = '\0';
	trace_text_ten(s, s, s, s, s, s, s, s, s, s);
	sample = only_sample(reader);
	CHECK(sample && sample->raw_size == AGENT_MAX_RAW);
	memcpy(loc, sample->raw + 8, sizeof(loc));
	for (unsigned int i = 0; i < 10; i++) {
		const char *text = (const char *)sample->raw + (loc[i] & 0xffff);

		CHECK((loc[i] & 0xffff) + (loc[i] >> 16) <= sample->raw_size && strlen(text) + 1 == loc[i] >> 16);
		CHECK(loc[i] >> 16 == (i < 7 ? 4096 : i == 7 ? 4096 - 8 - 40 - 2 : 1));
	}
	retour_ring_reader_close(reader);
	recording_close(recording);
}

/* As app:pair, under another name; n of them. */
static void add_tracepoints(unsigned int n)
{
	struct retour_tracepoint *new = calloc(n, sizeof(*new));
	char (*names)[16] = calloc(n, sizeof(*names));
	sigset_t saved;

	for (unsigned int i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "added_%d_%u", (int)getpid() % 10000, i);
		new[i].provider = "app";
		new[i].name = names[i];
		new[i].fields = retour_tracepoint_find("app", "pair")->fields;
		sites_lock(&saved);
		tracepoint_add(&new[i]);
		sites_unlock(&saved);
	}
}

static void stay_here(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(sched_getcpu(), &one);
	CHECK(!sched_setaffinity(0, sizeof(one), &one));
}

/* Descriptions leave room for other records, and come before the samples. */
TEST(many_tracepoints)
{
	const struct perf_event_header *header;
	struct agent_session session = both;
	struct retour_ring_reader *reader;
	struct recording *recording;
	unsigned int id = 0, n = 0;

	/* Rings are read one after the other. */
	stay_here();
	add_tracepoints(200);
	session.n_events = 1;
	session.events[0] = session.events[1];
	CHECK(!recording_open(&session, make_page(), &recording));
	trace_app_pair(1, 2);
	reader = open_reader(recording);
	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &header)) {
			const struct agent_tracepoint *tp = (const void *)(header + 1);
			const struct agent_sample *sample = (const void *)(header + 1);

			CHECK(header->type != PERF_RECORD_LOST);
			if (header->type == AGENT_RECORD_TRACEPOINT && !strcmp(tp->name, "pair")) {
				id = tp->id;
			} else if (header->type == AGENT_RECORD_SAMPLE) {
				CHECK(id && *(const uint16_t *)sample->raw == id);
				n++;
			}
		}
	CHECK(n == 1);
	recording_close(recording);
}

/* What comes after a fork, in the parent or in the child, has a number of its own. */
TEST(numbers_after_forks)
{
	const struct perf_event_header *header;
	struct agent_session session = both;
	struct retour_ring_reader *reader;
	struct recording *recording;
	bool seen[64] = { false };
	unsigned int n = 0;
	pid_t child;

	session.n_events = 1;
	session.events[0] = session.events[1];
	strcpy(session.events[0].pattern, "app:added*");
	CHECK(!recording_open(&session, make_page(), &recording));
	child = fork();
	add_tracepoints(3);
	if (!child)
		_exit(0);
	CHECK(waitpid(child, NULL, 0) == child);
	reader = open_reader(recording);
	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &header)) {
			const struct agent_tracepoint *tp = (const void *)(header + 1);

			CHECK(header->type == AGENT_RECORD_TRACEPOINT && tp->id < 64 && !seen[tp->id]);
			seen[tp->id] = true;
			n++;
		}
	CHECK(n == 6);
	recording_close(recording);
}

static void count_coming(const struct retour_tracepoint *tp, void *n)
{
	++*(unsigned int *)n;
}

/* The program wants to know of new tracepoints itself, before and while it is recorded. */
TEST(coming_is_the_programs)
{
	struct agent_session session = both;
	struct recording *recording;
	unsigned int n = 0;

	session.n_events = 1;
	session.events[0] = session.events[1];
	retour_tracepoint_set_coming(count_coming, &n);
	CHECK(!recording_open(&session, make_page(), &recording));
	add_tracepoints(3);
	CHECK(n == 3);
	recording_close(recording);
}

/* What comes is recorded although the program has a callback of its own. */
TEST(coming_is_ours_too)
{
	const struct perf_event_header *header;
	struct agent_session session = both;
	struct retour_ring_reader *reader;
	struct recording *recording;
	unsigned int n = 0;

	session.n_events = 1;
	session.events[0] = session.events[1];
	strcpy(session.events[0].pattern, "app:added*");
	CHECK(!recording_open(&session, make_page(), &recording));
	retour_tracepoint_set_coming(NULL, NULL);
	add_tracepoints(3);
	reader = open_reader(recording);
	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		while (retour_ring_reader_next(reader, i, &header))
			n += header->type == AGENT_RECORD_TRACEPOINT;
	CHECK(n == 3);
	recording_close(recording);
}

/* Each refusal of one recording's rings is an event of another one, whose own refusals are none. */
TEST(slow_paths_of_rings)
{
	uint64_t samples = 0, lost = 0, events = 0, events_lost = 0;
	struct recording *watched, *watching;
	struct agent_session session = both;
	int page = make_page();

	session.n_events = 1;
	session.max_depth = 0;
	session.events[0] = session.events[1];
	CHECK(!recording_open(&session, page, &watched));
	strcpy(session.events[0].pattern, "retour:ring_full");
	CHECK(!recording_open(&session, page, &watching));
	for (int i = 0; i < 20000; i++)
		trace_app_pair(i, -i);
	count_all(open_reader(watched), &samples, &lost);
	count_all(open_reader(watching), &events, &events_lost);
	CHECK_U64(samples + lost, 20000);
	CHECK(lost > 1000 && events > 100 && events_lost > 100);
	CHECK_U64(events + events_lost, lost);
	recording_close(watching);
	recording_close(watched);
}

/* ---- forks ---------------------------------------------------------------------- */

static struct agent_page *shared_page;
static int shared_page_fd;

/* Sessions one after the other, as recorders have them. */
static void *have_sessions(void *arg)
{
	struct agent_message message = { .kind = AGENT_SESSION, .session = both };

	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		struct recording *recording;
		int fds[2];

		CHECK(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds));
		CHECK(!agent_send(fds[1], &message, shared_page_fd));
		CHECK(!agent_serve(fds[0], &recording));
		agent_end(recording);
		close(fds[0]);
		close(fds[1]);
		__atomic_fetch_add(&n_ready, 1, __ATOMIC_RELAXED);
	}
	return NULL;
}

/* Whatever was under way in its parent: recordings end as the next thread begins, and there is room for as many as ever. */
static void check_child(void)
{
	struct recording *recordings[SAMPLERS];
	int page = make_page();

	shared_page->state = AGENT_STOPPED;
	retour_agent_thread_begin(false, false);
	CHECK(!trace_app_pair_enabled());
	trace_app_pair(1, 2);
	for (int i = 0; i < SAMPLERS; i++)
		CHECK(!recording_open(&both, page, &recordings[i]));
	CHECK(trace_app_pair_enabled());
	for (int i = 0; i < SAMPLERS; i++)
		recording_close(recordings[i]);
	CHECK(!trace_app_pair_enabled());
	_exit(0);
}

TEST(forks_amid_sessions)
{
	pthread_t thread;
	int status;

#if defined(__SANITIZE_THREAD__)
	SKIP("the sanitizer does not bear children of threads");
#endif
	shared_page_fd = make_page();
	shared_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, shared_page_fd, 0);
	CHECK(shared_page != MAP_FAILED && !pthread_create(&thread, NULL, have_sessions, NULL));
	while (!__atomic_load_n(&n_ready, __ATOMIC_RELAXED))
		sched_yield();
	for (int i = 0; i < 60; i++) {
		pid_t child;

		shared_page->state = AGENT_RUNNING;
		usleep(i * 37 % 1000);
		child = fork();
		if (!child)
			check_child();
		CHECK(waitpid(child, &status, 0) == child && !status);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK(!pthread_join(thread, NULL));
	printf("# %u sessions\n", n_ready);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

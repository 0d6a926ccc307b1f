/* SPDX-License-Identifier: MIT */
/*
 * Torture of rings: processes with threads that write, with handlers on top of
 * them at random instructions, that migrate in the middle of a record and are
 * killed anywhere; the reader in another process is quick or slow.
 *
 * Each record says who wrote it and has words that follow from that, so
 * none can be torn, seen twice or made up; and all are counted.
 *
 * ring [--seconds N] [TEST]: prints TAP and ends with the first failure.
 */
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "retour/ring.h"
#include "torture/torture.h"

enum { PROCESSES = 2, THREADS = 2, MAX_LIVES = 400, TYPE = 77, DATA = 64 << 10, MAX_WORDS = 200, MAX_DEPTH = 3 };

/* What a thread has done, kept where its death does not take it away. */
struct tally {
	uint64_t begun;		/* calls of reserve, also the numbers of records */
	uint64_t ended;
	uint64_t taken_back;
	uint64_t refused;
} __attribute__((aligned(64)));

struct shared {
	bool stop;
	struct tally tallies[MAX_LIVES][THREADS];
};

struct payload {
	uint64_t life, thread, number;
	uint64_t words[];
};

/* What the reader has seen of a thread: a bit for each number. */
struct seen {
	unsigned char *bits;
	uint64_t size;
};

struct scenario {
	const char *name;
	enum retour_ring_mode mode;
	bool kills;
	bool slow;
};

static const struct scenario scenarios[] = {
	{ "a_quick_reader", RETOUR_RING_DISCARD, false, false },
	{ "a_slow_reader", RETOUR_RING_DISCARD, false, true },
	{ "overwriting", RETOUR_RING_OVERWRITE, false, false },
	{ "overwriting_before_a_slow_reader", RETOUR_RING_OVERWRITE, false, true },
	{ "killed_writers", RETOUR_RING_DISCARD, true, false },
	{ "killed_writers_overwriting", RETOUR_RING_OVERWRITE, true, true },
};

static const struct scenario *scenario;
static struct shared *shared;
static struct retour_ring *ring;
static struct retour_ring_reader *reader;
static struct seen seen[MAX_LIVES][THREADS];
static unsigned int lives;
static unsigned int test_no;
static uint64_t n_read, n_lost;

static unsigned int life;		/* of a writer's process */
static __thread unsigned int thread_no;
static __thread unsigned int depth;
static __thread timer_t timer;

static void fail(const char *what)
{
	printf("not ok %u %s\n# %s\n", test_no, scenario->name, what);
	fflush(stdout);
	exit(1);
}

static uint64_t word_of(const struct payload *p, size_t i)
{
	return (p->life << 40 ^ p->thread << 32 ^ p->number) * 0x9e3779b97f4a7c15ull + i;
}

static void migrate(void)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(torture_random() % sysconf(_SC_NPROCESSORS_ONLN), &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static void write_one(void)
{
	struct tally *tally = &shared->tallies[life][thread_no];
	size_t n = one_in(50) ? torture_random() % MAX_WORDS : torture_random() % 8;
	struct retour_ring_record record;
	struct payload *payload;
	uint64_t number = __atomic_fetch_add(&tally->begun, 1, __ATOMIC_RELAXED);
	int err = retour_ring_reserve(ring, sizeof(*payload) + n * 8, &record);

	__atomic_fetch_add(&tally->ended, 1, __ATOMIC_RELAXED);
	if (err) {
		__atomic_fetch_add(&tally->refused, 1, __ATOMIC_RELAXED);
		return;
	}
	payload = record.data;
	*payload = (struct payload){ life, thread_no, number };
	if (one_in(100))
		migrate();
	for (size_t i = 0; i < n; i++) {
		payload->words[i] = word_of(payload, i);
		if (one_in(64))
			retour_torture_delay();
	}
	/* What is taken back and then forgotten counts as lost, so not where counts are to be exact. */
	if (scenario->mode == RETOUR_RING_DISCARD && one_in(16)) {
		__atomic_fetch_add(&tally->taken_back, 1, __ATOMIC_RELAXED);
		retour_ring_discard(ring, &record);
	} else {
		retour_ring_commit(ring, &record, TYPE, n);
	}
}

static void set_timer(void)
{
	struct itimerspec when = { .it_value.tv_nsec = 1000 + torture_random() % (one_in(4) ? 10000 : 300000) };

	timer_settime(timer, 0, &when, NULL);
}

static void on_signal(int signo)
{
	int saved = errno;

	depth++;
	if (depth < MAX_DEPTH && one_in(2))
		set_timer();
	write_one();
	if (one_in(4))
		write_one();
	if (--depth == 0)
		set_timer();
	errno = saved;
}

static void *write_until_stopped(void *arg)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };

	thread_no = (uintptr_t)arg;
	event._sigev_un._tid = syscall(SYS_gettid);
	timer_create(CLOCK_MONOTONIC, &event, &timer);
	set_timer();
	while (!__atomic_load_n(&shared->stop, __ATOMIC_RELAXED)) {
		write_one();
		/* Mostly as fast as can be, sometimes so that the reader can follow. */
		if (one_in(200))
			sleep_us(torture_random() % 200);
	}
	signal(SIGUSR1, SIG_IGN);
	return NULL;
}

static pid_t start_writer(void)
{
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_NODEFER | SA_RESTART };
	pthread_t threads[THREADS];
	pid_t reader_pid = getpid(), pid;

	life = lives++;
	pid = fork();
	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != reader_pid)
		_exit(1);
	set_noisy(true);
	sigaction(SIGUSR1, &action, NULL);
	for (uintptr_t i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, write_until_stopped, (void *)i);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	_exit(0);
}

static bool test_and_set(struct seen *s, uint64_t number)
{
	unsigned char bit = 1 << number % 8;
	bool was;

	if (number / 8 >= s->size) {
		uint64_t size = number / 4 + 4096;

		s->bits = realloc(s->bits, size);
		if (!s->bits)
			fail("no memory");
		memset(s->bits + s->size, 0, size - s->size);
		s->size = size;
	}
	was = s->bits[number / 8] & bit;
	s->bits[number / 8] |= bit;
	return was;
}

static void check_record(const struct perf_event_header *header)
{
	const struct payload *payload = (const struct payload *)(header + 1);

	if (header->type == PERF_RECORD_LOST) {
		n_lost += ((const uint64_t *)header)[2];
		return;
	}
	if (header->type != TYPE || header->size != sizeof(*header) + sizeof(*payload) + header->misc * 8)
		fail("a record is none");
	if (payload->life >= lives || payload->thread >= THREADS ||
	    payload->number >= __atomic_load_n(&shared->tallies[payload->life][payload->thread].begun, __ATOMIC_RELAXED))
		fail("nobody wrote a record");
	for (size_t i = 0; i < header->misc; i++)
		if (payload->words[i] != word_of(payload, i))
			fail("a record is torn");
	if (test_and_set(&seen[payload->life][payload->thread], payload->number))
		fail("a record comes twice");
	n_read++;
}

/* False: there was nothing. */
static bool read_rings(unsigned int most)
{
	const struct perf_event_header *header;
	bool any = false;

	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		for (unsigned int n = 0; n < most && retour_ring_reader_next(reader, i, &header); n++) {
			check_record(header);
			any = true;
		}
	return any;
}

static void read_for(double seconds, pid_t *writers)
{
	double end = seconds_now() + seconds, next_kill = 0;

	while (seconds_now() < end) {
		if (!read_rings(scenario->slow ? 200 : 1000) || scenario->slow)
			retour_ring_reader_wait(reader, torture_random() % 2000000);
		if (!scenario->kills || seconds_now() < next_kill || lives == MAX_LIVES)
			continue;
		pid_t *victim = &writers[torture_random() % PROCESSES];

		kill(*victim, SIGKILL);
		/* Others stay zombies. */
		if (one_in(2))
			waitpid(*victim, NULL, 0);
		*victim = start_writer();
		next_kill = seconds_now() + torture_random() % 20000 / 1e6;
	}
}

static bool any_is_refused(void)
{
	uint64_t refused = 0;

	for (unsigned int i = 0; i < lives; i++)
		for (unsigned int j = 0; j < THREADS; j++)
			refused += __atomic_load_n(&shared->tallies[i][j].refused, __ATOMIC_RELAXED);
	return refused != 0;
}

static void check_counts(void)
{
	uint64_t begun = 0, ended = 0, taken_back = 0;
	bool exact = !scenario->kills;

	for (unsigned int i = 0; i < lives; i++)
		for (unsigned int j = 0; j < THREADS; j++) {
			begun += shared->tallies[i][j].begun;
			ended += shared->tallies[i][j].ended;
			taken_back += shared->tallies[i][j].taken_back;
		}
	printf("# %llu begun, %llu ended, %llu taken back; %llu read, %llu lost; %u processes\n",
	       (unsigned long long)begun, (unsigned long long)ended, (unsigned long long)taken_back,
	       (unsigned long long)n_read, (unsigned long long)n_lost, lives);
	if (n_read + n_lost < ended - taken_back)
		fail("some are neither read nor lost");
	if (n_read + n_lost > begun - (exact ? taken_back : 0))
		fail("more are read or lost than there were");
	if (!n_read)
		fail("nothing was read");
}

static void run(double seconds)
{
	struct retour_ring_options options = { .mode = scenario->mode, .data_size = DATA, .watermark = DATA / 4 };
	pid_t writers[PROCESSES];

	if (retour_ring_create(&options, &ring) || retour_ring_reader_open(retour_ring_fd(ring), &reader))
		fail("no rings");
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	for (int i = 0; i < PROCESSES; i++)
		writers[i] = start_writer();
	be_sluggish(2000);
	read_for(seconds, writers);
	/* Slow is who lets rings become full, however late a busy machine lets the writers come to that. */
	while (scenario->slow && scenario->mode == RETOUR_RING_DISCARD && !any_is_refused())
		sleep_us(1000);
	be_sluggish(0);
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELAXED);
	while (waitpid(-1, NULL, WNOHANG) >= 0)
		read_rings(100000);
	while (read_rings(100000))
		;
	check_counts();
	printf("ok %u %s\n", test_no, scenario->name);
	fflush(stdout);
}

/* In a process of its own. */
static bool run_apart(double seconds)
{
	int status;
	pid_t pid;

	fflush(stdout);
	pid = fork();
	if (!pid) {
		run(seconds);
		exit(0);
	}
	waitpid(pid, &status, 0);
	if (WIFSIGNALED(status))
		printf("not ok %u %s\n# killed by signal %d\n", test_no, scenario->name, WTERMSIG(status));
	return WIFEXITED(status) && !WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	const char *only = NULL;
	double seconds = 3;
	bool failed = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--seconds") && i + 1 < argc)
			seconds = atof(argv[++i]);
		else
			only = argv[i];
	}
	for (size_t i = 0; i < sizeof(scenarios) / sizeof(scenarios[0]) && !failed; i++) {
		scenario = &scenarios[i];
		if (only && strcmp(only, scenario->name))
			continue;
		test_no++;
		failed = !run_apart(seconds);
	}
	printf("1..%u\n", test_no);
	return failed;
}

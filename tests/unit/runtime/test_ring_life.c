/* SPDX-License-Identifier: MIT */
/* Rings whose writers die, fork, are stepped, or meet a reader gone mad, and readers of mad writers. */
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/ptrace.h>

#include "ring_fixture.h"

/* A child that reserves a record and then does as told; returns when it has reserved. */
static pid_t child_in_a_record(void (*then)(struct retour_ring_record *record))
{
	struct retour_ring_record record;
	int ready[2];
	char c;
	pid_t pid;

	CHECK(!pipe(ready));
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (retour_ring_reserve(ring, 100, &record))
			_exit(1);
		memset(record.data, 0xee, 100);
		if (write(ready[1], "", 1) != 1)
			_exit(1);
		then(&record);
		_exit(0);
	}
	CHECK(read(ready[0], &c, 1) == 1);
	close(ready[0]);
	close(ready[1]);
	return pid;
}

static void sleep_on(struct retour_ring_record *record)
{
	pause();
}

static void become_another_program(struct retour_ring_record *record)
{
	execlp("sleep", "sleep", "100", NULL);
}

static uint64_t abandoned(void)
{
	uint64_t n = 0;

	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		n += retour_ring_reader_counts(reader, i).abandoned;
	return n;
}

static void check_one_is_lost(uint64_t before, uint64_t after)
{
	uint64_t lost = 0, n = 0;

	/* An exec takes its time. */
	while (!abandoned()) {
		n += read_all(&lost);
		usleep(1000);
	}
	n += read_all(&lost);
	CHECK_U64(n, before + after);
	CHECK_U64(lost, 1);
	CHECK_U64(abandoned(), 1);
}

static void killed(bool reaped)
{
	pid_t pid;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	CHECK(!write_record(1, 16));
	pid = child_in_a_record(sleep_on);
	CHECK(!write_record(2, 16));
	kill(pid, SIGKILL);
	if (reaped)
		CHECK(waitpid(pid, NULL, 0) == pid);
	check_one_is_lost(1, 1);
	CHECK(!write_record(3, 16));
	CHECK(check_record(next_record()) == 3);
	close_rings();
}

TEST(a_record_of_a_killed_writer_is_lost_and_passed)
{
	killed(true);
}

TEST(a_writer_that_is_not_yet_reaped_is_dead)
{
	killed(false);
}

TEST(a_writer_that_became_another_program_is_dead)
{
	pid_t pid;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	CHECK(!write_record(1, 16));
	pid = child_in_a_record(become_another_program);
	CHECK(!write_record(2, 16));
	check_one_is_lost(1, 1);
	kill(pid, SIGKILL);
	close_rings();
}

static void *die_in_a_record(void *arg)
{
	struct retour_ring_record record;

	CHECK(!retour_ring_reserve(ring, 100, &record));
	return NULL;
}

TEST(a_thread_that_ended_in_a_record_is_dead)
{
	pthread_t thread;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	CHECK(!pthread_create(&thread, NULL, die_in_a_record, NULL));
	pthread_join(thread, NULL);
	CHECK(!write_record(2, 16));
	check_one_is_lost(0, 1);
	close_rings();
}

/* Nobody reads a flight recorder: its writers bury the dead themselves. */
TEST(overwriting_goes_on_behind_a_killed_writer)
{
	uint64_t written = 1, refused = 0, lost = 0, n;
	pid_t pid;

	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	pin_to(0);
	pid = child_in_a_record(sleep_on);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	for (uint64_t i = 0; i < 10000; i++) {
		int err = write_record(i, 56);

		CHECK(!err || err == -ENOSPC);
		written += !err;
		refused += err != 0;
	}
	CHECK(refused > 0 && refused < 1000);
	n = read_all(&lost);
	CHECK_U64(n, DATA / 64);
	CHECK_U64(n + lost, written + refused);
	close_rings();
}

static void commit_when_continued(struct retour_ring_record *record)
{
	raise(SIGSTOP);
	fill_payload(record->data, 1, 100);
	retour_ring_commit(ring, record, RECORD_TYPE, 1);
}

TEST(a_slow_writer_is_waited_for)
{
	const struct perf_event_header *header;
	int status;
	pid_t pid;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	pid = child_in_a_record(commit_when_continued);
	CHECK(waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status));
	CHECK(!write_record(2, 16));
	for (int i = 0; i < 100; i++)
		CHECK(!next_record());
	kill(pid, SIGCONT);
	waitpid(pid, &status, 0);
	CHECK((header = next_record()) && check_record(header) == 1);
	CHECK((header = next_record()) && check_record(header) == 2);
	close_rings();
}

TEST(the_caller_may_know_that_writers_are_gone)
{
	uint64_t lost = 0;
	pid_t pid;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	pid = child_in_a_record(sleep_on);
	CHECK(!write_record(2, 16));
	CHECK(!next_record());
	retour_ring_reader_writers_gone(reader);
	CHECK_U64(read_all(&lost), 1);
	CHECK_U64(lost, 1);
	kill(pid, SIGKILL);
	close_rings();
}

/* Each sequence is aborted, and the record is written all the same. */
TEST(a_writer_that_is_single_stepped)
{
	const struct perf_event_header *header;
	int status, steps = 0;
	pid_t pid;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pid = fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(write_record(1, 16) ? 1 : 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	while (!ptrace(PTRACE_SINGLESTEP, pid, 0, 0) && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status))
		CHECK(++steps < 1000000);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	CHECK((header = next_record()) && check_record(header) == 1);
	close_rings();
}

TEST(a_forked_child_writes_into_the_same_rings)
{
	uint64_t lost = 0;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	CHECK(!write_record(1, 16));
	for (int i = 0; i < 10; i++) {
		if (!fork())
			_exit(write_record(2 + i, 16) ? 1 : 0);
		int status;

		wait(&status);
		CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
	}
	CHECK_U64(read_all(&lost), 11);
	CHECK_U64(lost, 0);
	close_rings();
}

static uint64_t *shared_words(void)
{
	int fd = retour_ring_fd(ring);
	void *base = mmap(NULL, lseek(fd, 0, SEEK_END), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	CHECK(base != MAP_FAILED);
	return base;
}

/* Where words of a ring are, in words. */
enum { HEAD = 128, TAIL = 129, RESERVE = 256, OLDEST = 258 };

/* Random words anywhere but in the description of the set, most of them near the positions. */
static void scribble(uint64_t *words, size_t n)
{
	size_t page = sysconf(_SC_PAGESIZE) / 8, stride = page + DATA / 8;
	size_t ring_at = page + rand() % ((n - page) / stride) * stride;
	size_t at = rand() % 2 ? ring_at + rand() % page : page + rand() % (n - page);
	static const uint64_t values[] = { 0, 1, 8, ~0ull, DATA, ~7ull, 1ull << 63 };

	switch (rand() % 3) {
	case 0: words[at] = values[rand() % 7]; break;
	case 1: words[at] += rand() % 512 - 256; break;
	case 2: words[at] = (uint64_t)rand() << 33 ^ (uint64_t)rand() << 8 ^ rand(); break;
	}
	/* The positions themselves. */
	if (rand() % 4 == 0)
		words[ring_at + RESERVE + rand() % 6] = rand() % 2 ? (uint64_t)rand() << 33 : (uint64_t)rand() % DATA;
	if (rand() % 4 == 0)
		words[ring_at + HEAD + rand() % 2] = rand() % 2 ? (uint64_t)rand() << 33 : (uint64_t)rand() % DATA;
}

static void mad(enum retour_ring_mode mode)
{
	struct retour_ring_record record;
	const struct perf_event_header *header;
	uint64_t *words;
	size_t n;

	open_rings(mode, DATA, 0);
	words = shared_words();
	n = lseek(retour_ring_fd(ring), 0, SEEK_END) / 8;
	srand(mode + 3);
	for (int i = 0; i < 20000; i++) {
		scribble(words, n);
		for (int j = 0; j < 5; j++) {
			size_t size = rand() % 10 ? rand() % 256 : rand() % RETOUR_RING_MAX_PAYLOAD;
			int err = retour_ring_reserve(ring, size, &record);

			CHECK(!err || err == -ENOSPC);
			if (!err) {
				memset(record.data, 0x55, size);
				retour_ring_commit(ring, &record, 9, 0);
			}
		}
		for (int j = 0; j < 20 && (header = next_record()); j++)
			CHECK(header->size >= 8 && header->size % 8 == 0);
	}
	close_rings();
}

TEST(mad_readers_and_writers_harm_the_records_only)
{
	mad(RETOUR_RING_DISCARD);
	mad(RETOUR_RING_OVERWRITE);
}

/* The beginning of what is left, before and after where it can be: all is forgotten, and writing goes on. */
TEST(a_wrong_oldest_record_is_no_trap)
{
	const uint64_t wrong[] = { 1ull << 20, ~0ull << 20, DATA + 64, 1ull << 63 };
	size_t page = sysconf(_SC_PAGESIZE) / 8;
	uint64_t *words;

	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	words = shared_words();
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		for (int n = 0; n < 5000; n++)
			CHECK(!write_record(n, 56));
		for (unsigned int r = 0; r < retour_ring_reader_rings(reader); r++)
			for (size_t half = 0; half < 2; half++)
				words[page + r * (page + DATA / 8) + OLDEST + half] += wrong[i];
		for (int n = 0; n < 5000; n++)
			CHECK(!write_record(n, 56));
	}
	close_rings();
}

/* A reader that says it has read more than there is, or never reads, overwrites nothing. */
TEST(a_wrong_tail_makes_no_room)
{
	uint64_t *words, lost = 0, n = 0;
	size_t page = sysconf(_SC_PAGESIZE) / 8;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	words = shared_words();
	while (!write_record(n, 56))
		n++;
	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		words[page + i * (page + DATA / 8) + TAIL] = 1ull << 40;
	for (int i = 0; i < 100; i++)
		CHECK(write_record(i, 56) == -ENOSPC);
	CHECK_U64(read_all(&lost), n);
	CHECK_U64(lost, 101);
	close_rings();
}

/* No signal is sent, which would kill the program. */
TEST(limited_files)
{
	struct retour_ring_options options = { .mode = RETOUR_RING_DISCARD, .data_size = 1 << 20 };
	struct rlimit limit = { 1 << 20, RLIM_INFINITY };
	struct retour_ring *limited;

	CHECK(!setrlimit(RLIMIT_FSIZE, &limit));
	CHECK(retour_ring_create(&options, &limited) == -EFBIG);
	limit.rlim_cur = RLIM_INFINITY;
	CHECK(!setrlimit(RLIMIT_FSIZE, &limit) && !retour_ring_create(&options, &limited));
	retour_ring_destroy(limited);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

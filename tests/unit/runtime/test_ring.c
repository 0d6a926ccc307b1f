/* SPDX-License-Identifier: MIT */
/* Rings with one writer: layout, modes, counts, nested writers, and who reads them. */
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/rseq.h>
#include <sys/syscall.h>

#include "collect/perf_ring.h"
#include "ring_fixture.h"
#include "unit/rcu/steps.h"

TEST(options_are_checked)
{
	const struct retour_ring_options bad[] = {
		{ .data_size = 4096 }, { .data_size = 100000 }, { .data_size = (size_t)2 << 30 },
		{ .data_size = DATA, .watermark = DATA + 1 }, { .mode = 2 },
	};
	struct retour_ring_record record;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		CHECK(retour_ring_create(&bad[i], &ring) == -EINVAL);
	open_rings(RETOUR_RING_DISCARD, 0, 0);
	CHECK(retour_ring_reserve(ring, RETOUR_RING_MAX_PAYLOAD + 1, &record) == -EMSGSIZE);
	CHECK(retour_ring_reserve(ring, SIZE_MAX, &record) == -EMSGSIZE);
	CHECK(next_record() == NULL);
	close_rings();
	retour_ring_destroy(NULL);
	retour_ring_reader_close(NULL);
}

TEST(pages_are_perfs)
{
	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	CHECK(retour_ring_reader_rings(reader) > (unsigned int)sysconf(_SC_NPROCESSORS_CONF));
	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++) {
		struct perf_event_mmap_page *page = retour_ring_reader_publish(reader, i, NULL);

		CHECK_U64(page->data_size, DATA);
		CHECK_U64(page->data_offset, sysconf(_SC_PAGESIZE));
		CHECK(page->data_head == 0 && page->data_tail == 0);
	}
	close_rings();
}

TEST(every_size_wraps_around)
{
	uint64_t number = 0, expected = 0, written = 0;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	srand(1);
	for (int round = 0; round < 3000; round++) {
		const struct perf_event_header *header;

		for (int i = rand() % 10; i >= 0; i--) {
			size_t size = 8 + (rand() % 20 ? rand() % 300 : rand() % (RETOUR_RING_MAX_PAYLOAD - 7));
			int err = write_record(number, size);

			CHECK(!err || err == -ENOSPC);
			number += !err;
			written += !err * size;
		}
		while ((header = next_record()))
			if (header->type != PERF_RECORD_LOST)
				CHECK_U64(check_record(header), expected++);
		CHECK_U64(expected, number);
	}
	CHECK(written > 50 * DATA);
	close_rings();
}

TEST(records_without_payload)
{
	struct retour_ring_record record;
	const struct perf_event_header *header;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	for (int i = 0; i < 3 * DATA / 8; i++) {
		CHECK(!retour_ring_reserve(ring, 0, &record));
		retour_ring_commit(ring, &record, 7, i & 0xffff);
		CHECK((header = next_record()) && header->type == 7 && header->size == 8 && header->misc == (i & 0xffff));
		CHECK(!next_record());
	}
	close_rings();
}

/* Refused records are told of, once, behind what was there before. */
TEST(a_full_ring_refuses_and_counts)
{
	uint64_t n = 0, refused = 0, number = 0, lost;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	for (int round = 0; round < 50; round++) {
		uint64_t room = 0;

		while (!write_record(number++, 56))
			room++;
		CHECK_U64(room, DATA / 64);
		for (int i = 0; i < round; i++)
			CHECK(write_record(number++, 56) == -ENOSPC);
		refused = round + 1;
		for (n = 0; n < room; n++)
			check_record(next_record());
		CHECK_U64(lost_of(next_record()), refused);
		CHECK(next_record() == NULL);
	}
	lost = 0;
	for (unsigned int i = 0; i < retour_ring_reader_rings(reader); i++)
		lost += retour_ring_reader_counts(reader, i).lost;
	CHECK_U64(lost, 50 * 51 / 2);
	close_rings();
}

TEST(overwriting_forgets_the_oldest)
{
	const struct perf_event_header *header;
	uint64_t number = 0, expected = 0;

	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	pin_to(0);
	srand(2);
	for (int round = 0; round < 100; round++) {
		for (int i = rand() % 3000; i > 0; i--)
			CHECK(!write_record(number++, 8 + rand() % 200));
		while ((header = next_record())) {
			if (header->type == PERF_RECORD_LOST)
				expected += lost_of(header);
			else
				CHECK_U64(check_record(header), expected++);
		}
		CHECK_U64(expected, number);
	}
	CHECK(number > 100000);
	close_rings();
}

/* A flight recorder is looked at when all is over, and has not forgotten more than it must. */
static unsigned int steps_left;
static uint64_t n_written;

static void write_a_turn(const void *pc)
{
	if (steps_left--)
		return;
	steps_end();
	for (int i = 0; i < 2 * DATA / 4000; i++)
		write_record(n_written++, 4000);
}

TEST(others_overwrite_a_whole_turn_at_any_instruction)
{
	uint64_t n = 0, lost = 0;

	if (!steps_init(write_a_turn, 0))
		SKIP("single steps are of x86-64");
	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	pin_to(0);
	for (unsigned int i = 0; i < 400; i++) {
		uint64_t number = n_written++;

		steps_left = i;
		steps_begin();
		write_record(number, 4000);
		steps_end();
		n += read_all(&lost);
		CHECK_U64(n + lost, n_written);
	}
	close_rings();
}

/* The header of a record of 64 bytes that a thread is writing which does not exist. */
static const uint64_t like_a_dead_writers = 64ull << 48 | 0x80000000 | 0x3ffffff0;

static void commit_what_looks_dead(struct retour_ring_record *record)
{
	uint64_t *words = record->data;

	for (int i = 0; i < 500; i++)
		words[i] = like_a_dead_writers;
	retour_ring_commit(ring, record, RECORD_TYPE, 0);
}

static void write_what_looks_dead(void)
{
	struct retour_ring_record record;

	CHECK(!retour_ring_reserve(ring, 4000, &record));
	commit_what_looks_dead(&record);
}

static void overtake(const void *pc)
{
	if (steps_left--)
		return;
	steps_end();
	for (int i = 0; i < 2 * DATA / 4000; i++)
		write_what_looks_dead();
}

static void check_words(const struct perf_event_header *header)
{
	const uint64_t *words = (const uint64_t *)(header + 1);

	if (header->type == PERF_RECORD_LOST)
		return;
	CHECK_U64(header->size, 4008);
	for (int i = 0; i < 500; i++)
		CHECK_U64(words[i], like_a_dead_writers);
}

TEST(a_reader_that_is_overtaken_buries_nobody)
{
	const struct perf_event_header *header;

	if (!steps_init(overtake, 0))
		SKIP("single steps are of x86-64");
	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	pin_to(0);
	for (unsigned int i = 0; i < 200; i++) {
		bool any;

		write_what_looks_dead();
		steps_left = i;
		steps_begin();
		any = retour_ring_reader_next(reader, 0, &header);
		steps_end();
		if (any)
			check_words(header);
		while ((header = next_record()))
			check_words(header);
	}
	close_rings();
}

static struct retour_ring_record unfinished;

static void finish_and_overtake(const void *pc)
{
	if (steps_left--)
		return;
	steps_end();
	commit_what_looks_dead(&unfinished);
	for (int i = 0; i < 2 * DATA / 4000; i++)
		write_what_looks_dead();
}

static uint64_t n_refused;

static void write_or_be_refused(void)
{
	struct retour_ring_record record;

	if (retour_ring_reserve(ring, 4000, &record))
		n_refused++;
	else
		commit_what_looks_dead(&record);
}

static bool leave_sequences(void)
{
	enum { RSEQ_SIZE = 32 };

	return !__rseq_size || !syscall(SYS_rseq, (char *)__builtin_thread_pointer() + __rseq_offset, RSEQ_SIZE,
					RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
}

TEST(a_writer_that_is_overtaken_buries_nobody)
{
	enum { BURY_PERIOD = 256 };
	const struct perf_event_header *header;
	uint64_t last;

	if (!steps_init(finish_and_overtake, 0))
		SKIP("single steps are of x86-64");
	if (!leave_sequences())
		SKIP("the thread cannot leave sequences, which single steps abort");
	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	pin_to(0);
	for (unsigned int i = 0; i < 300; i++) {
		CHECK(!retour_ring_reserve(ring, 4000, &unfinished));
		/* Who is refused next looks whether the writer is dead that is in the way. */
		last = (n_refused / BURY_PERIOD + 2) * BURY_PERIOD - 1;
		while (n_refused < last)
			write_or_be_refused();
		steps_left = i;
		steps_begin();
		write_or_be_refused();
		steps_end();
		while ((header = next_record()))
			check_words(header);
	}
	close_rings();
}

TEST(what_overwriting_left_can_be_read_later)
{
	const struct perf_event_header *header;

	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	pin_to(0);
	for (uint64_t i = 0; i < 100000; i++)
		CHECK(!write_record(i, 56));
	CHECK_U64(lost_of(next_record()), 100000 - DATA / 64);
	for (uint64_t i = 100000 - DATA / 64; i < 100000; i++)
		CHECK((header = next_record()) && check_record(header) == i);
	CHECK(!next_record());
	close_rings();
}

static void nested(enum retour_ring_mode mode)
{
	struct retour_ring_record outer, inner;
	const struct perf_event_header *header;

	open_rings(mode, DATA, 0);
	pin_to(0);
	CHECK(!retour_ring_reserve(ring, 100, &outer));
	CHECK(!retour_ring_reserve(ring, 50, &inner));
	fill_payload(inner.data, 2, 50);
	retour_ring_commit(ring, &inner, RECORD_TYPE, 2);
	CHECK(!write_record(3, 16));
	CHECK(!next_record());
	fill_payload(outer.data, 1, 100);
	CHECK(!next_record());
	retour_ring_commit(ring, &outer, RECORD_TYPE, 1);
	for (uint64_t i = 1; i <= 3; i++)
		CHECK((header = next_record()) && check_record(header) == i);
	CHECK(!next_record());
	close_rings();
}

TEST(an_unfinished_record_is_not_published_by_inner_ones)
{
	nested(RETOUR_RING_DISCARD);
	nested(RETOUR_RING_OVERWRITE);
}

TEST(a_record_being_written_is_not_overwritten)
{
	struct retour_ring_record outer;
	uint64_t n = 0, refused = 0, lost = 0;
	char pattern[100];

	open_rings(RETOUR_RING_OVERWRITE, DATA, 0);
	pin_to(0);
	CHECK(!retour_ring_reserve(ring, 100, &outer));
	fill_payload(outer.data, 1, 100);
	memcpy(pattern, outer.data, 100);
	for (int i = 0; i < 5000; i++)
		if (write_record(i, 56) == -ENOSPC)
			refused++;
		else
			n++;
	CHECK(refused > 0 && n > 0);
	CHECK(!memcmp(pattern, outer.data, 100));
	retour_ring_commit(ring, &outer, RECORD_TYPE, 1);
	CHECK_U64(read_all(&lost), n + 1);
	CHECK_U64(lost, refused);
	close_rings();
}

TEST(discarded_records_are_skipped)
{
	struct retour_ring_record record;
	uint64_t lost = 0;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	for (int i = 0; i < 100; i++) {
		CHECK(!write_record(i, 56));
		CHECK(!retour_ring_reserve(ring, 10, &record));
		retour_ring_discard(ring, &record);
	}
	CHECK_U64(read_all(&lost), 100);
	CHECK_U64(lost, 0);
	close_rings();
}

/* A record that was begun on one CPU is finished on another one. */
TEST(migration_between_reserve_and_commit)
{
	struct retour_ring_record record;
	const struct perf_event_header *header;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	if (!try_pin_to(1))
		SKIP("one CPU");
	for (uint64_t i = 0; i < 200; i++) {
		pin_to(0);
		CHECK(!retour_ring_reserve(ring, 24, &record));
		pin_to(1);
		fill_payload(record.data, i, 24);
		CHECK(!write_record(1000 + i, 8));
		retour_ring_commit(ring, &record, RECORD_TYPE, i);
		while ((header = next_record()))
			CHECK(check_record(header) % 1000 == i);
	}
	close_rings();
}

static uint64_t drained;

static void on_record(void *arg, const struct perf_event_header *record)
{
	CHECK_U64(check_record(record), drained++);
}

TEST(the_reader_of_perf_rings_reads_them)
{
	static struct perf_ring perf[64];
	unsigned int n;
	uint64_t number = 0;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	pin_to(0);
	n = retour_ring_reader_rings(reader);
	if (n > 64)
		SKIP("more CPUs than this test has rings for");
	for (int round = 0; round < 200; round++) {
		for (int i = 0; i < 100; i++, number++)
			CHECK(!write_record(number, 8 + number * 7919 % 600));
		for (unsigned int i = 0; i < n; i++) {
			perf[i].page = retour_ring_reader_publish(reader, i, NULL);
			perf[i].data_size = perf[i].page->data_size;
			perf_ring_drain(&perf[i], on_record, NULL);
		}
		CHECK_U64(drained, number);
	}
	close_rings();
}

static void *write_until_told(void *arg)
{
	for (uint64_t i = 0; !__atomic_load_n((bool *)arg, __ATOMIC_ACQUIRE); i++)
		write_record(i, 56);
	return NULL;
}

/* For what may hang, in seconds. */
#ifndef PATIENCE
#define PATIENCE 30
#endif

/* The reader would wait for longer than the test may last. */
TEST(the_watermark_wakes)
{
	bool stop = false;
	pthread_t writer;

	alarm(PATIENCE);
	open_rings(RETOUR_RING_DISCARD, DATA, DATA / 2);
	CHECK(!retour_ring_reader_wait(reader, 1000000));
	pthread_create(&writer, NULL, write_until_told, &stop);
	for (int i = 0; i < 100; i++) {
		uint64_t lost = 0;

		CHECK(retour_ring_reader_wait(reader, 600000000000ull));
		CHECK(read_all(&lost) > 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELEASE);
	pthread_join(writer, NULL);
	close_rings();
}

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Within what an anchor may be wrong by, which is less than a preemption. */
TEST(the_clock_is_converted)
{
	enum { SLACK = 20000000 };
	uint64_t last = 0;

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	for (int i = 0; i < 200; i++) {
		uint64_t before = now(), clock = retour_ring_clock(ring), after = now();
		uint64_t time = retour_ring_reader_time(reader, clock);

		CHECK(time + SLACK >= before && time <= after + SLACK);
		CHECK(clock >= last);
		last = clock;
		usleep(1000);
	}
	close_rings();
}

/* As perf_event_open(2) has it. */
static uint64_t time_by_page(const struct perf_event_mmap_page *page, uint64_t clock)
{
	uint64_t rest = clock & ((1ull << page->time_shift) - 1);

	if (!page->cap_user_time_zero)
		return clock;
	return page->time_zero + (clock >> page->time_shift) * page->time_mult +
	       ((rest * page->time_mult) >> page->time_shift);
}

TEST(the_page_converts_the_clock)
{
	enum { SLACK = 20000000 };

	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	for (int i = 0; i < 200; i++) {
		uint64_t before = now(), clock = retour_ring_clock(ring), after = now(), first = clock, time;
		const struct perf_event_mmap_page *page = retour_ring_reader_publish(reader, 0, NULL);

		time = time_by_page(page, clock);
		CHECK(time + SLACK >= before && time <= after + SLACK);
		CHECK(page->cap_user_time == page->cap_user_time_zero);
		usleep(1000);
		/* Between publishes it goes on at the same rate, which anchors close to each other tell roughly. */
		before = now();
		clock = retour_ring_clock(ring);
		time = time_by_page(page, clock);
		CHECK(clock > first && time + SLACK + (before - after) / 8 >= before);
	}
	close_rings();
}

/* Any system call but read, write and exit would be the end of the thread; the library's own threads stay. */
TEST(writing_makes_no_system_call)
{
	int done[2];
	char c;
	pid_t pid;

	alarm(PATIENCE);
	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	CHECK(!pipe(done));
	pid = fork();
	if (!pid) {
		CHECK(!write_record(0, 16));
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT);
		for (uint64_t i = 0; i < 100000; i++)
			write_record(i, 16);
		if (write(done[1], "", 1) == 1)
			syscall(SYS_exit, 0);
	}
	close(done[1]);
	CHECK(read(done[0], &c, 1) == 1);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	close_rings();
}

TEST(foreign_descriptors_are_refused)
{
	int fd = memfd_create("no-ring", MFD_ALLOW_SEALING), rings;
	struct retour_ring_reader *copy;
	char page[4096];

	CHECK(retour_ring_reader_open(-1, &reader) == -EINVAL);
	CHECK(retour_ring_reader_open(0, &reader) == -EINVAL);
	CHECK(!ftruncate(fd, 1 << 20));
	CHECK(retour_ring_reader_open(fd, &reader) == -EINVAL);
	/* The right beginning, but it can shrink. */
	open_rings(RETOUR_RING_DISCARD, DATA, 0);
	rings = retour_ring_fd(ring);
	CHECK(ftruncate(rings, 0) < 0 && errno == EPERM);
	CHECK(pread(rings, page, sizeof(page), 0) == sizeof(page) && pwrite(fd, page, sizeof(page), 0) == sizeof(page));
	CHECK(!ftruncate(fd, lseek(rings, 0, SEEK_END)));
	CHECK(retour_ring_reader_open(fd, &copy) == -EINVAL);
	CHECK(!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
	CHECK(!retour_ring_reader_open(fd, &copy));
	retour_ring_reader_close(copy);
	/* Or it is too short for what it says. */
	CHECK(!ftruncate(fd, lseek(rings, 0, SEEK_END) + 4096));
	CHECK(retour_ring_reader_open(fd, &copy) == -EINVAL);
	close_rings();
	close(fd);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/* Reading a ring whose writer is this test instead of the kernel. */
#include "collect/perf_ring.h"
#include "test.h"

#include <sys/mman.h>

enum { RING_SIZE = 1 << 17, MAX_RECORD = 65528 };	/* a record's size has 16 bits */

static struct perf_ring ring;
static uint64_t n_seen, next_number;

static void open_ring(void)
{
	int fd = memfd_create("ring", MFD_CLOEXEC);
	size_t page = sysconf(_SC_PAGESIZE);

	CHECK(fd >= 0 && !ftruncate(fd, page + RING_SIZE));
	CHECK_OK(perf_ring_open(&ring, fd, RING_SIZE));
	ring.page->data_offset = page;
	ring.page->data_size = RING_SIZE;
}

/* As the kernel writes: bytes around the end, then the head. */
static void put(const void *data, size_t size)
{
	unsigned char *base = (unsigned char *)ring.page + ring.page->data_offset;

	for (size_t i = 0; i < size; i++)
		base[(ring.page->data_head + i) % RING_SIZE] = ((const unsigned char *)data)[i];
	__atomic_store_n(&ring.page->data_head, ring.page->data_head + size, __ATOMIC_RELEASE);
}

static void put_record(uint64_t number, uint16_t size)
{
	static union {
		struct perf_event_header header;
		unsigned char bytes[MAX_RECORD];
	} record;

	memset(&record, (int)number, size);
	record.header = (struct perf_event_header){ .type = (uint32_t)number, .size = size };
	put(&record, size);
}

static void on_record(void *arg, const struct perf_event_header *record)
{
	const unsigned char *bytes = (const unsigned char *)record;

	CHECK_U64(record->type, next_number);
	for (size_t i = sizeof(*record); i < record->size; i++)
		CHECK(bytes[i] == (unsigned char)next_number);
	next_number++;
	n_seen++;
}

TEST(wraps_around)
{
	uint64_t number = 0;

	srand(1);
	open_ring();
	for (int drain = 0; drain < 300; drain++) {
		size_t used = 0;

		for (;;) {
			uint16_t size = rand() % 4 ? 8 + rand() % 64 * 8 : 8 + rand() % (MAX_RECORD / 8) * 8;

			if (used + size > RING_SIZE || (used && rand() % 20 == 0))
				break;
			put_record(number++, size);
			used += size;
		}
		CHECK(perf_ring_drain(&ring, on_record, NULL));
		CHECK_U64(n_seen, number);
		CHECK_U64(ring.page->data_tail, ring.page->data_head);
	}
	CHECK(ring.page->data_head > 10 * RING_SIZE);
	perf_ring_close(&ring);
}

/* What cannot be a record ends the drain; what follows later is read again. */
TEST(nonsense_is_skipped)
{
	const struct perf_event_header bad[] = {
		{ .size = 0 }, { .size = 4 }, { .size = 0xffff }, { .size = 64 },
	};

	open_ring();
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		uint64_t before = n_seen;

		put_record(next_number, 32);
		put(&bad[i], sizeof(bad[i]));
		CHECK(!perf_ring_drain(&ring, on_record, NULL));
		CHECK_U64(n_seen, before + 1);
		CHECK_U64(ring.page->data_tail, ring.page->data_head);
	}
	perf_ring_close(&ring);
}

TEST(unmappable)
{
	struct error *err = perf_ring_open(&ring, -1, RING_SIZE);

	CHECK(err && strstr(err->text, "128 KB"));
	error_free(err);
	CHECK(perf_ring_drain(&ring, on_record, NULL));	/* a ring that is not open is empty */
	CHECK_U64(n_seen, 0);
	perf_ring_close(&ring);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

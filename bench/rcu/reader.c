/* SPDX-License-Identifier: MIT */
/* A thread that does nothing but read. */
#include "bench.h"

#include <semaphore.h>

#include IMPL

static sem_t ready;

static void *read_for_ever(void *arg)
{
	const struct reader reader = *(const struct reader *)arg;

	stay_on_cpu(reader.cpu);
	reader_begin();
	for (bool told = false;; told = true) {
		section_t section = section_begin();

		spin_ns(reader.section_ns);
		section_end(section);
		quiescent();
		if (!told)
			sem_post(&ready);
	}
	return NULL;
}

void start_reader(const struct reader *reader)
{
	sem_init(&ready, 0, 0);
	start_thread(read_for_ever, (void *)reader);
	sem_wait(&ready);
}

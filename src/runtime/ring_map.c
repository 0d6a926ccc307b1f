/* SPDX-License-Identifier: MIT */
/* Mapping a set of rings; see ring_layout.h. */
#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "runtime/ring_layout.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "headers are written as one word");
_Static_assert(sizeof(struct ring_page) <= 4096 && sizeof(struct ring_set) <= 4096, "they fit a page");

static size_t page_size(void)
{
	return sysconf(_SC_PAGESIZE);
}

size_t ring_file_size(unsigned int n_rings, size_t data_size)
{
	return page_size() + n_rings * (page_size() + data_size);
}

static bool map_at(char *address, size_t size, int fd, size_t offset)
{
	return mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, offset) != MAP_FAILED;
}

static bool map_ring(const struct ring_map *map, unsigned int index)
{
	size_t first = map->page_size + map->data_size, offset = map->page_size + index * first;
	char *address = (char *)ring_page(map, index);

	return map_at(address, first, map->fd, offset) &&
	       map_at(address + first, map->data_size, map->fd, offset + map->page_size);
}

static size_t map_size(const struct ring_map *map)
{
	return (char *)ring_page(map, map->n_rings) - map->base;
}

int ring_map(struct ring_map *map, int fd, unsigned int n_rings, size_t data_size)
{
	struct stat st;

	if (fstat(fd, &st))
		return -errno;
	*map = (struct ring_map){ NULL, page_size(), data_size, n_rings, fd, st.st_dev, st.st_ino };
	map->base = mmap(NULL, map_size(map), PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map->base == MAP_FAILED)
		return -errno;
	if (map_at(map->base, map->page_size, fd, 0)) {
		unsigned int i = 0;

		while (i < n_rings && map_ring(map, i))
			i++;
		if (i == n_rings)
			return 0;
	}
	int err = -errno;

	munmap(map->base, map_size(map));
	return err;
}

void ring_map_empty(const struct ring_map *map)
{
	/* But for the set's own page. */
	sys_call(SYS_madvise, (long)map->base + map->page_size, map_size(map) - map->page_size, MADV_REMOVE, 0, 0, 0);
}

void ring_unmap(struct ring_map *map)
{
	munmap(map->base, map_size(map));
	if (map->fd >= 0)
		close(map->fd);
}

/* SPDX-License-Identifier: MIT */
/* Build IDs by device and inode; see build_ids.h. */
#include "collect/build_ids.h"

#include "collect/synthesize.h"
#include "elf/elf_file.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct known_id {
	struct hash_node node;
	uint64_t file[2];		/* device, inode */
	uint8_t size;			/* 0: has none */
	unsigned char id[20];
};

/* -1 if another file is there now. */
static int open_at(const struct synthesized_mmap2 *body, const char *root)
{
	char path[sizeof(body->filename) + 32];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s%s", root, body->filename);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return -1;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_ino != body->ino ||
	    st.st_dev != makedev(body->maj, body->min)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* The mapped file itself: by its path in the root of the process, or in ours, as /proc tells us of other roots in it. */
static int open_file(const struct synthesized_mmap2 *body)
{
	char root[32];
	int fd;

	snprintf(root, sizeof(root), "/proc/%" PRIu32 "/root", body->pid);
	fd = open_at(body, root);
	return fd < 0 ? open_at(body, "") : fd;
}

static void read_id(const struct synthesized_mmap2 *body, struct known_id *ret)
{
	_cleanup_(elf_file_closep) struct elf_file *file = NULL;
	int fd = open_file(body);

	if (fd < 0)
		return;
	error_free(elf_file_open_fd(fd, body->filename, &file));
	if (file)
		ret->size = elf_file_build_id(file, ret->id);
}

static const struct known_id *lookup(struct build_ids *ids, const struct synthesized_mmap2 *body)
{
	const uint64_t file[2] = { makedev(body->maj, body->min), body->ino };
	uint64_t hash = hash_bytes(file, sizeof(file));
	struct known_id *known;

	hash_each(&ids->by_file, hash, node) {
		known = container_of(node, struct known_id, node);
		if (!memcmp(known->file, file, sizeof(file)))
			return known;
	}
	known = calloc(1, sizeof(*known));
	if (!known)
		return NULL;
	memcpy(known->file, file, sizeof(file));
	read_id(body, known);
	if (!hash_insert(&ids->by_file, &known->node, hash)) {
		free(known);
		return NULL;
	}
	return known;
}

bool build_ids_fill(struct build_ids *ids, void *mmap2_body, size_t size)
{
	struct synthesized_mmap2 *body = mmap2_body;
	const struct known_id *known;

	if (size <= offsetof(struct synthesized_mmap2, filename) || body->filename[0] != '/' ||
	    body->filename[1] == '/' || !body->ino)
		return false;
	known = lookup(ids, body);
	if (!known || !known->size)
		return false;
	memset(&body->maj, 0, offsetof(struct synthesized_mmap2, prot) - offsetof(struct synthesized_mmap2, maj));
	*(uint8_t *)&body->maj = known->size;
	memcpy((unsigned char *)&body->maj + 4, known->id, known->size);
	return true;
}

void build_ids_free(struct build_ids *ids)
{
	hash_each_all(&ids->by_file, node)
		free(container_of(node, struct known_id, node));
	hash_free(&ids->by_file);
}

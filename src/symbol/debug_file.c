/* SPDX-License-Identifier: MIT */
/*
 * Where a stripped file's symbols are: .gnu_debugdata inside it, or a debug
 * file beside it or under /usr/lib/debug.  A debug file is taken only if its
 * build ID is the file's, or, for files without one, the checksum is right.
 */
#include "symbol/dso_file.h"

#include "symbol/target_file.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <lzma.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#define DEBUG_DIR "/usr/lib/debug"
/* Both far above what any distribution ships. */
#define MAX_DEBUGDATA (256u << 20)
#define MAX_LZMA_MEMORY (128u << 20)

/* What a debug file must prove. */
struct identity {
	unsigned char build_id[20];
	size_t build_id_size;
	uint32_t crc;		/* of .gnu_debuglink, for files without a build ID */
	bool has_crc;
};

static bool checksum_is(int fd, uint32_t want)
{
	_cleanup_free_ unsigned char *buffer = malloc(64 << 10);
	uLong crc = crc32(0, NULL, 0);
	off_t at = 0;
	ssize_t n;

	if (!buffer)
		return false;
	while ((n = pread(fd, buffer, 64 << 10, at)) > 0) {
		crc = crc32(crc, buffer, n);
		at += n;
	}
	return n == 0 && crc == want;
}

/* NULL in *ret if the file is not there or is not the one. */
static struct error *try_file(int root, const char *path, const struct identity *want, struct elf_file **ret)
{
	_cleanup_(elf_file_closep) struct elf_file *file = NULL;
	_cleanup_close_ int fd = target_file_open(root, path);
	unsigned char id[20];
	struct error *err;

	if (fd < 0 || (!want->build_id_size && !(want->has_crc && checksum_is(fd, want->crc))))
		return NULL;
	err = elf_file_open_fd(steal_fd(&fd), path, &file);
	if (err)
		return err;
	if (want->build_id_size && (elf_file_build_id(file, id) != want->build_id_size ||
				    memcmp(id, want->build_id, want->build_id_size)))
		return NULL;
	*ret = steal_ptr(file);
	return NULL;
}

static struct error *try_build_id(int root, const struct identity *want, struct elf_file **ret)
{
	char path[sizeof(DEBUG_DIR "/.build-id//.debug") + 2 * sizeof(want->build_id)];
	int len;

	if (want->build_id_size < 2)
		return NULL;
	len = sprintf(path, DEBUG_DIR "/.build-id/%02x/", want->build_id[0]);
	for (size_t i = 1; i < want->build_id_size; i++)
		len += sprintf(path + len, "%02x", want->build_id[i]);
	strcpy(path + len, ".debug");
	return try_file(root, path, want, ret);
}

/* The name in .gnu_debuglink, a plain file name, and the checksum after it (padded to 4). */
static const char *debug_link(struct elf_file *file, struct identity *want)
{
	struct elf_section section;
	const char *name;
	size_t len, at;

	if (!elf_file_section(file, ".gnu_debuglink", &section))
		return NULL;
	name = (const char *)section.data;
	len = strnlen(name, section.size);
	at = (len + 4) & ~(size_t)3;
	if (!len || len > NAME_MAX || at > section.size || section.size - at < sizeof(want->crc) ||
	    memchr(name, '/', len))
		return NULL;
	memcpy(&want->crc, section.data + at, sizeof(want->crc));
	want->has_crc = true;
	return name;
}

static struct error *try_link(int root, const char *path, const char *link, const struct identity *want,
			      struct elf_file **ret)
{
	static const char *const places[] = { "%.*s/%s", "%.*s/.debug/%s", DEBUG_DIR "%.*s/%s" };
	const char *slash = strrchr(path, '/');
	int dir = slash ? slash - path : 0;
	char name[PATH_MAX];

	for (size_t i = 0; i < sizeof(places) / sizeof(*places) && !*ret; i++) {
		if (snprintf(name, sizeof(name), places[i], dir, path, link) >= (int)sizeof(name))
			continue;
		struct error *err = try_file(root, name, want, ret);

		if (err)
			return err;
	}
	return NULL;
}

struct error *dso_debug_file_open(struct elf_file *file, const char *path, int root, struct elf_file **ret)
{
	struct identity want = { .build_id_size = elf_file_build_id(file, want.build_id) };
	const char *link = debug_link(file, &want);
	_cleanup_close_ int host = target_root_open(0);
	const int roots[] = { root, host };
	struct error *err = NULL;

	*ret = NULL;
	for (size_t i = 0; i < 2 && !err && !*ret; i++) {
		if (roots[i] < 0)
			continue;
		err = try_build_id(roots[i], &want, ret);
		if (!err && !*ret && link)
			err = try_link(roots[i], path, link, &want, ret);
	}
	return err;
}

/* Grows the image until the stream ends; the caller frees *image, also on failure. */
static struct error *unpack(lzma_stream *stream, unsigned char **image, size_t *size)
{
	size_t room = 0;
	lzma_ret ret;

	do {
		size_t more = room ? room * 2 : 1 << 20;
		unsigned char *grown = more <= MAX_DEBUGDATA ? realloc(*image, more) : NULL;

		if (!grown)
			return error_new(E2BIG, ".gnu_debugdata is too large");
		stream->next_out = grown + room;
		stream->avail_out = more - room;
		*image = grown;
		room = more;
		ret = lzma_code(stream, LZMA_FINISH);
	} while (ret == LZMA_OK && !stream->avail_out);
	if (ret != LZMA_STREAM_END)
		return error_new(EINVAL, ".gnu_debugdata is corrupt (lzma error %d)", ret);
	*size = room - stream->avail_out;
	return NULL;
}

struct error *dso_debugdata_open(struct elf_file *file, struct elf_file **ret)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	_cleanup_free_ unsigned char *image = NULL;
	struct elf_section section;
	struct error *err;
	size_t size = 0;

	*ret = NULL;
	if (!elf_file_section(file, ".gnu_debugdata", &section))
		return NULL;
	if (lzma_stream_decoder(&stream, MAX_LZMA_MEMORY, 0) != LZMA_OK)
		return error_nomem();
	stream.next_in = section.data;
	stream.avail_in = section.size;
	err = unpack(&stream, &image, &size);
	lzma_end(&stream);
	if (!err)
		err = elf_file_open_memory(image, size, elf_file_name(file), ret);
	return err;
}

/* SPDX-License-Identifier: MIT */
/* Files in a directory of the test's own, and writing a stream to one of them. */
#ifndef RETOUR_TEST_TEMP_H
#define RETOUR_TEST_TEMP_H

#include "sample_file.h"
#include "test.h"

#include <fcntl.h>
#include <sys/stat.h>

static char temp_dir[] = "/tmp/retour-perfdata-XXXXXX";

static inline void temp_remove(void)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", temp_dir);
	if (system(command))
		fprintf(stderr, "# %s is left behind\n", temp_dir);
}

/* Once per test program, before the tests fork. */
static inline void temp_init(void)
{
	if (!mkdtemp(temp_dir)) {
		perror("mkdtemp");
		exit(1);
	}
}

static inline const char *temp_path(const char *name)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", temp_dir, name);
	return path;
}

static inline void temp_write_stream(const char *path, const struct sample_file_options *options)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	int saved = dup(STDOUT_FILENO);

	fflush(stdout);
	CHECK(fd >= 0 && dup2(fd, STDOUT_FILENO) >= 0);
	CHECK_OK(sample_file_write("-", options));
	dup2(saved, STDOUT_FILENO);
	close(saved);
	close(fd);
}

/* The content of a file, one NUL byte after it. */
static inline unsigned char *temp_read(const char *path, size_t *ret)
{
	FILE *f = fopen(path, "r");
	unsigned char *data = NULL;
	size_t size = 0;

	CHECK(f);
	for (size_t n = 1; n; size += n) {
		data = realloc(data, size + 65536 + 1);
		n = fread(data + size, 1, 65536, f);
	}
	fclose(f);
	data[size] = '\0';
	if (ret)
		*ret = size;
	return data;
}

#endif

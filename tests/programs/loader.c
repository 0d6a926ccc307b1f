/* SPDX-License-Identifier: MIT */
/*
 * dlopen and dlclose in a loop: two libraries take turns at the same addresses,
 * with frames of different sizes.
 */
#include "program.h"

#include <dlfcn.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

FRAME static void called_back(void)
{
	for (int i = 0; i < 10; i++)
		burn();
}

FRAME static void load_and_call(const char *folder, const char *library)
{
	char path[PATH_MAX + 64];
	void *handle;
	void (*through)(void (*)(void));

	snprintf(path, sizeof(path), "%s/%s", folder, library);
	handle = dlopen(path, RTLD_NOW);
	if (!handle)
		fprintf(stderr, "%s\n", dlerror());
	must(handle != NULL, "dlopen");
	*(void **)&through = dlsym(handle, "through");
	must(through != NULL, "dlsym");
	through(called_back);
	dlclose(handle);
}

int main(int argc, char **argv)
{
	char path[PATH_MAX] = "";
	char *folder;

	program_start(argc, argv);
	must(readlink("/proc/self/exe", path, sizeof(path) - 1) > 0, "readlink");
	folder = dirname(path);
	while (running()) {
		load_and_call(folder, "libsmall_frame.so");
		load_and_call(folder, "liblarge_frame.so");
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Users of the library that are opened and closed, in a program that is none: PLUGIN is the path of one, STATIC_PLUGIN
 * that of one that has the library inside.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "unit/test.h"

static void (*plugin_read)(void);
static atomic_bool stop;
static atomic_int readers;

static void *read_plugin(void *arg)
{
	readers++;
	while (!stop)
		plugin_read();
	readers--;
	/* What the last sequence announced to the kernel must not be the unloaded object's. */
	for (int i = 0; i < 200; i++) {
		sched_yield();
		for (volatile int k = 0; k < 20000; k++)
			;
	}
	return NULL;
}

static void *open_object(const char *path)
{
	void *plugin = dlopen(path, RTLD_NOW);

	if (!plugin) {
		printf("# %s\n", dlerror());
		CHECK(plugin);
	}
	plugin_read = (void (*)(void))dlsym(plugin, "plugin_read");
	CHECK(plugin_read);
	return plugin;
}

static void *open_plugin(void)
{
	return open_object(PLUGIN);
}

TEST(a_user_may_be_closed_while_its_readers_threads_run)
{
	for (int round = 0; round < 8; round++) {
		pthread_t threads[3];
		void *plugin = open_plugin();
		int (*plugin_update)(void) = (int (*)(void))dlsym(plugin, "plugin_update");

		stop = false;
		for (int i = 0; i < 3; i++)
			CHECK(pthread_create(&threads[i], NULL, read_plugin, NULL) == 0);
		while (readers < 3)
			sched_yield();
		for (int i = 0; i < 5; i++)
			CHECK(plugin_update() == 2 * (i + 1));
		stop = true;
		while (readers)
			sched_yield();
		CHECK(dlclose(plugin) == 0);
		/* It is really gone: a fresh one begins to count at zero. */
		CHECK(dlopen(PLUGIN, RTLD_NOW | RTLD_NOLOAD) == NULL);
		for (int i = 0; i < 3; i++)
			CHECK(pthread_join(threads[i], NULL) == 0);
	}
}

TEST(a_child_may_be_forked_after_the_close)
{
	void *plugin = open_plugin();
	int status;
	pid_t pid;

	plugin_read();
	CHECK(((int (*)(void))dlsym(plugin, "plugin_update"))() == 2);
	CHECK(dlclose(plugin) == 0);
	pid = fork();
	if (pid == 0) {
		plugin = open_plugin();
		plugin_read();
		CHECK(((int (*)(void))dlsym(plugin, "plugin_update"))() == 2);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
}

/* Whose code threads go on to run: those of the library, and those that read and end afterwards. */
TEST(a_user_with_the_library_inside_may_be_closed)
{
	for (int round = 0; round < 3; round++) {
		void *plugin = open_object(STATIC_PLUGIN);
		int (*plugin_update)(void) = (int (*)(void))dlsym(plugin, "plugin_update");
		pthread_t thread;
		int status;
		pid_t pid;

		stop = false;
		CHECK(pthread_create(&thread, NULL, read_plugin, NULL) == 0);
		while (!readers)
			sched_yield();
		CHECK(plugin_update() == 2 * (round + 1));
		stop = true;
		CHECK(dlclose(plugin) == 0);
		CHECK(pthread_join(thread, NULL) == 0);
		pid = fork();
		if (pid == 0)
			_exit(0);
		CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	}
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

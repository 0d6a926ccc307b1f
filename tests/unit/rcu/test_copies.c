/* SPDX-License-Identifier: MIT */
/* A program that uses the shared library, and an object with the library inside, STATIC_PLUGIN: all use the first one. */
#include <dlfcn.h>

#include "domains.h"

static atomic_int called;

static void count(struct retour_rcu_head *head)
{
	called++;
}

static void work(void)
{
	for_each_domain(d) {
		struct retour_rcu_head head;

		called = 0;
		d->unlock(d->lock());
		d->synchronize();
		d->call(&head, count);
		d->barrier();
		CHECK(called == 1);
	}
}

TEST(a_program_may_have_the_library_twice)
{
	void *plugin;
	struct holder holders[3];
	int (*plugin_update)(void);
	int status;
	pid_t pid;

	work();
	plugin = dlopen(STATIC_PLUGIN, RTLD_NOW);
	CHECK(plugin);
	plugin_update = (int (*)(void))dlsym(plugin, "plugin_update");
	CHECK(plugin_update && plugin_update() == 2);
	for (int i = 0; i < 3; i++)
		holder_begin(&holders[i], &domains[i]);
	/* The child leaves the parent's other threads behind in each domain. */
	pid = fork();
	if (pid == 0) {
		alarm(40);
		work();
		_exit(plugin_update() == 4 ? 0 : 1);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	for (int i = 0; i < 3; i++)
		holder_end(&holders[i]);
	work();
}

int main(int argc, char **argv)
{
	return domains_main(argc, argv);
}

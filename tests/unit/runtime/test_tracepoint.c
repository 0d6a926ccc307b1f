/* SPDX-License-Identifier: MIT */
/* Tracepoints: probes, their order and their end, in files in C and C++ and in a plugin (PLUGIN is its path). */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/time.h>

#include "app_trace.h"
#include "retour/rcu.h"
#include "unit/task.h"
#include "unit/test.h"

/* How often something is tried; ThreadSanitizer is slow. */
#ifdef RETOUR_TSAN
#define ROUNDS 40
#else
#define ROUNDS 400
#endif

static int hits, last_id;
static char log_of[4096];

static void count(void *data, int id, const char *path)
{
	hits++;
	last_id = id;
	if (data)
		++*(int *)data;
}

static void note(void *data, int id, const char *path)
{
	size_t n = strlen(log_of);

	snprintf(log_of + n, sizeof(log_of) - n, "%s:%d:%s ", (const char *)data, id, path);
}

TEST(a_probe_is_called_while_it_is_registered)
{
	int mine = 0;

	CHECK(!trace_app_request_enabled());
	trace_app_request(1, "a");
	CHECK(hits == 0);
	CHECK(register_trace_app_request(count, &mine) == 0);
	CHECK(trace_app_request_enabled());
	trace_app_request(2, "b");
	CHECK(hits == 1 && mine == 1 && last_id == 2);
	CHECK(unregister_trace_app_request(count, &mine) == 0);
	CHECK(!trace_app_request_enabled());
	trace_app_request(3, "c");
	CHECK(hits == 1);
	retour_tracepoint_synchronize_unregister();
}

TEST(probes_are_called_in_the_order_of_their_registration)
{
	char a[] = "a", b[] = "b", c[] = "c";

	CHECK(register_trace_app_request(note, a) == 0);
	CHECK(register_trace_app_request(note, b) == 0);
	CHECK(register_trace_app_request(note, c) == 0);
	CHECK(register_trace_app_request(note, b) == -EEXIST);
	trace_app_request(1, "x");
	CHECK(unregister_trace_app_request(note, b) == 0);
	CHECK(unregister_trace_app_request(note, b) == -ENOENT);
	trace_app_request(2, "y");
	CHECK(register_trace_app_request(note, b) == 0);
	CHECK(unregister_trace_app_request(note, a) == 0);
	trace_app_request(3, NULL);
	CHECK_STR(log_of, "a:1:x b:1:x c:1:x a:2:y c:2:y c:3:(null) b:3:(null) ");
}

static int evaluated;

static int evaluate(void)
{
	return ++evaluated;
}

TEST(arguments_of_the_macro_are_evaluated_only_when_it_is_on)
{
	RETOUR_TRACE(app_request, (evaluate(), "x"));
	CHECK(evaluated == 0);
	CHECK(register_trace_app_request(count, NULL) == 0);
	RETOUR_TRACE(app_request, (evaluate(), "x"));
	CHECK(evaluated == 1 && hits == 1 && last_id == 1);
	CHECK(unregister_trace_app_request(count, NULL) == 0);
	RETOUR_TRACE(app_request, (evaluate(), "x"));
	CHECK(evaluated == 1 && hits == 1);
	RETOUR_TRACE(app_tick, ());
}

TEST(a_second_line_makes_all_arguments_lazy)
{
	int in_cpp = 0;

	for (int on = 0; on < 3; on++) {
		evaluated = 0;
		if (on == 1)
			CHECK(register_trace_app_lazy(count, NULL) == 0);
		if (on == 2)
			CHECK(unregister_trace_app_lazy(count, NULL) == 0);
		trace_app_lazy(evaluate(), evaluate() ? "x" : NULL);
		CHECK(evaluated == (on == 1 ? 2 : 0));
		cpp_lazy(&in_cpp);
		CHECK(in_cpp == (on >= 1));
		CHECK(hits == (on >= 1 ? 2 : 0));
	}
	/* The function evaluates them. */
	(trace_app_lazy)(evaluate(), "x");
	CHECK(evaluated == 1 && hits == 2);
}

TEST(files_in_c_and_cpp_share_a_tracepoint)
{
	CHECK(other_register(count, NULL) == 0);
	CHECK(cpp_register(count, NULL) == -EEXIST);
	trace_app_request(1, "here");
	CHECK(hits == 1);
	other_request(2, "there");
	CHECK(hits == 2 && last_id == 2);
	cpp_request(3);
	CHECK(hits == 2 + 7 && last_id == 3);
	CHECK(unregister_trace_app_request(count, NULL) == 0);
	other_request(2, "there");
	cpp_request(3);
	CHECK(hits == 9);
}

static void tick(void *data)
{
	++*(int *)data;
}

static int kinds_seen;

static void check_kinds(void *data, signed char sc, unsigned short us, bool b, float f, double d, char *text,
			struct thing *thing, enum colour colour, long long ll, unsigned char uc, const int ci,
			const void *cv)
{
	CHECK(sc == -3 && us == 65535 && b && f == 1.5f && d == 2.5 && !strcmp(text, "text") && thing == NULL);
	CHECK(colour == GREEN && ll == INT64_MIN && uc == 200 && ci == -7 && cv == data);
	kinds_seen++;
}

TEST(a_namespace_has_its_own)
{
	CHECK(cpp_namespace() == 7);
}

TEST(fields_of_all_kinds_and_none_arrive)
{
	int ticks = 0;
	char text[] = "text";

	CHECK(register_trace_app_tick(tick, &ticks) == 0);
	trace_app_tick();
	CHECK(ticks == 1);
	CHECK(register_trace_app_kinds(check_kinds, &ticks) == 0);
	trace_app_kinds(-3, 65535, true, 1.5f, 2.5, text, NULL, GREEN, INT64_MIN, 200, -7, &ticks);
	CHECK(kinds_seen == 1);
}

static int describe(const struct retour_tracepoint *tp, void *arg)
{
	static const char *const kinds[] = { "signed", "unsigned", "float", "string", "pointer" };
	char *to = arg;

	if (strcmp(tp->provider, "app"))
		return 0;
	to += strlen(to);
	to += sprintf(to, "%s%s", tp->name, tp->faultable ? "!" : "");
	for (const struct retour_tracepoint_field *f = tp->fields; f->name; f++)
		to += sprintf(to, " %s %s/%s%u", f->type, f->name, kinds[f->kind], f->size * 8);
	sprintf(to, "\n");
	return 0;
}

TEST(tracepoints_are_listed_with_their_fields)
{
	char text[4096] = "";

	CHECK(retour_tracepoint_for_each(describe, text) == 0);
	CHECK(strstr(text, "request int id/signed32 const char * path/string64\n"));
	CHECK(strstr(text, "tick\n"));
	CHECK(strstr(text, "load! const char * file/string64 unsigned long size/unsigned64\n"));
	CHECK(strstr(text, "kinds signed char sc/signed8 unsigned short us/unsigned16 _Bool b/unsigned8 float f/float32 "
			   "double d/float64 char * text/string64 struct thing * thing/pointer64 "));
	CHECK(strstr(text, "long long ll/signed64 unsigned char uc/unsigned8 const int ci/signed32 "
			   "const void * cv/pointer64\n"));
	/* Once, however many files declare it. */
	CHECK(!strstr(strstr(text, "request") + 1, "request"));
	CHECK(retour_tracepoint_find("app", "tick") && !retour_tracepoint_find("app", "tock"));
}

static void fire_another(void *data, int id, const char *path)
{
	retour_rcu_read_lock();
	hits++;
	trace_app_reply(id);
	retour_rcu_read_unlock();
}

static void on_reply(void *data, int id)
{
	last_id = -id;
	if (data)
		CHECK(unregister_trace_app_reply(on_reply, data) == 0);
}

TEST(a_probe_may_fire_read_and_unregister)
{
	CHECK(register_trace_app_request(fire_another, NULL) == 0);
	CHECK(register_trace_app_reply(on_reply, &hits) == 0);
	trace_app_request(5, "");
	CHECK(hits == 1 && last_id == -5);
	trace_app_request(6, "");
	CHECK(hits == 2 && last_id == -5);
}

static bool running, release_it, stop;

static void block_here(void *data, const char *file, unsigned long size)
{
	__atomic_store_n(&running, true, __ATOMIC_SEQ_CST);
	while (!__atomic_load_n(&release_it, __ATOMIC_SEQ_CST))
		usleep(1000);
	__atomic_store_n((bool *)data, true, __ATOMIC_SEQ_CST);
}

static void spin_here(void *data, int id)
{
	block_here(data, NULL, 0);
}

static void *fire_load(void *arg)
{
	trace_app_load("file", 1);
	return NULL;
}

static void *fire_reply(void *arg)
{
	trace_app_reply(1);
	return NULL;
}

/* Once the first thread waits. */
static void *release_later(void *arg)
{
	task_wait_until_it_sleeps(getpid());
	__atomic_store_n(&release_it, true, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Unregistering and synchronizing while the probe runs waits for it. */
static void check_wait(void *(*fire)(void *arg), bool faultable)
{
	pthread_t firing, releasing;
	bool ended = false;

	CHECK((faultable ? register_trace_app_load(block_here, &ended) : register_trace_app_reply(spin_here, &ended)) == 0);
	CHECK(pthread_create(&firing, NULL, fire, NULL) == 0);
	while (!__atomic_load_n(&running, __ATOMIC_SEQ_CST))
		sched_yield();
	CHECK((faultable ? unregister_trace_app_load(block_here, &ended) :
			   unregister_trace_app_reply(spin_here, &ended)) == 0);
	CHECK(!__atomic_load_n(&ended, __ATOMIC_SEQ_CST));
	CHECK(pthread_create(&releasing, NULL, release_later, NULL) == 0);
	retour_tracepoint_synchronize_unregister();
	CHECK(__atomic_load_n(&ended, __ATOMIC_SEQ_CST));
	CHECK(pthread_join(firing, NULL) == 0 && pthread_join(releasing, NULL) == 0);
}

TEST(synchronize_waits_for_ordinary_probes)
{
	check_wait(fire_reply, false);
}

TEST(synchronize_waits_for_faultable_probes)
{
	check_wait(fire_load, true);
}

TEST(probes_are_kept_while_they_are_called)
{
	bool ended = false;
	pthread_t firing;

	CHECK(register_trace_app_reply(spin_here, &ended) == 0);
	CHECK(register_trace_app_reply(on_reply, NULL) == 0);
	CHECK(pthread_create(&firing, NULL, fire_reply, NULL) == 0);
	while (!__atomic_load_n(&running, __ATOMIC_SEQ_CST))
		sched_yield();
	CHECK(unregister_trace_app_reply(on_reply, NULL) == 0);
	usleep(10000);
	__atomic_store_n(&release_it, true, __ATOMIC_SEQ_CST);
	CHECK(pthread_join(firing, NULL) == 0);
	/* It was on its way. */
	CHECK(last_id == -1);
	trace_app_reply(2);
	CHECK(last_id == -1);
}

TEST(a_blocking_probe_does_not_hold_ordinary_ones_up)
{
	pthread_t firing;
	bool ended = false;

	CHECK(register_trace_app_load(block_here, &ended) == 0);
	CHECK(pthread_create(&firing, NULL, fire_load, NULL) == 0);
	while (!__atomic_load_n(&running, __ATOMIC_SEQ_CST))
		sched_yield();
	retour_synchronize_srcu(&retour_tracepoint_srcu);
	CHECK(!__atomic_load_n(&ended, __ATOMIC_SEQ_CST));
	__atomic_store_n(&release_it, true, __ATOMIC_SEQ_CST);
	CHECK(pthread_join(firing, NULL) == 0);
}

/* What a probe's data is: valid until its owner has synchronized. */
struct owned {
	long magic;
	long calls;
};

static void use(void *data, int id, const char *path)
{
	struct owned *owned = data;

	CHECK(__atomic_load_n(&owned->magic, __ATOMIC_RELAXED) == 0x600d);
	__atomic_fetch_add(&owned->calls, 1, __ATOMIC_RELAXED);
	trace_app_reply(id);
}

static void use_too(void *data, int id)
{
	CHECK(__atomic_load_n(&((struct owned *)data)->magic, __ATOMIC_RELAXED) == 0x600d);
}

static void *fire_requests(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		for (int i = 0; i < 100; i++)
			trace_app_request(i, "torture");
	return NULL;
}

static void fire_in_handler(int sig)
{
	int saved = errno;

	trace_app_request(-1, "handler");
	errno = saved;
}

/* Probes come and go for a second while threads and handlers fire; data are poisoned once they may be. */
TEST(probes_come_and_go_while_threads_and_handlers_fire)
{
	struct itimerval often = { { 0, 300 }, { 0, 300 } };
	pthread_t threads[3];
	long calls = 0;

	CHECK(signal(SIGPROF, fire_in_handler) != SIG_ERR);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, fire_requests, NULL) == 0);
	CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
	for (int i = 0; i < ROUNDS || !calls; i++) {
		struct owned owned[3] = { { 0x600d, 0 }, { 0x600d, 0 }, { 0x600d, 0 } };

		for (int k = 0; k < 3; k++)
			CHECK(register_trace_app_request(use, &owned[k]) == 0);
		CHECK(register_trace_app_reply(use_too, &owned[0]) == 0);
		if (i % 8 == 0)
			sched_yield();
		for (int k = 0; k < 3; k++)
			CHECK(unregister_trace_app_request(use, &owned[(i + k) % 3]) == 0);
		CHECK(unregister_trace_app_reply(use_too, &owned[0]) == 0);
		retour_tracepoint_synchronize_unregister();
		for (int k = 0; k < 3; k++) {
			calls += owned[k].calls;
			__atomic_store_n(&owned[k].magic, 0xbad, __ATOMIC_RELAXED);
		}
	}
	often = (struct itimerval){ { 0, 0 }, { 0, 0 } };
	CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

TEST(a_child_has_its_parents_probes_and_its_own)
{
	int status;
	pid_t pid;

	CHECK(register_trace_app_request(count, NULL) == 0);
	pid = fork();
	if (pid == 0) {
		trace_app_request(1, "");
		CHECK(hits == 1);
		CHECK(unregister_trace_app_request(count, NULL) == 0);
		retour_tracepoint_synchronize_unregister();
		trace_app_request(1, "");
		CHECK(hits == 1);
		CHECK(register_trace_app_reply(on_reply, NULL) == 0);
		trace_app_reply(9);
		CHECK(last_id == -9);
		_exit(0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	CHECK(hits == 0 && !trace_app_reply_enabled());
	trace_app_request(1, "");
	CHECK(hits == 1);
}

typedef int (*register_fn)(void (*probe)(void *data, int id, const char *path), void *data);

static void *open_plugin(void (**request)(int id))
{
	void *plugin = dlopen(PLUGIN, RTLD_NOW);

	if (!plugin)
		printf("# %s\n", dlerror());
	CHECK(plugin);
	*request = (void (*)(int))dlsym(plugin, "plugin_request");
	CHECK(*request);
	return plugin;
}

static char came[256];

static void coming(const struct retour_tracepoint *tp, void *arg)
{
	snprintf(came, sizeof(came), "%s:%s", tp->provider, tp->name);
	CHECK(arg == came);
}

TEST(sites_of_an_object_that_is_loaded_have_the_probes)
{
	void (*request)(int id);
	void *plugin;

	CHECK(register_trace_app_request(count, NULL) == 0);
	retour_tracepoint_set_coming(coming, came);
	plugin = open_plugin(&request);
	/* Its constructor fired, and only what is new was told. */
	CHECK(hits == 1 && last_id == 110);
	CHECK_STR(came, "plugin:loaded");
	request(7);
	CHECK(hits == 2 && last_id == 7);
	CHECK(unregister_trace_app_request(count, NULL) == 0);
	request(8);
	CHECK(hits == 2);
	CHECK(((register_fn)dlsym(plugin, "plugin_register"))(count, NULL) == 0);
	trace_app_request(9, "");
	CHECK(hits == 3 && last_id == 9);
	CHECK(retour_tracepoint_find("plugin", "loaded"));
	CHECK(dlclose(plugin) == 0);
	CHECK(dlopen(PLUGIN, RTLD_NOW | RTLD_NOLOAD) == NULL);
	CHECK(!retour_tracepoint_find("plugin", "loaded"));
	/* The probe is the program's and stays. */
	trace_app_request(10, "");
	CHECK(hits == 4);
	CHECK(unregister_trace_app_request(count, NULL) == 0);
}

RETOUR_TRACEPOINT(app, last, (int, id));

#define LAST_CALLS __attribute__((noinline, section("last_calls")))

extern const char __start_last_calls[], __stop_last_calls[];

static LAST_CALLS void fire_last(int id)
{
	trace_app_last(id);
}

static LAST_CALLS void fire_last_by_macro(int id)
{
	RETOUR_TRACE(app_last, (id));
}

static void site_is_in_last_calls(struct retour_tracepoint_recorder *recorder, const uint64_t *values, const void *site)
{
	CHECK((const char *)site >= __start_last_calls && (const char *)site < __stop_last_calls);
	hits += (int)values[0];
}

/* A tail call would leave a chain without the function that fires. */
TEST(a_function_that_ends_with_a_tracepoint_is_its_caller)
{
	struct retour_tracepoint_recorder recorder = { site_is_in_last_calls };

	CHECK(retour_tracepoint_probe_register(&retour_tracepoint_app_last, RETOUR_TRACEPOINT_RECORD, &recorder) == 0);
	fire_last(1);
	fire_last_by_macro(10);
	CHECK(hits == 11);
	CHECK(retour_tracepoint_probe_unregister(&retour_tracepoint_app_last, RETOUR_TRACEPOINT_RECORD, &recorder) == 0);
}

RETOUR_TRACEPOINT(app, clash, (long, what), (long, much));

static void on_clash(void *data, long what, long much)
{
	hits++;
	last_id = (int)(what + much);
}

TEST(fields_of_other_kinds_make_another_tracepoint)
{
	void (*request)(int id);
	void *plugin = open_plugin(&request);
	void (*clash)(void) = (void (*)(void))dlsym(plugin, "plugin_clash");

	CHECK(register_trace_app_clash(on_clash, NULL) == 0);
	clash();
	CHECK(hits == 0);
	trace_app_clash(4, 5);
	CHECK(hits == 1 && last_id == 9);
	CHECK(unregister_trace_app_clash(on_clash, NULL) == 0);
	CHECK(dlclose(plugin) == 0);
}

static void *switch_requests(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		CHECK(register_trace_app_request(count, arg) == 0);
		CHECK(unregister_trace_app_request(count, arg) == 0);
	}
	return NULL;
}

TEST(objects_come_and_go_while_tracepoints_are_switched)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, switch_requests, NULL) == 0);
	for (int i = 0; i < ROUNDS / 4; i++) {
		void (*request)(int id);
		void *plugin = open_plugin(&request);

		for (int k = 0; k < 20; k++)
			request(k);
		CHECK(dlclose(plugin) == 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK(pthread_join(thread, NULL) == 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

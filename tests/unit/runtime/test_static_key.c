/* SPDX-License-Identifier: MIT */
/* Static keys: the values their sites see, what stands at the sites, and switching amid everything. */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/time.h>

#include "unit/filter.h"
#include "sites.h"
#include "unit/test.h"

RETOUR_STATIC_KEY_FALSE(off);
RETOUR_STATIC_KEY_TRUE(on);
RETOUR_STATIC_KEY_FALSE(many);
RETOUR_STATIC_KEY_FALSE(other);

#define NOINLINE __attribute__((noinline))

#ifdef RETOUR_TORTURE
void retour_torture_delay(void)
{
	for (volatile int i = 0; i < 100; i++)
		;
}
#endif

/* How often something is tried; ThreadSanitizer is slow. */
#ifdef RETOUR_TSAN
#define ROUNDS 30
#else
#define ROUNDS 300
#endif

static NOINLINE bool off_unlikely(void) { return retour_static_branch_unlikely(off); }
static NOINLINE bool off_likely(void) { return retour_static_branch_likely(off); }
static NOINLINE bool on_unlikely(void) { return retour_static_branch_unlikely(on); }
static NOINLINE bool on_likely(void) { return retour_static_branch_likely(on); }
static NOINLINE bool other_unlikely(void) { return retour_static_branch_unlikely(other); }
static NOINLINE int many_sites(void) { return COUNT_SITES(many); }

static bool early_off = true, early_on;

static void before_constructors(void)
{
	early_off = off_unlikely() || off_likely();
	early_on = on_unlikely() && on_likely();
}

__attribute__((section(".preinit_array"), used)) static void (*const preinit)(void) = before_constructors;

TEST(sites_are_right_before_the_library_knows_them)
{
	CHECK(!early_off);
	CHECK(early_on);
}

TEST(a_key_switches_its_sites_and_no_others)
{
	for (int round = 0; round < 3; round++) {
		CHECK(!off_unlikely() && !off_likely() && on_unlikely() && on_likely() && !other_unlikely());
		CHECK(retour_static_key_enable(&off) == 0);
		CHECK(off_unlikely() && off_likely() && !other_unlikely());
		CHECK(retour_static_key_disable(&off) == 0);
		CHECK(retour_static_key_disable(&on) == 0);
		CHECK(!on_unlikely() && !on_likely() && !off_unlikely());
		CHECK(retour_static_key_enable(&on) == 0);
	}
}

TEST(a_count_switches_at_its_ends)
{
	CHECK(retour_static_key_inc(&off) == 0 && off_unlikely());
	CHECK(retour_static_key_inc(&off) == 0 && off_unlikely());
	CHECK(retour_static_key_dec(&off) == 0 && off_unlikely());
	CHECK(retour_static_key_dec(&off) == 0 && !off_unlikely());
	CHECK(retour_static_key_dec(&off) == 0 && !off_unlikely());
}

TEST(straight_on_is_a_nop_and_nothing_else)
{
	if (!text_is_written())
		SKIP("text may not be written here");
	CHECK_U64(count_sites(&many, site_is_nop), SITES);
	CHECK_U64(count_sites(&off, site_is_nop), 1);	/* the unlikely one */
	CHECK_U64(count_sites(&off, site_is_jump), 1);
	CHECK_U64(count_sites(&on, site_is_nop), 1);
	CHECK(retour_static_key_enable(&many) == 0);
	CHECK_U64(count_sites(&many, site_is_jump), SITES);
	CHECK_U64(many_sites(), SITES);
	CHECK(retour_static_key_disable(&many) == 0);
	CHECK_U64(count_sites(&many, site_is_nop), SITES);
	CHECK_U64(many_sites(), 0);
}

/* /proc/self/maps: "start-end perms ..." of the mapping with the address. */
static bool is_writable(const void *address)
{
	unsigned long start, end;
	char line[512], perms[8];
	FILE *f = fopen("/proc/self/maps", "r");

	CHECK(f);
	while (fgets(line, sizeof(line), f))
		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) == 3 && (unsigned long)address >= start &&
		    (unsigned long)address < end) {
			fclose(f);
			return perms[1] == 'w';
		}
	CHECK(!"mapped");
	return false;
}

TEST(text_is_not_left_writable)
{
	CHECK(!is_writable((void *)many_sites));
	CHECK(retour_static_key_enable(&many) == 0);
	CHECK(!is_writable((void *)many_sites));
}

TEST(a_batch_takes_effect_at_its_end)
{
	bool written = text_is_written();

	retour_static_key_batch_begin();
	retour_static_key_batch_begin();
	CHECK(retour_static_key_enable(&many) == 0);
	CHECK(retour_static_key_enable(&other) == 0);
	CHECK(retour_static_key_batch_end() == 0);
	/* With load and test there is nothing to wait for. */
	CHECK(many_sites() == (written ? 0 : SITES));
	CHECK(retour_static_key_batch_end() == 0);
	CHECK(many_sites() == SITES && other_unlikely());
}

static bool stop;

static void *run_sites(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		int n = many_sites();

		CHECK(n >= 0 && n <= SITES);
		(void)other_unlikely();
	}
	return NULL;
}

TEST(threads_run_through_sites_that_are_switched)
{
	pthread_t threads[3];

	for (int i = 0; i < 3; i++)
		CHECK(pthread_create(&threads[i], NULL, run_sites, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		CHECK(retour_static_key_enable(&many) == 0);
		CHECK(many_sites() == SITES);
		CHECK(retour_static_key_disable(&many) == 0);
		CHECK(many_sites() == 0);
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 3; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static long handled;

static void run_sites_in_handler(int sig)
{
	int saved = errno;

	(void)many_sites();
	__atomic_fetch_add(&handled, 1, __ATOMIC_RELAXED);
	errno = saved;
}

static void *work(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED))
		for (volatile int i = 0; i < 1000; i++)
			;
	return NULL;
}

TEST(handlers_run_through_sites_that_are_switched)
{
	struct itimerval often = { { 0, 200 }, { 0, 200 } };
	pthread_t threads[2];

	CHECK(signal(SIGPROF, run_sites_in_handler) != SIG_ERR);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_create(&threads[i], NULL, i ? work : run_sites, NULL) == 0);
	CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
	for (int i = 0; i < ROUNDS || __atomic_load_n(&handled, __ATOMIC_RELAXED) < 30; i++) {
		CHECK(retour_static_key_enable(&many) == 0);
		CHECK(retour_static_key_disable(&many) == 0);
	}
	often = (struct itimerval){ { 0, 0 }, { 0, 0 } };
	CHECK(setitimer(ITIMER_PROF, &often, NULL) == 0);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++)
		CHECK(pthread_join(threads[i], NULL) == 0);
}

static void *switch_all_the_time(void *arg)
{
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		CHECK(retour_static_key_enable(&many) == 0);
		CHECK(retour_static_key_disable(&many) == 0);
	}
	return NULL;
}

/* The status of a child; -1 if it hangs. */
static int wait_for(pid_t pid)
{
	int status;

	for (int ms = 0; ms < 30000; ms++) {
		if (waitpid(pid, &status, WNOHANG) == pid)
			return status;
		usleep(1000);
	}
	kill(pid, SIGKILL);
	return -1;
}

TEST(a_child_forked_amid_a_switch_switches_on_its_own)
{
	pthread_t thread;

	CHECK(pthread_create(&thread, NULL, switch_all_the_time, NULL) == 0);
	for (int i = 0; i < ROUNDS; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			int n = many_sites();

			CHECK(n == 0 || n == SITES);
			CHECK(retour_static_key_enable(&many) == 0 && many_sites() == SITES);
			CHECK(retour_static_key_disable(&many) == 0 && many_sites() == 0);
			CHECK(retour_static_key_enable(&other) == 0 && other_unlikely());
			_exit(0);
		}
		CHECK(wait_for(pid) == 0);
		CHECK(!other_unlikely());
	}
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	CHECK(pthread_join(thread, NULL) == 0);
}

/* What a debugger does: a breakpoint in place of the first byte. */
__attribute__((no_sanitize("thread")))
static unsigned char replace_byte(const unsigned char *code, unsigned char byte)
{
	unsigned char *page = (unsigned char *)((unsigned long)code & -4096), old = *code;

	CHECK(mprotect(page, 8192, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
	*(volatile unsigned char *)code = byte;
	CHECK(mprotect(page, 8192, PROT_READ | PROT_EXEC) == 0);
	return old;
}

static const unsigned char *code_of(const struct retour_static_key *key)
{
	const struct retour_static_site *s = __start_retour_static_sites;

	while ((s->key & ~1UL) != (unsigned long)key)
		s++;
	return site_code(s);
}

TEST(a_breakpoint_at_a_site_stays)
{
	const unsigned char *code = code_of(&other);
	unsigned char old;

	if (!text_is_written())
		SKIP("text may not be written here");
	old = replace_byte(code, 0xcc);
	CHECK(retour_static_key_enable(&other) == 0 && retour_static_key_enable(&many) == 0);
	CHECK(*code == 0xcc && many_sites() == SITES);
	replace_byte(code, old);
	/* The next switch of any key sees to it. */
	CHECK(!other_unlikely());
	CHECK(retour_static_key_disable(&many) == 0);
	CHECK(other_unlikely());
}

static const unsigned char *watched;
static unsigned char seen[3][5];
static int syncs;
static int listener = -1;
static bool switched;

static void look_at_site(void)
{
	if (syncs < 3)
		memcpy(seen[syncs], watched, sizeof(seen[0]));
	syncs++;
}

static void *switch_watched(void *arg)
{
	int fd = stop_at_system_call(SYS_membarrier);

	if (fd < 0)
		SKIP("no seccomp notifications here");
	__atomic_store_n(&listener, fd, __ATOMIC_RELEASE);
	CHECK(retour_static_key_enable(&other) == 0);
	__atomic_store_n(&switched, true, __ATOMIC_RELEASE);
	return NULL;
}

/* No processor at hand shows that one is missing. */
TEST(each_step_of_a_switch_is_behind_a_membarrier)
{
	unsigned char before[5], after[5];
	pthread_t thread;

	if (!text_is_written())
		SKIP("text may not be written here");
	watched = code_of(&other);
	memcpy(before, watched, sizeof(before));
	CHECK(pthread_create(&thread, NULL, switch_watched, NULL) == 0);
	while (__atomic_load_n(&listener, __ATOMIC_ACQUIRE) < 0)
		sched_yield();
	while (let_system_call(listener, look_at_site) || !__atomic_load_n(&switched, __ATOMIC_ACQUIRE))
		;
	CHECK(pthread_join(thread, NULL) == 0);
	memcpy(after, watched, sizeof(after));
	CHECK(syncs == 3);
	CHECK(!memcmp(seen[0], "\xeb\x03", 2) && !memcmp(seen[0] + 2, before + 2, 3));
	CHECK(!memcmp(seen[1], "\xeb\x03", 2) && !memcmp(seen[1] + 2, after + 2, 3));
	CHECK(!memcmp(seen[2], after, 5) && memcmp(after, before, 5));
}

TEST(a_filter_that_comes_late_is_reported)
{
	if (!text_is_written())
		SKIP("text may not be written here");
	CHECK(retour_static_key_enable(&other) == 0);
	CHECK(refuse_writable_text() == 0);
	CHECK(retour_static_key_enable(&off) == -EPERM);
	CHECK(retour_static_key_enabled(&off));
	/* Its nop cannot be written over; the jump that tests is right. */
	CHECK(!off_unlikely() && off_likely());
	/* And a jump that can become no nop goes on testing, which is no error of this key's. */
	CHECK(retour_static_key_disable(&off) == 0 && !off_likely());
	CHECK(retour_static_key_disable(&other) == 0 && !other_unlikely());
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/* Programs under the agent, as a recorder sees them. */
#include "recorder.h"

#include "base/reason.h"

/* 99 %, but for the few places without tables that all programs come through, as _fini(). */
static bool mostly_complete(void)
{
	return seen.complete * 100 >= seen.chains * 99 || seen.chains - seen.complete <= 2;
}

/* CPU time of a thread that spins, no matter how rarely the kernel looks at timers. */
TEST(one_thread)
{
	struct task *task;

	record("spin");
	CHECK(n_hellos == 1 && n_readers == 1 && seen.execs == 1);
	task = task_named("agent_subject");
	CHECK(task && task->samples == seen.samples && seen.samples > 20);
	CHECK(task->cpu_ns > 200000000 && task->cpu_ns < 1500000000);
	CHECK(seen.cookies == seen.samples && seen.chains == seen.samples && !seen.lost);
	CHECK(mostly_complete());
	CHECK(strstr(mapping_names, "agent_subject\n") && strstr(mapping_names, "libc.so") &&
	      strstr(mapping_names, "[vdso]\n"));
}

/* A sample's mappings are told before it, and the program before them: it has nothing mapped as it begins. */
static bool in_order(const struct perf_event_header *header)
{
	if (header->type == PERF_RECORD_COMM && header->misc & PERF_RECORD_MISC_COMM_EXEC)
		CHECK(!seen.execs && !seen.mappings);
	if (header->type == PERF_RECORD_MMAP2)
		CHECK(seen.execs && !seen.samples);
	if (header->type == AGENT_RECORD_SAMPLE)
		CHECK(seen.mappings);
	return false;
}

TEST(begins_in_order)
{
	one_cpu = true;
	on_record = in_order;
	session.events[0] = (struct agent_event){ .kind = AGENT_WALL_CLOCK, .period = 50000 };
	record("spin");
	CHECK(seen.samples && seen.mappings && seen.execs == 1);
}

/* By the wall also while it sleeps, by the CPU hardly. */
TEST(wall_clock)
{
	session.events[0] = (struct agent_event){ .kind = AGENT_WALL_CLOCK, .period = 2000000 };
	session.events[1] = (struct agent_event){ .kind = AGENT_CPU_CLOCK, .period = 2000000 };
	session.n_events = 2;
	record("sleep");
	CHECK(seen.of_event[0] > 20 && seen.of_event[1] < seen.of_event[0] / 2);
	CHECK(seen.chains && mostly_complete());
}

TEST(no_chains)
{
	session.max_depth = 0;
	record("spin");
	CHECK(seen.samples && !seen.chains && seen.reasons[REASON_NOT_ASKED] == seen.samples);
}

TEST(threads)
{
	unsigned int workers = 0;

	one_cpu = true;
	record("threads");
	for (unsigned int i = 0; i < n_tasks; i++) {
		if (strncmp(tasks[i].comm, "worker-", 7))
			continue;
		workers++;
		CHECK(tasks[i].began && tasks[i].ended);
	}
	/* Who was cancelled at once may not have come to its name. */
	printf("# %u workers of 80, %u tasks\n", workers, n_tasks);
	CHECK(n_tasks == 81 && workers >= 54 && seen.samples && !seen.lost);
	CHECK(mostly_complete());
}

/* Threads of C11 are threads, too. */
TEST(c11)
{
	struct task *task;

	one_cpu = true;
	record("c11");
	task = task_named("c11");
	CHECK(n_tasks == 2 && task && task->samples && task->began && task->ended && mostly_complete());
}

/* Also those that begin before the program does. */
TEST(early_threads)
{
	struct task *task;

	setenv("EARLY", "yes", 1);
	record("early");
	task = task_named("early");
	CHECK(n_tasks == 2 && task && task->samples && task->began && task->ended);
}

TEST(forks)
{
	one_cpu = true;
	record("fork");
	CHECK(n_hellos == 1 && seen.forks == 8);
	for (unsigned int i = 0; i < n_tasks; i++)
		CHECK(tasks[i].began && tasks[i].samples);
	CHECK(n_tasks == 9);
}

TEST(forks_of_threads)
{
	record("fork_threads");
	CHECK(seen.forks == 40 && n_hellos == 1);
	CHECK(mostly_complete());
}

/* The program, three children, a shell, the program that takes its place; forked children before exec are no hellos. */
TEST(execs)
{
	record("exec");
	CHECK(n_hellos >= 6 && n_hellos == seen.execs);
	CHECK(mostly_complete());
}

TEST(daemon)
{
	record("daemon");
	CHECK(seen.samples > 20);
}

TEST(objects)
{
	record("dlopen");
	CHECK(strstr(mapping_names, "agent_plugin.so\n"));
	CHECK(mostly_complete());
}

TEST(sigprof)
{
	record("sigprof");
	CHECK(seen.samples > 20 && mostly_complete());
}

TEST(all_signals)
{
	record("all_signals");
	CHECK(seen.samples > 10);
}

TEST(masks)
{
	one_cpu = true;
	record("masks");
	CHECK(seen.samples > 30 && n_tasks == 2 && tasks[1].samples > 10);
}

TEST(sigwait)
{
	session.events[0].kind = AGENT_WALL_CLOCK;
	record("sigwait");
	CHECK(n_tasks == 2 && tasks[1].samples > 10);
}

TEST(sigwait_all)
{
	record("sigwait_all");
	CHECK(seen.samples);
}

TEST(signalfd)
{
	record("signalfd");
}

TEST(actions)
{
	record("actions");
}

TEST(default_actions)
{
	record("default_actions");
}

TEST(vforked)
{
	record("vfork");
	CHECK(seen.samples && !task_named("vforked"));
}

/* No recorder has started it: the agent listens. */
TEST(agent_thread)
{
	char *argv[] = { (char *)SUBJECT, (char *)"agent_thread", NULL };
	pid_t pid = fork();
	int status;

	if (!pid) {
		setenv("LD_PRELOAD", PRELOAD, 1);
		unsetenv(AGENT_ENVIRONMENT);
		execv(argv[0], argv);
		_exit(127);
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(!status);
}

TEST(sigaltstack)
{
	record("sigaltstack");
	/* All of its time is in few samples: the handler has kept them waiting. */
	CHECK(seen.samples && tasks[0].cpu_ns > 100000000);
}

/* What a filter refuses is not had, and the program runs on; where it can, the agent says so. */
TEST(filters)
{
	record("no_timers");
	CHECK(n_hellos == 2 && n_refused == 1 && last_refusal == EPERM);
	record("no_sockets");
	CHECK(n_hellos == 3);
	record("no_memfd");
	CHECK(n_hellos == 5 && n_refused == 2 && last_refusal == EPERM);
}

/* Whose timers are refused has no samples, and that is told once. */
TEST(refused_timers)
{
	one_cpu = true;
	record("no_budget");
	CHECK(n_tasks == 5 && seen.unsampled[UNSAMPLED_NO_TIMERS] == 2);
	CHECK(task_named("before")->samples && task_named("after")->samples);
	CHECK(task_named("refused")->unsampled && !task_named("refused")->samples);
}

/* Programs that forbid themselves what the agent needs live on; their threads are counted. */
static void check_confined(const char *part, unsigned int n)
{
	record(part);
	CHECK(seen.unsampled[UNSAMPLED_SECCOMP] == n && seen.samples);
}

TEST(strict_seccomp)
{
	check_confined("seccomp_strict", 1);
}

TEST(filters_that_kill)
{
	check_confined("seccomp_kill", 2);
}

TEST(filters_of_all_threads)
{
	check_confined("seccomp_tsync", 3);
}

/* What a thread under a filter begins is under it, too. */
TEST(filters_are_inherited)
{
	check_confined("seccomp_inherited", 3);
	CHECK(n_hellos == 1);
}

TEST(filters_that_fail)
{
	check_confined("seccomp_refused", 0);
	CHECK(task_named("probe")->samples && task_named("refused")->samples);
}

/* ---- recorders that are not as they should be ------------------------------------- */

static bool hang_up(int fd)
{
	return true;
}

static bool send_rubbish(int fd)
{
	send_packet(fd, "rubbish, all of it", 18, -1);
	return true;
}

static bool send_without_page(int fd)
{
	struct agent_message message = { .kind = AGENT_SESSION, .size = session_size(), .session = session };

	send_packet(fd, &message, message.size, -1);
	take_rings(fd);
	return true;
}

TEST(recorder_hangs_up)
{
	on_hello = hang_up;
	record("spin");
	CHECK(n_hellos == 1 && !seen.samples);
	on_hello = send_rubbish;
	record("spin");
	on_hello = send_without_page;
	record("spin");
	CHECK(n_refused == 1 && last_refusal == EINVAL && !n_readers);
}

TEST(unsealed_page)
{
	make_page(0);
	record("spin");
	CHECK(n_refused == 1 && last_refusal == EINVAL && !n_readers);
}

static bool stop_at_once(int fd)
{
	page->state = AGENT_STOPPED;
	return false;
}

TEST(stopped)
{
	on_hello = stop_at_once;
	record("spin");
	CHECK(n_readers == 1 && !seen.samples);
}

/* Who outlives its recorder says nothing of its threads and children. */
TEST(survivors)
{
	on_hello = stop_at_once;
	record("threads");
	CHECK(n_tasks == 1);
	n_tasks = 0;
	record("fork");
	CHECK(n_tasks == 1 && !seen.forks);
}

static pid_t owner;

/* The page is another process's, which is then killed. */
static void give_page_away(void)
{
	volatile bool *ready;

	make_page(F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ready = (volatile bool *)page + 2048;
	owner = fork();
	if (!owner) {
		pthread_mutexattr_t attr;

		pthread_mutexattr_init(&attr);
		pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
		pthread_mutexattr_setrobust(&attr, PTHREAD_MUTEX_ROBUST);
		pthread_mutex_init(&page->recorder, &attr);
		pthread_mutex_lock(&page->recorder);
		*ready = true;
		for (;;)
			pause();
	}
	while (!*ready)
		usleep(1000);
}

static bool kill_owner(const struct perf_event_header *header)
{
	if (header->type == AGENT_RECORD_SAMPLE && seen.samples == 10) {
		kill(owner, SIGKILL);
		waitpid(owner, NULL, 0);
		dont_read = true;
	}
	return dont_read;
}

static bool leave_at_last(const struct perf_event_header *header)
{
	if (header->type == AGENT_RECORD_SAMPLE && seen.samples == 10) {
		page->state = AGENT_GONE;
		dont_read = true;
	}
	return dont_read;
}

/* A program of one thread keeps neither timers nor the rings' memory for a recorder that is gone. */
static void check_nothing_is_kept(void)
{
	struct stat st;

	session.ring_bytes = 1 << 20;
	record("outlive");
	CHECK(!fstat(last_rings, &st) && st.st_size > 2 << 20);
	printf("# %ld of %ld bytes are kept\n", (long)st.st_blocks * 512, (long)st.st_size);
	CHECK(st.st_blocks * 512 <= 32768);
}

TEST(outlives_a_killed_recorder)
{
	give_page_away();
	on_record = kill_owner;
	check_nothing_is_kept();
}

TEST(outlives_a_recorder)
{
	on_record = leave_at_last;
	check_nothing_is_kept();
}

/* Nobody reads: what does not fit is counted, and the program goes on. */
TEST(full_rings)
{
	session.ring_bytes = 65536;
	session.events[0].period = 50000;
	dont_read = true;
	record("spin");
	dont_read = false;
	read_rings();
	CHECK(seen.samples);
}

TEST(no_recorder)
{
	char *argv[] = { (char *)SUBJECT, (char *)"spin", NULL };
	int output, status;

	strcpy(socket_path, "/nonexistent/socket");
	CHECK(waitpid(start_program(argv, &output), &status, 0) > 0 && !status);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

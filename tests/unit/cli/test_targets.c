/* SPDX-License-Identifier: MIT */
/* The targets of a recording: a command waits for its start, a bad one is an error, ends are seen. */
#include "cli/targets.h"

#include "../test.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>

#define ARGV(...) (char **)(const char *[]){ __VA_ARGS__, NULL }

static void wait_for_end(const struct targets *targets)
{
	for (int i = 0; i < 500 && !targets_ended(targets); i++)
		poll(NULL, 0, 10);
	CHECK(targets_ended(targets));
}

TEST(a_command_waits_until_it_is_let_go)
{
	char **argv = ARGV("sh", "-c", "exit 3");
	struct targets t;

	targets_init(&t);
	CHECK_OK(targets_add_command(&t, argv, false));
	CHECK_U64(t.pids.len, 1);
	poll(NULL, 0, 50);
	CHECK(!targets_ended(&t));
	CHECK_OK(targets_start_command(&t, NULL));
	wait_for_end(&t);
	int status = targets_finish_command(&t);

	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 3);
	targets_deinit(&t);
}

TEST(a_command_that_cannot_run_is_an_error_with_its_name)
{
	char **argv = ARGV("/nonexistent/program");
	struct error *err;
	struct targets t;

	targets_init(&t);
	CHECK_OK(targets_add_command(&t, argv, false));
	err = targets_start_command(&t, NULL);
	CHECK(err);
	CHECK_U64(err->code, ENOENT);
	CHECK(strstr(err->text, "/nonexistent/program"));
	error_free(err);
	targets_deinit(&t);
}

TEST(a_command_that_was_never_let_go_just_ends)
{
	char **argv = ARGV("sh", "-c", "echo must not run");
	struct targets t;
	int status;
	pid_t pid;

	targets_init(&t);
	CHECK_OK(targets_add_command(&t, argv, false));
	pid = t.pids.data[0];
	targets_deinit(&t);
	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 127);
}

TEST(a_command_that_still_runs_is_asked_to_end)
{
	char **argv = ARGV("sleep", "60");
	struct targets t;

	targets_init(&t);
	CHECK_OK(targets_add_command(&t, argv, false));
	CHECK_OK(targets_start_command(&t, NULL));
	CHECK(targets_finish_command(&t) == -1);
	wait_for_end(&t);
	int status = targets_finish_command(&t);

	CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	targets_deinit(&t);
}

TEST(ends_when_the_last_process_has_ended)
{
	struct targets t;
	pid_t pids[2];

	targets_init(&t);
	CHECK(!targets_ended(&t));
	for (int i = 0; i < 2; i++) {
		pids[i] = fork();
		if (pids[i] == 0) {
			pause();
			_exit(0);
		}
		CHECK_OK(targets_add(&t, pids[i], false));
	}
	kill(pids[0], SIGKILL);
	waitpid(pids[0], NULL, 0);
	CHECK(!targets_ended(&t));
	kill(pids[1], SIGKILL);
	wait_for_end(&t);
	targets_deinit(&t);
}

TEST(no_such_process)
{
	struct targets t;
	struct error *err;
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	waitpid(pid, NULL, 0);
	targets_init(&t);
	err = targets_add(&t, pid, false);
	CHECK(err);
	CHECK(strstr(err->text, "there is no process"));
	error_free(err);
	targets_deinit(&t);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

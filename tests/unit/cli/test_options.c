/* SPDX-License-Identifier: MIT */
/* Option parsing of the command: what is accepted, and that all else ends with status 2. */
#include "cli/cli.h"

#include "../test.h"

static const struct cli_option options[] = {
	{ 'n', "number", "N", "a number" },
	{ CLI_LONG_ONLY, "flag", NULL, "a flag" },
	{ CLI_LONG_ONLY + 1, "later", "X", NULL },
	{ 0 },
};

static const struct cli_option shared[] = {
	{ CLI_LONG_ONLY + 2, "shared", "S", "of a shared table" },
	{ 0 },
};

static const struct cli_verb verb = {
	.name = "verb", .synopsis = "[-n N] [--flag]", .summary = "do something", .options = options,
	.more_options = shared,
};

#define ARGV(...) (char **)(const char *[]){ __VA_ARGS__, NULL }

/* Runs cli_getopt() to its end in a child; its exit status, and what it wrote to fd. */
static int exit_status(int argc, char **argv, int fd, char *text, size_t size)
{
	int pipes[2], status;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	CHECK(pipe(pipes) == 0);
	pid = fork();
	if (pid == 0) {
		dup2(pipes[1], fd);
		optind = 1;
		while (cli_getopt(&verb, argc, argv) != CLI_END)
			;
		cli_no_arguments(&verb, argc, argv);
		_exit(0);
	}
	close(pipes[1]);
	while ((n = read(pipes[0], text + len, size - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(pipes[0]);
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_refused(const char *arg, const char *why)
{
	char text[512];

	CHECK_U64(exit_status(2, ARGV("verb", arg), STDERR_FILENO, text, sizeof(text)), CLI_BAD_USAGE);
	CHECK(strstr(text, why));
	CHECK(!strncmp(text, "retour verb: ", 13));
	/* one line */
	CHECK(strchr(text, '\n') == text + strlen(text) - 1);
}

TEST(takes_short_long_and_shared_options)
{
	char **argv = ARGV("verb", "-n", "1", "--number=2", "-n3", "--flag", "--shared", "x", "rest", "-n");
	const int argc = 10;

	optind = 1;
	for (int i = 1; i <= 3; i++) {
		CHECK_U64(cli_getopt(&verb, argc, argv), 'n');
		CHECK_U64(cli_number(&verb, "-n", optarg, 1, 3), i);
	}
	CHECK_U64(cli_getopt(&verb, argc, argv), CLI_LONG_ONLY);
	CHECK_U64(cli_getopt(&verb, argc, argv), CLI_LONG_ONLY + 2);
	CHECK_STR(optarg, "x");
	CHECK(cli_getopt(&verb, argc, argv) == CLI_END);
	/* options behind the first argument are the argument's own */
	CHECK_STR(argv[optind], "rest");
}

TEST(refuses_what_is_not_in_the_table)
{
	check_refused("-x", "unknown option -x");
	check_refused("--unknown", "--unknown");
	check_refused("--flag=1", "--flag=1");
	check_refused("-n", "needs a value");
	check_refused("--number", "needs a value");
	check_refused("--later=1", "this version of retour has no --later");
	check_refused("argument", "unexpected argument 'argument'");
}

TEST(help_lists_every_option_but_reserved_ones)
{
	char text[2048];

	CHECK_U64(exit_status(2, ARGV("verb", "--help"), STDOUT_FILENO, text, sizeof(text)), CLI_OK);
	CHECK(strstr(text, "usage: retour verb [-n N] [--flag]\n"));
	CHECK(strstr(text, "  -n, --number N  "));
	CHECK(strstr(text, "      --flag  "));
	CHECK(strstr(text, "      --shared S  "));
	CHECK(strstr(text, "  -h, --help  "));
	CHECK(!strstr(text, "later"));
}

static void check_number_refused(const char *number)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		close(STDERR_FILENO);
		cli_number(&verb, "-n", number, 1, 20000);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	CHECK(WIFEXITED(status));
	CHECK_U64(WEXITSTATUS(status), CLI_BAD_USAGE);
}

TEST(numbers_stay_within_their_bounds)
{
	static const char *const bad[] = { "", "0", "-1", "+1", " 1", "1x", "x", "20001", "1e3", "0x10",
					   "18446744073709551617", "99999999999999999999999" };

	CHECK_U64(cli_number(&verb, "-n", "20000", 1, 20000), 20000);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		check_number_refused(bad[i]);
}

TEST(seconds_may_have_a_fraction)
{
	CHECK(cli_seconds(&verb, "-s", "0.25") == 0.25);
	CHECK(cli_seconds(&verb, "-s", ".5") == 0.5);
	CHECK(cli_seconds(&verb, "-s", "10") == 10);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

/* SPDX-License-Identifier: MIT */
/* Who may come to a recorder's socket, and what becomes of whom there is no room for. */
#include "test.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "collect/agent_server.h"

#define NOBODY 65534

static struct agent_server server;

static void open_server(void)
{
	CHECK(!agent_server_open(&server));
}

static int connect_to_server(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strcpy(address.sun_path, server.path);
	return fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof(address)) ? fd : -1;
}

/* Stays until it is hung up on. */
static void be_a_program(void)
{
	int fd = connect_to_server();
	char byte;

	_exit(fd < 0 || recv(fd, &byte, 1, 0) != 0);
}

static int accept_next(uint32_t *pid)
{
	struct pollfd ready = { server.fd, POLLIN, 0 };

	CHECK(poll(&ready, 1, 30000) == 1);
	return agent_server_accept(&server, pid);
}

static void check_end(pid_t child)
{
	int status;

	CHECK(waitpid(child, &status, 0) == child && !status);
}

TEST(own_programs)
{
	uint32_t pid;
	pid_t child;
	int fd;

	open_server();
	child = fork();
	if (!child)
		be_a_program();
	fd = accept_next(&pid);
	CHECK(fd >= 0 && pid == (uint32_t)child);
	CHECK(agent_server_accept(&server, &pid) == -EAGAIN);
	close(fd);
	check_end(child);
	agent_server_close(&server);
	CHECK(access(server.path, F_OK));
}

static void need_root(void)
{
	if (geteuid())
		SKIP("needs root");
}

static void become_nobody(void)
{
	CHECK(!setgid(NOBODY) && !setuid(NOBODY));
}

/* A command of root's that has become another user. */
TEST(commands_that_change_their_user)
{
	uint32_t pid;
	pid_t child;
	int fd;

	need_root();
	open_server();
	child = fork();
	if (!child) {
		become_nobody();
		be_a_program();
	}
	fd = accept_next(&pid);
	CHECK(fd >= 0 && pid == (uint32_t)child);
	close(fd);
	check_end(child);
	agent_server_close(&server);
}

/* As one that has found the way by itself: its parent is gone. */
static void be_an_orphan(int said)
{
	pid_t parent = getpid(), orphan = fork();

	if (orphan)
		_exit(0);
	while (getppid() == parent)
		usleep(1000);
	become_nobody();
	orphan = connect_to_server() >= 0 ? getpid() : -1;
	CHECK(write(said, &orphan, sizeof(orphan)) == sizeof(orphan));
	pause();
}

TEST(other_users)
{
	pid_t child, orphan;
	uint32_t pid;
	int said[2];

	need_root();
	open_server();
	CHECK(!pipe(said));
	child = fork();
	if (!child)
		be_an_orphan(said[1]);
	check_end(child);
	CHECK(read(said[0], &orphan, sizeof(orphan)) == sizeof(orphan) && orphan > 0);
	CHECK(accept_next(&pid) == -EPERM);
	kill(orphan, SIGKILL);
	agent_server_close(&server);
}

/* They need not wait until there is a descriptor. */
TEST(no_descriptor_left)
{
	struct rlimit limit;
	uint32_t pid;
	pid_t children[3];
	int fd;

	open_server();
	for (int i = 0; i < 3; i++) {
		children[i] = fork();
		if (!children[i])
			be_a_program();
	}
	CHECK(!getrlimit(RLIMIT_NOFILE, &limit));
	limit.rlim_cur = (rlim_t)server.spare + 1;
	CHECK(!setrlimit(RLIMIT_NOFILE, &limit));
	while ((fd = open("/dev/null", O_RDONLY)) >= 0)
		;
	for (int i = 0; i < 3; i++)
		CHECK(accept_next(&pid) == -EMFILE);
	CHECK(agent_server_accept(&server, &pid) == -EAGAIN);
	for (int i = 0; i < 3; i++)
		check_end(children[i]);
	agent_server_close(&server);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

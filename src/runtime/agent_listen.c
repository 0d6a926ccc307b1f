/* SPDX-License-Identifier: MIT */
/*
 * The thread to which recorders attach; see agent_listen.h.
 *
 * It has a table of descriptors of its own.  So the program never meets one of
 * them, not even as a gap in its numbers, and cannot close one; and what the
 * program has open is not kept open here.  It handles no signals.
 */
#include "runtime/agent_listen.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "runtime/agent.h"
#include "runtime/agent_confine.h"
#include "runtime/agent_socket.h"
#include "runtime/recording.h"

enum {
	STACK = 256 << 10,
	LOOK_MS = 100,		/* between looks at threads and session pages, while there is a recording */
};

static bool wanted;

/* Whoever made the directory: it must be ours alone. */
static bool directory_is_ours(const char *path)
{
	struct stat st;

	if (mkdir(path, 0700) && errno != EEXIST)
		return false;
	return !lstat(path, &st) && S_ISDIR(st.st_mode) && st.st_uid == geteuid() && !(st.st_mode & 077);
}

/* A socket that listens, or -1. */
static int open_listener(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char directory[sizeof(address.sun_path)];
	int fd;

	snprintf(directory, sizeof(directory), AGENT_DIRECTORY, geteuid());
	snprintf(address.sun_path, sizeof(address.sun_path), AGENT_SOCKET, geteuid(), sys_getpid());
	if (!directory_is_ours(directory))
		return -1;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	/* That of an earlier process with our id. */
	unlink(address.sun_path);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) || chmod(address.sun_path, 0600) || listen(fd, 8)) {
		close(fd);
		return -1;
	}
	return fd;
}

/* A recorder's connection: its hanging up ends the recording. */
struct client {
	int fd;
	struct recording *recording;
};

struct clients {
	unsigned int n;
	struct client client[SAMPLERS];
};

static void welcome(int fd, struct clients *clients)
{
	struct timeval patience = { .tv_sec = 2 };
	struct client client = { .fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC) };
	struct agent_message full = { .kind = AGENT_REFUSED, .error = EBUSY };
	pid_t recorder;
	int err = -EPERM;

	if (client.fd < 0)
		return;
	setsockopt(client.fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
	setsockopt(client.fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
	if (agent_peer_is_trusted(client.fd, &recorder)) {
		if (clients->n < SAMPLERS)
			err = agent_serve(client.fd, recorder, &client.recording);
		else
			agent_send(client.fd, &full, -1);
	}
	if (err)
		close(client.fd);
	else
		clients->client[clients->n++] = client;
}

static void leave(struct clients *clients, const struct recording *recording)
{
	for (unsigned int i = clients->n; i--;)
		if (clients->client[i].recording == recording) {
			close(clients->client[i].fd);
			clients->client[i] = clients->client[--clients->n];
		}
}

static void end(struct clients *clients, struct recording *recording)
{
	leave(clients, recording);
	agent_end(recording);
}

/* Nothing more is to come from a recorder that has its rings but its hanging up. */
static void wait_for_recorders(int fd, struct clients *clients, int timeout)
{
	struct pollfd polled[1 + SAMPLERS] = { { fd, POLLIN, 0 } };
	unsigned int n = clients->n;

	for (unsigned int i = 0; i < n; i++)
		polled[1 + i] = (struct pollfd){ clients->client[i].fd, POLLIN, 0 };
	if (poll(polled, 1 + n, timeout) <= 0)
		return;
	for (unsigned int i = n; i--;)
		if (polled[1 + i].revents)
			end(clients, clients->client[i].recording);
	if (polled[0].revents)
		welcome(fd, clients);
}

static void *listen_for_recorders(void *arg)
{
	struct clients clients = { .n = 0 };
	struct recording *over;
	bool records = true;
	int fd;

	__atomic_store_n(&agent_thread, sys_gettid(), __ATOMIC_RELAXED);
	retour_agent_thread_end();
	pthread_setname_np(pthread_self(), "retour-agent");
	if (unshare(CLONE_FILES) || sys_call(SYS_close_range, 0, ~0u, 0, 0, 0, 0))
		return NULL;
	fd = open_listener();
	while (fd >= 0 || records) {
		wait_for_recorders(fd, &clients, records ? LOOK_MS : -1);
		if (confined_all())
			break;
		while ((over = agent_find_over()))
			end(&clients, over);
		records = agent_update_threads();
	}
	return NULL;
}

static void start_thread(void)
{
	pthread_attr_t attr;
	sigset_t all, saved;
	pthread_t thread;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &saved);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &attr, listen_for_recorders, NULL);
	pthread_attr_destroy(&attr);
	pthread_sigmask(SIG_SETMASK, &saved, NULL);
}

static void start_again(void)
{
	agent_thread = 0;
	if (!confined_here())
		start_thread();
}

void agent_listen(void)
{
	if (__atomic_exchange_n(&wanted, true, __ATOMIC_RELAXED))
		return;
	/* After the agent's own handler, which has the lock. */
	agent_prepare_forks();
	pthread_atfork(NULL, NULL, start_again);
	start_thread();
}

/* Not by a child that was made without our knowing: it has another id. */
__attribute__((destructor)) static void remove_socket(void)
{
	char path[128];

	if (!__atomic_load_n(&agent_thread, __ATOMIC_RELAXED) || confined_here())
		return;
	snprintf(path, sizeof(path), AGENT_SOCKET, geteuid(), sys_getpid());
	unlink(path);
}

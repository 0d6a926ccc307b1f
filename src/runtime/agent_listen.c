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
#include <sys/socket.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "runtime/agent.h"
#include "runtime/agent_listener.h"
#include "runtime/agent_confine.h"
#include "runtime/agent_socket.h"
#include "runtime/recording.h"

enum {
	STACK = 256 << 10,
	CHILD_MS = 100,		/* before a child can be attached to */
	LOOK_MS = 100,		/* between looks at threads and session pages, while there is a recording */
};

static bool wanted;

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
	struct client client = { .fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC) };
	struct agent_message full = { .kind = AGENT_REFUSED, .error = EBUSY };
	int err = -EPERM;

	if (client.fd < 0)
		return;
	agent_set_patience(client.fd);
	if (agent_listener_trusts(client.fd)) {
		if (clients->n < SAMPLERS)
			err = agent_serve(client.fd, &client.recording);
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
	struct agent_listener listener = { .fd = -1, .user = -1 };
	sigset_t saved;
	struct clients clients = { .n = 0 };
	struct recording *over;
	bool records = true;

	__atomic_store_n(&agent_thread, sys_gettid(), __ATOMIC_RELAXED);
	/* The preloaded pthread_create() has let the sampler's through. */
	sys_block_signals(&saved);
	retour_agent_thread_end();
	pthread_setname_np(pthread_self(), "retour-agent");
	/* Most children run another program, or end, before that. */
	if (arg)
		poll(NULL, 0, CHILD_MS);
	/* In one step: what the program closes meanwhile would not be closed. */
	if (sys_call(SYS_close_range, 0, ~0u, CLOSE_RANGE_UNSHARE, 0, 0, 0))
		return NULL;
	agent_keep_tasks();
	agent_listener_follow(&listener);
	while (listener.fd >= 0 || records) {
		/* Threads that change the user interrupt each other. */
		wait_for_recorders(listener.fd, &clients, records ? LOOK_MS : -1);
		agent_listener_follow(&listener);
		if (confined_all())
			break;
		while ((over = agent_find_over()))
			end(&clients, over);
		records = agent_update_threads();
	}
	return NULL;
}

static void start_thread(bool in_child)
{
	pthread_attr_t attr;
	sigset_t saved;
	pthread_t thread;

	sys_block_signals(&saved);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_create(&thread, &attr, listen_for_recorders, in_child ? &wanted : NULL);
	pthread_attr_destroy(&attr);
	sys_restore_signals(&saved);
}

static void start_again(void)
{
	agent_thread = 0;
	if (!confined_here())
		start_thread(true);
}

void agent_listen(void)
{
	if (__atomic_exchange_n(&wanted, true, __ATOMIC_RELAXED))
		return;
	/* After the agent's own handler, which has the lock. */
	agent_prepare_forks();
	pthread_atfork(NULL, NULL, start_again);
	start_thread(false);
}

/* Not by a child that was made without our knowing: it has another id. */
__attribute__((destructor)) static void remove_socket(void)
{
	if (__atomic_load_n(&agent_thread, __ATOMIC_RELAXED) && !confined_here())
		agent_listener_remove();
}

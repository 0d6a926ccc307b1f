/* SPDX-License-Identifier: MIT */
/* The recordings of this process; see agent.h. */
#include "runtime/agent.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "rcu/sys.h"
#include "runtime/agent_maps.h"
#include "runtime/agent_socket.h"

/* Of the list, of what it holds, and of the reading of mappings.  Held over a fork; blocks signals, as a handler might fork. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct recording *recordings;
static sigset_t fork_saved;
static pid_t fork_parent;

static void agent_lock(sigset_t *saved)
{
	sigset_t all;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, saved);
	pthread_mutex_lock(&lock);
}

static void agent_unlock(const sigset_t *saved)
{
	pthread_mutex_unlock(&lock);
	pthread_sigmask(SIG_SETMASK, saved, NULL);
}

static bool is_idle(void)
{
	return !__atomic_load_n(&recordings, __ATOMIC_RELAXED);
}

/* ---- threads ----------------------------------------------------------------- */

static void write_name(struct recording *recording, bool is_exec)
{
	char name[16] = "";

	prctl(PR_GET_NAME, name);
	agent_write_comm(recording, sys_gettid(), name, is_exec);
}

void retour_agent_thread_begin(bool seen_blocked)
{
	int saved_errno = errno;
	sigset_t saved;

	if (!sampler_signal())
		return;
	sampler_admit(seen_blocked);
	agent_lock(&saved);
	for (struct recording *r = recordings; r; r = r->next) {
		write_name(r, false);
		sampler_arm(&r->sampler, sys_gettid());
	}
	agent_unlock(&saved);
	errno = saved_errno;
}

void retour_agent_thread_end(void)
{
	int saved_errno = errno;
	sigset_t saved;

	if (is_idle())
		return;
	agent_lock(&saved);
	for (struct recording *r = recordings; r; r = r->next) {
		sampler_disarm(&r->sampler, sys_gettid());
		agent_write_exit(r);
	}
	agent_unlock(&saved);
	errno = saved_errno;
}

void retour_agent_thread_named(void)
{
	int saved_errno = errno;
	sigset_t saved;

	if (is_idle())
		return;
	agent_lock(&saved);
	for (struct recording *r = recordings; r; r = r->next)
		write_name(r, false);
	agent_unlock(&saved);
	errno = saved_errno;
}

/* Threads that were there before the recording. */
static void take_in_threads(struct recording *recording)
{
	DIR *tasks = opendir("/proc/self/task");
	struct dirent *entry;

	while (tasks && (entry = readdir(tasks))) {
		char path[64], name[17] = "";
		pid_t tid = atoi(entry->d_name);
		int fd;

		snprintf(path, sizeof(path), "/proc/self/task/%d/comm", tid);
		fd = tid > 0 ? open(path, O_RDONLY | O_CLOEXEC) : -1;
		if (fd < 0)
			continue;
		if (read(fd, name, sizeof(name) - 1) > 0)
			name[strcspn(name, "\n")] = '\0';
		close(fd);
		agent_write_comm(recording, tid, name, tid == agent_pid());
		sampler_arm(&recording->sampler, tid);
	}
	if (tasks)
		closedir(tasks);
}

/* ---- mappings ------------------------------------------------------------------ */

static void write_mapping(const struct agent_mapping *mapping, bool is_new, void *arg)
{
	agent_write_mapping(arg, mapping);
}

static void write_new_mapping(const struct agent_mapping *mapping, bool is_new, void *arg)
{
	for (struct recording *r = recordings; is_new && r; r = r->next)
		agent_write_mapping(r, mapping);
}

void retour_agent_objects_changed(void)
{
	int saved_errno = errno;
	sigset_t saved;

	if (is_idle())
		return;
	agent_lock(&saved);
	agent_maps_read(write_new_mapping, NULL);
	agent_unlock(&saved);
	errno = saved_errno;
}

/* ---- the program's view of the signal -------------------------------------------- */

int retour_agent_signal(void)
{
	return sampler_signal();
}

bool retour_agent_seen_blocked(void)
{
	return sampler_seen_blocked();
}

void retour_agent_sigaction(const struct sigaction *action, struct sigaction *old)
{
	sampler_program_action(action, old);
}

void retour_agent_sigmask(int how, const sigset_t *set, sigset_t *old)
{
	sampler_program_mask(how, set, old);
}

/* ---- forks -------------------------------------------------------------------------- */

static void before_fork(void)
{
	sigset_t saved;

	agent_lock(&saved);
	fork_saved = saved;
	fork_parent = agent_pid();
}

static void after_fork_parent(void)
{
	sigset_t saved = fork_saved;

	agent_unlock(&saved);
}

static void after_fork_child(void)
{
	sigset_t saved = fork_saved;

	agent_forget_pid();
	for (struct recording *r = recordings; r; r = r->next) {
		sampler_after_fork(&r->sampler);
		agent_write_fork(r, fork_parent);
		sampler_arm(&r->sampler, sys_gettid());
	}
	agent_unlock(&saved);
}

static void prepare_forks(void)
{
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

/* ---- recorders -------------------------------------------------------------------- */

/* Publishes the recording with all there is to say of the process now. */
static void begin(struct recording *recording)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	sigset_t saved;

	/* After the rings' own handlers, which know the thread's id anew. */
	pthread_once(&once, prepare_forks);
	agent_lock(&saved);
	recording->next = recordings;
	__atomic_store_n(&recordings, recording, __ATOMIC_RELAXED);
	take_in_threads(recording);
	agent_maps_read(write_mapping, recording);
	agent_unlock(&saved);
}

static int answer_session(int fd, const struct agent_message *message, int page, pid_t recorder)
{
	struct agent_message answer = { .kind = AGENT_RINGS };
	struct recording *recording;
	int err = page < 0 ? -EINVAL : recording_open(&message->session, page, recorder, &recording), rings;

	if (err) {
		answer.kind = AGENT_REFUSED;
		answer.error = -err;
		agent_send(fd, &answer, -1);
		return err;
	}
	rings = retour_ring_take_fd(recording->ring);
	begin(recording);
	err = agent_send(fd, &answer, rings);
	close(rings);
	return err;
}

int agent_serve(int fd, pid_t recorder)
{
	struct agent_message message;
	int err = agent_send_hello(fd), page;

	if (!err)
		err = agent_receive(fd, &message, &page);
	if (err)
		return err;
	if (message.kind == AGENT_SESSION)
		err = answer_session(fd, &message, page, recorder);
	else
		err = message.kind == AGENT_QUIT ? -ECANCELED : -EPROTO;
	if (page >= 0)
		close(page);
	return err;
}

/* ---- start ---------------------------------------------------------------------------- */

/* A recorder that hangs does not hang the program. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = 5 };
	int fd, err = 0;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience)) ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) ||
	    connect(fd, (struct sockaddr *)&address, sizeof(address))) {
		err = -errno;
		close(fd);
	}
	return err ? err : fd;
}

/* The program runs on whatever happens here. */
__attribute__((constructor(104))) static void start(void)
{
	const char *path = getenv(AGENT_ENVIRONMENT);
	int saved_errno = errno, fd;
	pid_t recorder;

	fd = path && *path == '/' ? connect_to(path) : -1;
	if (fd >= 0) {
		if (agent_peer_is_trusted(fd, &recorder) && !agent_serve(fd, recorder))
			sampler_admit(false);
		close(fd);
	}
	errno = saved_errno;
}

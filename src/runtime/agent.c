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
#include <unistd.h>

#include "base/unsampled.h"
#include "base/clock.h"
#include "rcu/sys.h"
#include "runtime/agent_confine.h"
#include "runtime/agent_maps.h"
#include "runtime/agent_socket.h"
#include "runtime/ring_layout.h"
#include "runtime/ring_owner.h"
#include "runtime/trace_record.h"

/* Of the list, of what it holds, and of the reading of mappings.  Held over a fork; blocks signals, as a handler might fork. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct recording *recordings;
pid_t agent_thread;
static int tasks_kept = -1;
static unsigned int n_confining;	/* threads that install filters now */
static sigset_t fork_saved;
static pid_t fork_parent;

static void agent_lock(sigset_t *saved)
{
	sys_block_signals(saved);
	pthread_mutex_lock(&lock);
}

static void agent_unlock(const sigset_t *saved)
{
	pthread_mutex_unlock(&lock);
	sys_restore_signals(saved);
}

/*
 * While locked: those that are neither starting nor stopping, and of those the ones whose recorders want to
 * know.  Recordings are in the list before they start and until they have stopped, so that children
 * of forks in between find them.
 */
#define each_open(r)                                                           \
	for (struct recording *r = recordings; r; r = r->next)                 \
		if (!r->changing)
#define each_wanted(r) each_open(r) if (!recording_is_over(r))

static bool is_idle(void)
{
	return !__atomic_load_n(&recordings, __ATOMIC_RELAXED);
}

/* ---- threads ----------------------------------------------------------------- */

static void write_name(struct recording *recording, bool is_exec)
{
	char name[16] = "";

	/* prctl() may be the preloaded one, which asks the loader; who has its lock may be waiting for ours. */
	sys_call(SYS_prctl, PR_GET_NAME, (long)name, 0, 0, 0, 0);
	agent_write_comm(recording, sys_gettid(), name, is_exec);
}

/* 0, or -errno and that is told. */
static int arm(struct recording *recording, pid_t tid, bool confined)
{
	int err = confined ? 0 : sampler_arm(&recording->sampler, tid);

	if (confined) {
		sampler_leave_out(&recording->sampler, tid);
		agent_write_unsampled(recording, tid, UNSAMPLED_SECCOMP, 1);
	}
	/* -EINVAL: it has ended. */
	if (err && err != -EINVAL)
		agent_write_unsampled(recording, tid, err == -EBUSY ? UNSAMPLED_SIGNAL_USED : UNSAMPLED_NO_TIMERS, 1);
	return err;
}

/* A program may outlive its recorder by years, and need not have a thread that listens. */
static void end_what_is_over(void)
{
	struct recording *over;

	while (!is_idle() && !confined_here() && !__atomic_load_n(&agent_thread, __ATOMIC_RELAXED) &&
	       (over = agent_find_over()))
		agent_end(over);
}

void retour_agent_thread_begin(bool seen_blocked, bool confined)
{
	int saved_errno = errno;
	sigset_t saved;

	if (confined)
		confine(false, true);
	if (!sampler_signal())
		return;
	sampler_admit(seen_blocked);
	end_what_is_over();
	agent_lock(&saved);
	each_wanted(r) {
		/* Whoever had the number before has not said that it ended. */
		sampler_disarm(&r->sampler, sys_gettid());
		/* A new thread has its maker's name. */
		if (!confined_here())
			write_name(r, false);
		arm(r, sys_gettid(), confined_here());
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
	each_open(r) {
		sampler_disarm(&r->sampler, sys_gettid());
		agent_write_exit(r, sys_gettid());
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
	each_wanted(r)
		write_name(r, false);
	agent_unlock(&saved);
	errno = saved_errno;
}

/* In the one of another PID namespace threads have other numbers. */
static bool has_own_proc(void)
{
	char self[16] = "";

	sys_call(SYS_readlinkat, AT_FDCWD, (long)"/proc/self", (long)self, sizeof(self) - 1, 0, 0);
	return atoi(self) == agent_pid();
}

/*
 * The threads in /proc, or -errno.  The agent's thread has them open, in its own table of descriptors: there
 * may be no /proc any more in the root that the process has now.
 */
static long open_tasks(void)
{
	bool kept = tasks_kept >= 0 && sys_gettid() == __atomic_load_n(&agent_thread, __ATOMIC_RELAXED);

	if (!kept && !has_own_proc())
		return -ENOENT;
	return sys_call(SYS_openat, kept ? tasks_kept : AT_FDCWD, (long)(kept ? "." : "/proc/self/task"),
			O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0, 0, 0);
}

void agent_keep_tasks(void)
{
	tasks_kept = -1;
	tasks_kept = (int)open_tasks();
}

static void read_name(int tasks, pid_t tid, char name[17])
{
	char path[32];
	ssize_t n = 0;
	int fd;

	if (tid == sys_gettid()) {	/* needs no /proc */
		name[16] = '\0';
		prctl(PR_GET_NAME, name);
		return;
	}
	snprintf(path, sizeof(path), "%d/comm", tid);
	fd = openat(tasks, path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, name, 16);
		close(fd);
	}
	name[n > 0 ? n : 0] = '\0';
	name[strcspn(name, "\n")] = '\0';
}

/* A thread that is not armed, be it that it was there before the recording or that nobody told us. */
static int take_in(struct recording *recording, int tasks, pid_t tid)
{
	char name[17];

	if (tid <= 0 || tid == __atomic_load_n(&agent_thread, __ATOMIC_RELAXED) || sampler_has(&recording->sampler, tid))
		return 0;
	/* It is found at the next look, and what has become of it. */
	if (__atomic_load_n(&n_confining, __ATOMIC_RELAXED))
		return 0;
	read_name(tasks, tid, name);
	agent_write_comm(recording, tid, name, false);
	return arm(recording, tid, confined_thread(tid));
}

/* Without /proc it is the one that starts the program; the agent's knows no others. */
static int take_in_first(struct recording *recording)
{
	return sys_gettid() == agent_pid() ? take_in(recording, -1, sys_gettid()) : -ENOENT;
}

/*
 * All threads.  Without opendir(), which allocates: who forks may hold the allocator's
 * locks and wait for ours.
 */
static int take_in_threads(struct recording *recording)
{
	struct dirent64 entries[16];
	long fd = open_tasks(), n;
	int err = 0;

	while (fd >= 0 && (n = sys_call(SYS_getdents64, fd, (long)entries, sizeof(entries), 0, 0, 0)) > 0)
		for (char *at = (char *)entries; at < (char *)entries + n; at += ((struct dirent64 *)at)->d_reclen) {
			int failed = take_in(recording, (int)fd, atoi(((struct dirent64 *)at)->d_name));

			if (failed)
				err = failed;
		}
	if (fd >= 0)
		sys_call(SYS_close, fd, 0, 0, 0, 0, 0);
	else if (recording->sampler.n_clocks)
		err = take_in_first(recording);
	/* Threads end, but if there is none at all clocks cannot be had. */
	return !err || sampler_runs(&recording->sampler) ? 0 : err;
}

static bool has_ended(pid_t tid, void *recording)
{
	if (sys_call(SYS_tgkill, agent_pid(), tid, 0, 0, 0, 0) != -ESRCH)
		return false;
	agent_write_exit(recording, tid);
	return true;
}

bool agent_update_threads(void)
{
	sigset_t saved;
	bool any;

	agent_lock(&saved);
	each_open(r) {
		sampler_disarm_if(&r->sampler, has_ended, r);
		take_in_threads(r);
	}
	any = recordings != NULL;
	agent_unlock(&saved);
	return any;
}

/* ---- seccomp --------------------------------------------------------------------- */

/* What a thread does in sections of the recordings is over, too, when it comes here. */
static void leave_out_here(void)
{
	each_open(r)
		arm(r, sys_gettid(), true);
}

static bool leave_out_one(pid_t tid, void *recording)
{
	agent_write_unsampled(recording, tid, UNSAMPLED_SECCOMP, 1);
	return true;
}

/* Handlers and walks of other threads are waited for as the recordings end. */
static void leave_out_all(void)
{
	struct recording *last;

	do {
		sigset_t saved;

		last = NULL;
		agent_lock(&saved);
		each_open(r) {
			sampler_disarm_if(&r->sampler, leave_out_one, r);
			last = r;
		}
		agent_unlock(&saved);
		if (last)
			agent_end(last);
	} while (last);
}

bool retour_agent_confine(bool all)
{
	int saved_errno = errno;
	sigset_t saved;

	if ((all ? confined_all() : confined_here()) || !retour_agent_is_here())
		return false;
	confine_children(true);
	agent_lock(&saved);
	confine(all, true);
	__atomic_fetch_add(&n_confining, 1, __ATOMIC_RELAXED);
	if (!all)
		leave_out_here();
	agent_unlock(&saved);
	if (all)
		leave_out_all();
	if (sampler_signal())
		sampler_drop_pending();
	errno = saved_errno;
	return true;
}

/* Of recordings that have ended threads cannot be part again. */
static void take_back(bool all)
{
	int saved_errno = errno;
	pid_t tid = sys_gettid();
	sigset_t saved;

	confine_children(false);
	agent_lock(&saved);
	confine(all, false);
	each_open(r) {
		sampler_disarm(&r->sampler, tid);
		agent_write_unsampled(r, tid, UNSAMPLED_SECCOMP, -1);
		arm(r, tid, false);
	}
	agent_unlock(&saved);
	errno = saved_errno;
}

void retour_agent_confined(bool all, bool failed)
{
	if (failed)
		take_back(all);
	__atomic_fetch_sub(&n_confining, 1, __ATOMIC_RELAXED);
}

bool retour_agent_is_confined(void)
{
	return confined_here();
}

/* ---- mappings ------------------------------------------------------------------ */

static void write_mapping(const struct agent_mapping *mapping, bool is_new, void *arg)
{
	agent_write_mapping(arg, mapping);
}

static void write_new_mapping(const struct agent_mapping *mapping, bool is_new, void *arg)
{
	each_wanted(r)
		if (is_new)
			agent_write_mapping(r, mapping);
}

void retour_agent_objects_changed(void)
{
	int saved_errno = errno;
	sigset_t saved;

	if (is_idle() || confined_here())
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

bool retour_agent_is_here(void)
{
	/* A filter may not let us ask. */
	return confined_here() || sys_getpid() == agent_pid();
}

void retour_agent_give_back(void)
{
	int saved_errno = errno;
	sigset_t saved;

	agent_lock(&saved);
	each_open(r)
		sampler_disarm(&r->sampler, sys_gettid());
	agent_unlock(&saved);
	sampler_give_back();
	errno = saved_errno;
}

bool retour_agent_has_given_back(void)
{
	return sampler_has_given_back();
}

bool retour_agent_stop_clock_of(const siginfo_t *info)
{
	return sampler_stop_clock_of(info);
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
		r->forsaken = r->changing;
		r->changing = false;
		sampler_after_fork(&r->sampler);
		if (recording_is_over(r))
			continue;
		agent_write_fork(r, fork_parent);
		arm(r, sys_gettid(), confined_here());
	}
	agent_unlock(&saved);
}

static void prepare_forks(void)
{
	/* Rings know the thread's id anew before we write. */
	owner_prepare();
	confine_look();
	pthread_atfork(before_fork, after_fork_parent, after_fork_child);
}

void agent_prepare_forks(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;

	pthread_once(&once, prepare_forks);
}

/* ---- recorders -------------------------------------------------------------------- */

/* It begins with nothing mapped, and is sampled where that has been told. */
static void write_program(struct recording *recording)
{
	int tasks = (int)open_tasks();
	char name[17];

	read_name(tasks, agent_pid(), name);
	if (tasks >= 0)
		close(tasks);
	agent_write_comm(recording, agent_pid(), name, true);
	agent_maps_read(write_mapping, recording);
}

/* Starts it, with all there is to say of the process now. */
static int begin(struct recording *recording)
{
	sigset_t saved;
	int err;

	agent_prepare_forks();
	recording->changing = true;
	agent_lock(&saved);
	recording->next = recordings;
	__atomic_store_n(&recordings, recording, __ATOMIC_RELAXED);
	agent_unlock(&saved);
	err = recording_start(recording);
	agent_lock(&saved);
	recording->changing = false;
	if (!err) {
		write_program(recording);
		err = take_in_threads(recording);
	}
	agent_unlock(&saved);
	return err;
}

/* Of those that are open. */
static struct recording *find_open(const struct recording *recording)
{
	each_open(r)
		if (r == recording)
			return r;
	return NULL;
}

static void take_from_list(const struct recording *recording)
{
	struct recording **at = &recordings;
	sigset_t saved;

	agent_lock(&saved);
	while (*at != recording)
		at = &(*at)->next;
	__atomic_store_n(at, recording->next, __ATOMIC_RELAXED);
	agent_unlock(&saved);
}

void agent_end(struct recording *recording)
{
	sigset_t saved;
	bool is_open;

	agent_lock(&saved);
	is_open = find_open(recording);
	if (is_open)
		recording->changing = true;
	agent_unlock(&saved);
	if (!is_open)
		return;
	recording_stop(recording);
	take_from_list(recording);
	recording_destroy(recording);
}

/*
 * Who holds the lock has blocked signals, so it is another thread; waiting for it in a
 * handler could be for ever (it may be forking, and wait for the allocator's locks).
 */
static void abandon(struct recording *recording)
{
	if (pthread_mutex_trylock(&lock))
		return;
	if (find_open(recording)) {
		sampler_leave_out(&recording->sampler, sys_gettid());
		ring_empty(recording->ring);
	}
	pthread_mutex_unlock(&lock);
}

bool agent_has_tracepoints(void)
{
	bool has = false;
	sigset_t saved;

	agent_lock(&saved);
	each_open(r)
		has |= __atomic_load_n(&r->tracepoints, __ATOMIC_RELAXED) != NULL;
	agent_unlock(&saved);
	return has;
}

struct recording *agent_find_over(void)
{
	struct recording *over = NULL;
	sigset_t saved;

	agent_lock(&saved);
	each_open(r)
		if (recording_is_over(r))
			over = r;
	agent_unlock(&saved);
	return over;
}

/* The recording that a session asks for; *rings becomes the caller's descriptor. */
static int open_recording(const struct agent_session *wanted, int page, struct recording **ret, int *rings)
{
	int err = page < 0 ? -EINVAL : confined_all() ? -EPERM : recording_create(wanted, page, ret);

	if (err)
		return err;
	(*ret)->abandon = abandon;
	*rings = retour_ring_take_fd((*ret)->ring);
	err = begin(*ret);
	if (err) {
		agent_end(*ret);
		close(*rings);
	}
	return err;
}

static int answer_session(int fd, const struct agent_message *message, int page, struct recording **ret)
{
	struct agent_message answer = { .kind = AGENT_RINGS };
	int rings, err = open_recording(&message->session, page, ret, &rings);

	if (err) {
		answer.kind = AGENT_REFUSED;
		answer.error = -err;
		agent_send(fd, &answer, -1);
		return err;
	}
	err = agent_send(fd, &answer, rings);
	close(rings);
	if (err)
		agent_end(*ret);
	return err;
}

static int answer_list(int fd, uint64_t deadline)
{
	struct agent_message answer = { .kind = AGENT_TRACEPOINT };
	struct agent_tracepoint *list;
	unsigned int n = trace_record_list(&list);
	int err = 0;

	for (unsigned int i = 0; i < n && !err; i++) {
		answer.tracepoint = list[i];
		err = clock_monotonic_ns() < deadline ? agent_send(fd, &answer, -1) : -ETIMEDOUT;
	}
	free(list);
	answer.kind = AGENT_DONE;
	return err ? err : agent_send(fd, &answer, -1);
}

int agent_serve(int fd, struct recording **ret)
{
	uint64_t deadline = clock_monotonic_ns() + AGENT_PATIENCE * 1000000000ull;
	struct agent_message message;
	int err = agent_send_hello(fd), page;
	bool has_listed = false;

	while (!err) {
		err = agent_receive(fd, &message, &page);
		if (err)
			break;
		if (message.kind == AGENT_SESSION)
			err = answer_session(fd, &message, page, ret);
		else if (message.kind == AGENT_LIST && !has_listed)
			err = answer_list(fd, deadline);
		else
			err = message.kind == AGENT_QUIT ? -ECANCELED : -EPROTO;
		if (page >= 0)
			close(page);
		if (message.kind == AGENT_SESSION)
			break;
		has_listed = true;
	}
	return err;
}

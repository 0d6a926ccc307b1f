/* SPDX-License-Identifier: MIT */
/* How recorder and agent meet: by RETOUR_AGENT, as the program starts, or later where the agent listens. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"
#include "runtime/agent.h"
#include "runtime/agent_listen.h"
#include "runtime/agent_socket.h"
#include "runtime/sampler.h"
#include "runtime/static_key.h"
#include "runtime/tracepoint.h"

/* A recorder that hangs does not hang the program. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	uint64_t since = clock_monotonic_ns();
	int fd, err;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	strcpy(address.sun_path, path);
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	err = agent_set_patience(fd);
	while (!err && connect(fd, (struct sockaddr *)&address, sizeof(address)))
		err = agent_was_interrupted(since) ? 0 : -errno;
	if (err)
		close(fd);
	return err ? err : fd;
}

/*
 * Who was started by a recorder belongs to it, and needs no thread, but to switch its
 * tracepoints off when the recorder is gone.
 */
void retour_agent_offer(bool sampled)
{
	int saved_errno = errno;

	if (secure_getenv(AGENT_ENVIRONMENT) && !agent_has_tracepoints())
		return;
	if (sampled)
		sampler_take_signal();
	agent_listen();
	errno = saved_errno;
}

/* Those of libretour are in every process that uses it. */
static int is_of_program(const struct retour_tracepoint *tp, void *arg)
{
	return strcmp(tp->provider, "retour") != 0;
}

static void offer_tracepoints(void)
{
	if (retour_tracepoint_for_each(is_of_program, NULL))
		retour_agent_offer(false);
}

/*
 * Of two copies of the library in a process the names may all be those of the first one.  Then that is
 * who knows the tracepoints, and the agent.
 */
extern __typeof__(retour_agent_offer) own_offer __attribute__((alias("retour_agent_offer"), visibility("hidden")));

static bool is_used(void)
{
	return retour_agent_offer == own_offer;
}

/* The program runs on whatever happens here. */
__attribute__((constructor(104))) static void start(void)
{
	const char *path = secure_getenv(AGENT_ENVIRONMENT);
	int saved_errno = errno, fd;
	struct recording *recording;

	if (!is_used())
		return;
	fd = path && *path == '/' ? connect_to(path) : -1;
	if (fd >= 0) {
		if (agent_peer_is_trusted(fd) && !agent_serve(fd, &recording))
			sampler_admit(false);
		close(fd);
	}
	/* In static programs all there is has come before us. */
	object_came = offer_tracepoints;
	offer_tracepoints();
	errno = saved_errno;
}

/* SPDX-License-Identifier: MIT */
/* Packets between recorder and agent; see agent_packet.h. */
#include "collect/agent_packet.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(4 * sizeof(int))];		/* who sends more loses them */
};

size_t agent_packet_size(uint32_t kind)
{
	switch (kind) {
	case AGENT_HELLO:
	case AGENT_REFUSED:
		return offsetof(struct agent_message, version) + sizeof(uint32_t);
	case AGENT_SESSION:
		return offsetof(struct agent_message, session) + sizeof(struct agent_session);
	case AGENT_TRACEPOINT:
		return offsetof(struct agent_message, tracepoint) + sizeof(struct agent_tracepoint);
	case AGENT_LIST:
	case AGENT_QUIT:
	case AGENT_RINGS:
	case AGENT_DONE:
		return offsetof(struct agent_message, version);
	}
	return 0;
}

int agent_packet_send(int fd, struct agent_message *message, int passed)
{
	union control control = { 0 };
	struct iovec part = { message, agent_packet_size(message->kind) };
	struct msghdr packet = { .msg_iov = &part, .msg_iovlen = 1 };

	message->size = (uint32_t)part.iov_len;
	if (passed >= 0) {
		packet.msg_control = &control;
		packet.msg_controllen = CMSG_SPACE(sizeof(int));
		control.header = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
	}
	return sendmsg(fd, &packet, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* Keeps the first of the descriptors. */
static void take_descriptors(struct msghdr *packet, int *ret)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(packet); c; c = CMSG_NXTHDR(packet, c)) {
		size_t n = c->cmsg_len > CMSG_LEN(0) ? (c->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;

		for (size_t i = 0; c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + i * sizeof(fd), sizeof(fd));
			if (*ret < 0)
				*ret = fd;
			else
				close(fd);
		}
	}
}

int agent_packet_receive(int fd, struct agent_message *ret, int *passed)
{
	union control control;
	struct iovec part = { ret, sizeof(*ret) };
	struct msghdr packet = {
		.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control),
	};
	ssize_t n;

	memset(ret, 0, sizeof(*ret));
	*passed = -1;
	n = recvmsg(fd, &packet, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	take_descriptors(&packet, passed);
	if (!n)
		return -ECONNRESET;
	if (!(packet.msg_flags & MSG_TRUNC) && (size_t)n >= agent_packet_size(AGENT_DONE) && ret->size == (size_t)n &&
	    agent_packet_size(ret->kind) == (size_t)n)
		return 1;
	if (*passed >= 0)
		close(*passed);
	*passed = -1;
	return -EPROTO;
}

/* ---- descriptions of tracepoints --------------------------------------------- */

static bool is_name(const char *name, size_t room)
{
	size_t n = strnlen(name, room);

	if (!n || n == room || isdigit((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)name[i]) && name[i] != '_')
			return false;
	return true;
}

/* "const char *", "std::uint8_t", "my_array [4]"; what ends a field's line in a format is no part of it. */
static bool is_type(const char *type, size_t room)
{
	size_t n = strnlen(type, room);

	if (!n || n == room)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!isalnum((unsigned char)type[i]) && !strchr("_ *:<>,[]()&", type[i]))
			return false;
	return true;
}

bool agent_tracepoint_is_sane(const struct agent_tracepoint *tp)
{
	if (tp->n_fields > AGENT_MAX_FIELDS || !is_name(tp->provider, sizeof(tp->provider)) ||
	    !is_name(tp->name, sizeof(tp->name)))
		return false;
	for (uint32_t i = 0; i < tp->n_fields; i++) {
		const struct agent_field *f = &tp->fields[i];

		if (!is_name(f->name, sizeof(f->name)) || !is_type(f->type, sizeof(f->type)) || !f->size ||
		    f->size > 16 || f->offset < 8)
			return false;
	}
	return true;
}

/* SPDX-License-Identifier: MIT */
/* libdw on a stopped child; see libdw_chain.h. */
#include "libdw_chain.h"

static int no_debuginfo(Dwfl_Module *module, void **user, const char *name, Dwarf_Addr base, const char *file,
			const char *link, GElf_Word crc, char **ret)
{
	return -1;
}

static const Dwfl_Callbacks callbacks = {
	.find_elf = dwfl_linux_proc_find_elf,
	.find_debuginfo = no_debuginfo,
};

void libdw_close(struct libdw *l)
{
	if (l->dwfl)
		dwfl_end(l->dwfl);
	*l = (struct libdw){ 0 };
}

static bool attach(struct libdw *l, const struct traced *t, const struct snapshot *s)
{
	if (l->dwfl && l->maps == s->maps)
		return true;
	libdw_close(l);
	l->dwfl = dwfl_begin(&callbacks);
	l->maps = s->maps;
	return l->dwfl && !dwfl_linux_proc_report(l->dwfl, t->pid) && !dwfl_report_end(l->dwfl, NULL, NULL) &&
	       !dwfl_linux_proc_attach(l->dwfl, t->pid, true);
}

static int on_frame(Dwfl_Frame *frame, void *arg)
{
	struct replay_chain *chain = arg;
	Dwarf_Addr pc;
	bool exact;

	if (!dwfl_frame_pc(frame, &pc, &exact) || chain->n == REPLAY_FRAMES)
		return DWARF_CB_ABORT;
	chain->ips[chain->n++] = pc;
	chain->at = pc - !exact;
	return DWARF_CB_OK;
}

bool libdw_chain(struct libdw *l, const struct traced *t, const struct snapshot *s, struct replay_chain *ret,
		 const char **error)
{
	int result;

	ret->n = 0;
	if (!attach(l, t, s))
		return false;
	result = dwfl_getthread_frames(l->dwfl, t->pid, on_frame, ret);
	ret->complete = !result;
	*error = result ? dwfl_errmsg(-1) : NULL;
	return true;
}

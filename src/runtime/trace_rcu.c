/* SPDX-License-Identifier: MIT */
/*
 * RCU's hook points fire tracepoints.  RCU knows nothing of them, as its folder
 * is below this one.
 */
#include "retour/trace_rcu.h"

#define HOOK(event, type)                                                      \
	static void on_##event(const struct retour_rcu_domain *domain, unsigned long arg) \
	{                                                                      \
		trace_retour_rcu_##event(domain->name, (type)arg);              \
	}

HOOK(reader_claim, int)
HOOK(gp_start, unsigned long)
HOOK(gp_membarrier, unsigned long)
HOOK(gp_wait, int)
HOOK(gp_end, unsigned long)
HOOK(qs_report, int)
HOOK(call, struct retour_rcu_head *)
HOOK(invoke, struct retour_rcu_head *)

static const retour_rcu_hook_fn hooks[RETOUR_RCU_EVENTS] = {
	[RETOUR_RCU_EVENT_READER_CLAIM] = on_reader_claim,
	[RETOUR_RCU_EVENT_GP_START] = on_gp_start,
	[RETOUR_RCU_EVENT_GP_MEMBARRIER] = on_gp_membarrier,
	[RETOUR_RCU_EVENT_GP_WAIT] = on_gp_wait,
	[RETOUR_RCU_EVENT_GP_END] = on_gp_end,
	[RETOUR_RCU_EVENT_QS_REPORT] = on_qs_report,
	[RETOUR_RCU_EVENT_CALL] = on_call,
	[RETOUR_RCU_EVENT_INVOKE] = on_invoke,
};

__attribute__((constructor(103))) static void fill_hooks(void)
{
	for (int i = 0; i < RETOUR_RCU_EVENTS; i++)
		if (hooks[i])
			retour_rcu_set_hook(i, hooks[i]);
}

/* SPDX-License-Identifier: MIT */
/* A program written for liburcu, on the migration header. */
#include "retour/urcu-memb.h"
#include "unit/test.h"

struct item {
	int value;
	struct rcu_head head;
};

static struct item *current;
static int freed;

static void free_item(struct rcu_head *head)
{
	free((char *)head - offsetof(struct item, head));
	freed++;
}

static struct item *new_item(int value)
{
	struct item *item = calloc(1, sizeof(*item));

	item->value = value;
	return item;
}

TEST(a_program_for_liburcu_works)
{
	struct urcu_gp_poll_state state;
	struct item *old;

	rcu_init();
	rcu_register_thread();
	rcu_assign_pointer(current, new_item(1));
	rcu_read_lock();
	CHECK(rcu_read_ongoing() && rcu_dereference(current)->value == 1);
	rcu_read_unlock();
	old = rcu_xchg_pointer(&current, new_item(2));
	CHECK(old->value == 1 && rcu_dereference(current)->value == 2);
	call_rcu(&old->head, free_item);
	rcu_barrier();
	CHECK(freed == 1);
	old = current;
	CHECK(rcu_cmpxchg_pointer(&current, old, NULL) == old && !current);
	state = start_poll_synchronize_rcu();
	synchronize_rcu();
	CHECK(poll_state_synchronize_rcu(state));
	urcu_memb_call_rcu(&old->head, free_item);
	urcu_memb_barrier();
	CHECK(freed == 2);
	rcu_unregister_thread();
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

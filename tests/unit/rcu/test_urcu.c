/* SPDX-License-Identifier: MIT */
/* A program written for liburcu, with its containers, on the migration header; as C and as C++. */
#include "retour/urcu-memb.h"

#include <pthread.h>
#include <urcu/rculfhash.h>
#include <urcu/rculist.h>
#include <urcu/wfcqueue.h>

#include "unit/test.h"

#define ITEMS 200

struct item {
	int value;
	struct cds_list_head list;
	struct cds_lfht_node hash;
	struct rcu_head head;
};

static struct item *current;
static int freed;
static CDS_LIST_HEAD(items);
static int stop, sum_wrong;

static void free_item(struct rcu_head *head)
{
	free(caa_container_of(head, struct item, head));
	freed++;
}

static void free_deferred(void *p)
{
	free(p);
	freed++;
}

static struct item *new_item(int value)
{
	struct item *item = (struct item *)calloc(1, sizeof(*item));

	item->value = value;
	return item;
}

TEST(pointers_and_callbacks_work)
{
	struct item *old, *fresh = new_item(1);

	rcu_init();
	rcu_register_thread();
	rcu_assign_pointer(current, fresh);
	rcu_read_lock();
	CHECK(rcu_read_ongoing() && rcu_dereference(current)->value == 1);
	rcu_read_unlock();
	CHECK(!rcu_read_ongoing());
	old = rcu_xchg_pointer(&current, new_item(2));
	CHECK(old->value == 1 && rcu_dereference(current)->value == 2);
	call_rcu(&old->head, free_item);
	rcu_barrier();
	CHECK(freed == 1);
	old = current;
	CHECK(rcu_cmpxchg_pointer(&current, fresh, NULL) == old && current == old);
	CHECK(rcu_cmpxchg_pointer(&current, old, NULL) == old && !current);
	urcu_memb_call_rcu(&old->head, free_item);
	urcu_memb_barrier();
	CHECK(freed == 2);
	rcu_set_pointer(&current, NULL);
	rcu_unregister_thread();
}

TEST(deferred_calls_wait_for_sections)
{
	CHECK(rcu_defer_register_thread() == 0);
	rcu_read_lock();
	defer_rcu(free_deferred, malloc(1));
	usleep(10000);
	CHECK(!freed);
	rcu_read_unlock();
	rcu_defer_barrier_thread();
	CHECK(freed == 1);
	urcu_memb_defer_rcu(free_deferred, malloc(1));
	rcu_defer_barrier();
	CHECK(freed == 2);
	rcu_defer_unregister_thread();
}

TEST(grace_periods_are_polled)
{
	struct urcu_gp_poll_state state;

	rcu_read_lock();
	state = start_poll_synchronize_rcu();
	usleep(1000);
	CHECK(!poll_state_synchronize_rcu(state));
	rcu_read_unlock();
	while (!poll_state_synchronize_rcu(state))
		usleep(100);
	state = start_poll_synchronize_rcu();
	synchronize_rcu();
	CHECK(poll_state_synchronize_rcu(state));
}

/* The first item counts the others. */
static void *traverse(void *arg)
{
	struct item *item;

	rcu_register_thread();
	while (!__atomic_load_n(&stop, __ATOMIC_RELAXED)) {
		rcu_read_lock();
		cds_list_for_each_entry_rcu(item, &items, list)
			if (item->value < 0)
				sum_wrong = 1;
		rcu_read_unlock();
		rcu_quiescent_state();
	}
	rcu_thread_offline();
	rcu_thread_online();
	rcu_unregister_thread();
	return arg;
}

static void poison_and_free(struct rcu_head *head)
{
	caa_container_of(head, struct item, head)->value = -1;
	free_item(head);
}

TEST(a_list_is_traversed_while_it_changes)
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, traverse, NULL));
	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < ITEMS; i++)
			cds_list_add_rcu(&new_item(i)->list, &items);
		while (!cds_list_empty(&items)) {
			struct item *first = cds_list_entry(items.next, struct item, list);

			cds_list_del_rcu(&first->list);
			call_rcu(&first->head, poison_and_free);
		}
	}
	rcu_barrier();
	CHECK(freed == 20 * ITEMS);
	__atomic_store_n(&stop, 1, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
	CHECK(!sum_wrong);
}

static int has_value(struct cds_lfht_node *node, const void *key)
{
	return caa_container_of(node, struct item, hash)->value == *(const int *)key;
}

static struct item *look_up(struct cds_lfht *table, int value)
{
	struct cds_lfht_iter iter;
	struct cds_lfht_node *node;

	cds_lfht_lookup(table, value, has_value, &value, &iter);
	node = cds_lfht_iter_get_node(&iter);
	return node ? caa_container_of(node, struct item, hash) : NULL;
}

/* What grows runs in a thread of the table's own, which a fork needs to know of. */
static void fork_with_table(struct cds_lfht *table)
{
	int status;
	pid_t child;

	call_rcu_before_fork();
	child = fork();
	if (child == 0) {
		call_rcu_after_fork_child();
		rcu_read_lock();
		_exit(!look_up(table, ITEMS - 1));
	}
	call_rcu_after_fork_parent();
	CHECK(waitpid(child, &status, 0) == child && status == 0);
}

TEST(a_hash_table_takes_the_flavour)
{
	struct cds_lfht *table = cds_lfht_new(1, 1, 0, CDS_LFHT_AUTO_RESIZE | CDS_LFHT_ACCOUNTING, NULL);

	CHECK(table);
	for (int i = 0; i < ITEMS; i++) {
		struct item *item = new_item(i);

		rcu_read_lock();
		cds_lfht_add(table, i, &item->hash);
		rcu_read_unlock();
	}
	fork_with_table(table);
	for (int i = 0; i < ITEMS; i++) {
		struct item *item;

		rcu_read_lock();
		item = look_up(table, i);
		CHECK(item && !cds_lfht_del(table, &item->hash));
		rcu_read_unlock();
		call_rcu(&item->head, free_item);
	}
	rcu_barrier();
	CHECK(freed == ITEMS);
	CHECK(cds_lfht_destroy(table, NULL) == 0);
}

TEST(the_calls_for_workers_mean_the_one_there_is)
{
	struct call_rcu_data *worker = create_call_rcu_data(URCU_CALL_RCU_RT, -1);

	CHECK(worker && worker == get_default_call_rcu_data() && worker == get_cpu_call_rcu_data(0));
	CHECK(create_all_cpu_call_rcu_data(0) == 0 && set_cpu_call_rcu_data(0, worker) == 0);
	set_thread_call_rcu_data(worker);
	CHECK(get_thread_call_rcu_data() == worker && get_call_rcu_data() == worker);
	call_rcu(&new_item(1)->head, free_item);
	free_all_cpu_call_rcu_data();
	call_rcu_data_free(worker);
	rcu_barrier();
	CHECK(freed == 1);
	CHECK(rcu_flavor.update_call_rcu && rcu_flavor.read_ongoing() == 0);
}

int main(int argc, char **argv)
{
	return test_main(argc, argv);
}

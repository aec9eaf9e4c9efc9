/* SPDX-License-Identifier: Apache-2.0 */
/* test_table.c - the intrusive hash table and the intrusive list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/list.h"
#include "proto/table.h"

enum { ITEMS = 5000 };

struct item {
    struct table_node node;
    struct list link;
    unsigned key;
    unsigned visits;
};

static bool same_key(const struct table_node *node, const void *key)
{
    return table_entry(node, const struct item, node)->key == *(const unsigned *)key;
}

/* Few hashes for many keys, so that nodes of one hash meet in a bucket. */
static uint64_t poor_hash(unsigned key)
{
    return key / 4;
}

static struct item *find(const struct table *t, unsigned key)
{
    struct table_node *node = table_find(t, poor_hash(key), same_key, &key);
    return node ? table_entry(node, struct item, node) : NULL;
}

static void fill(struct table *t, struct item *items)
{
    table_init(t);
    for (unsigned i = 0; i < ITEMS; i++) {
        items[i] = (struct item){.key = i};
        assert_int_equal(table_insert(t, &items[i].node, poor_hash(i)), 0);
    }
}

static struct item items[ITEMS];

static void empty_table_finds_nothing(void **state)
{
    (void)state;
    struct table t;
    table_init(&t);
    assert_null(find(&t, 1));
    assert_int_equal(t.count, 0);
    table_fini(&t);
}

static void everything_inserted_is_found_across_growth(void **state)
{
    (void)state;
    struct table t;
    fill(&t, items);
    assert_int_equal(t.count, ITEMS);
    for (unsigned i = 0; i < ITEMS; i++)
        assert_ptr_equal(find(&t, i), &items[i]);
    assert_null(find(&t, ITEMS));
    table_fini(&t);
}

static void removal_takes_the_one_node(void **state)
{
    (void)state;
    struct table t;
    fill(&t, items);
    for (unsigned i = 0; i < ITEMS; i += 2)
        table_remove(&t, &items[i].node);
    assert_int_equal(t.count, ITEMS / 2);
    for (unsigned i = 0; i < ITEMS; i++)
        assert_ptr_equal(find(&t, i), i % 2 ? &items[i] : NULL);
    table_fini(&t);
}

struct visiting {
    struct table *t;
    bool remove;
};

static void visit(struct table_node *node, void *arg)
{
    struct visiting *v = (struct visiting *)arg;
    struct item *item = table_entry(node, struct item, node);
    item->visits++;
    if (v->remove)
        table_remove(v->t, node);
}

static void each_visits_once_and_may_remove(void **state)
{
    (void)state;
    struct table t;
    fill(&t, items);
    struct visiting v = {.t = &t, .remove = false};
    table_each(&t, visit, &v);
    v.remove = true;
    table_each(&t, visit, &v);
    for (unsigned i = 0; i < ITEMS; i++)
        assert_int_equal(items[i].visits, 2);
    assert_int_equal(t.count, 0);
    assert_null(find(&t, 7));
    table_fini(&t);
}

static void list_keeps_the_order_of_appending(void **state)
{
    (void)state;
    struct list head;
    list_init(&head);
    assert_true(list_empty(&head));
    for (unsigned i = 0; i < 3; i++) {
        items[i].key = i;
        list_append(&head, &items[i].link);
    }
    list_move(&head, &items[0].link);
    static const unsigned expected[] = {1, 2, 0};
    unsigned seen = 0;
    LIST_FOREACH (node, &head)
        assert_int_equal(list_entry(node, struct item, link)->key, expected[seen++]);
    assert_int_equal(seen, 3);
    LIST_FOREACH_SAFE (node, &head)
        list_remove(node);
    assert_true(list_empty(&head));
    list_remove(&items[1].link);
    assert_true(list_empty(&items[1].link));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_table_finds_nothing),
        cmocka_unit_test(everything_inserted_is_found_across_growth),
        cmocka_unit_test(removal_takes_the_one_node),
        cmocka_unit_test(each_visits_once_and_may_remove),
        cmocka_unit_test(list_keeps_the_order_of_appending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

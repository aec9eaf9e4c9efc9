/* SPDX-License-Identifier: Apache-2.0 */
/* table.c - an intrusive hash table, chained, doubling. */
#include "proto/table.h"

#include <stdlib.h>

#include "proto/error.h"

enum { FIRST_BUCKETS = 16 };

void table_init(struct table *t)
{
    *t = (struct table){0};
}

void table_fini(struct table *t)
{
    free(t->buckets);
    table_init(t);
}

static struct table_node **table_bucket_of(const struct table *t, uint64_t hash)
{
    return &t->buckets[hash & (t->bucket_count - 1)];
}

static void table_put(struct table *t, struct table_node *node)
{
    struct table_node **bucket = table_bucket_of(t, node->hash);
    node->next = *bucket;
    *bucket = node;
}

static bool table_grow(struct table *t)
{
    size_t count = t->bucket_count ? t->bucket_count * 2 : FIRST_BUCKETS;
    struct table_node **buckets = (struct table_node **)calloc(count, sizeof *buckets);
    if (!buckets)
        return false;
    struct table old = *t;
    t->buckets = buckets;
    t->bucket_count = count;
    for (size_t i = 0; i < old.bucket_count; i++) {
        struct table_node *node = old.buckets[i];
        while (node) {
            struct table_node *next = node->next;
            table_put(t, node);
            node = next;
        }
    }
    free(old.buckets);
    return true;
}

int table_insert(struct table *t, struct table_node *node, uint64_t hash)
{
    if (t->count >= t->bucket_count && !table_grow(t) && t->bucket_count == 0)
        return UDPTUN_E_NOMEM;
    node->hash = hash;
    table_put(t, node);
    t->count++;
    return UDPTUN_OK;
}

struct table_node *table_find(const struct table *t, uint64_t hash, table_match *match,
                              const void *key)
{
    if (t->count == 0)
        return NULL;
    for (struct table_node *node = *table_bucket_of(t, hash); node; node = node->next)
        if (node->hash == hash && match(node, key))
            return node;
    return NULL;
}

void table_remove(struct table *t, struct table_node *node)
{
    struct table_node **at = table_bucket_of(t, node->hash);
    while (*at != node)
        at = &(*at)->next;
    *at = node->next;
    t->count--;
}

void table_each(struct table *t, void (*visit)(struct table_node *node, void *arg), void *arg)
{
    for (size_t i = 0; i < t->bucket_count; i++) {
        struct table_node *node = t->buckets[i];
        while (node) {
            struct table_node *next = node->next;
            visit(node, arg);
            node = next;
        }
    }
}

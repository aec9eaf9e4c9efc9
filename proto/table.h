/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table.h - an intrusive hash table.
 *
 * The caller owns the nodes and computes the hashes, keyed (SipHash) where a stranger chooses
 * the keys. Buckets double as nodes are added; when memory for that is short the table merely
 * gets slower, so insertion never fails once the table stands.
 */
#ifndef PROTO_TABLE_H
#define PROTO_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_node {
    struct table_node *next;
    uint64_t hash;
};

struct table {
    struct table_node **buckets; /* NULL while empty */
    size_t bucket_count;         /* a power of two, or 0 */
    size_t count;
};

/* True when `node` is the one that `key` names. Called only for nodes of the same hash. */
typedef bool table_match(const struct table_node *node, const void *key);

void table_init(struct table *t);

/* Frees the buckets; the nodes stay their owners'. */
void table_fini(struct table *t);

/* 0, or UDPTUN_E_NOMEM when the first buckets cannot be allocated (nothing is added). */
int table_insert(struct table *t, struct table_node *node, uint64_t hash);

struct table_node *table_find(const struct table *t, uint64_t hash, table_match *match,
                              const void *key);

/* The node must be in the table. */
void table_remove(struct table *t, struct table_node *node);

/* Calls `visit` for every node; it may remove that node, and no other. */
void table_each(struct table *t, void (*visit)(struct table_node *node, void *arg), void *arg);

#define table_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * list.h - an intrusive doubly linked list.
 *
 * A node that is in no list points to itself, so list_remove() of it is harmless and
 * list_empty() asks either. The head is a node like any other.
 */
#ifndef PROTO_LIST_H
#define PROTO_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *node)
{
    node->next = node->prev = node;
}

static inline bool list_empty(const struct list *node)
{
    return node->next == node;
}

static inline void list_insert_before(struct list *at, struct list *node)
{
    node->prev = at->prev;
    node->next = at;
    at->prev->next = node;
    at->prev = node;
}

static inline void list_append(struct list *head, struct list *node)
{
    list_insert_before(head, node);
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* To the tail of `head`, wherever it was. */
static inline void list_move(struct list *head, struct list *node)
{
    list_remove(node);
    list_append(head, node);
}

#define list_entry(node, type, member) ((type *)(void *)((char *)(node)-offsetof(type, member)))

#define LIST_FOREACH(var, head)                                                                    \
    for (struct list *var = (head)->next; var != (head); var = var->next)

/* `var` may be removed and freed in the body; no other node may. */
#define LIST_FOREACH_SAFE(var, head)                                                               \
    for (struct list *var = (head)->next, *var##_next = var->next; var != (head);                  \
         var = var##_next, var##_next = var->next)

#endif

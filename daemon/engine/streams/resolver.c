/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.c - host names to addresses without blocking the loop.
 *
 * Theory of operation. An *entry* is a name with what is known of it: nothing, addresses, or a
 * failure; fresh until it expires. A *lookup* is a caller who waits: in its entry's list of waiters
 * while the name is asked about, then in the resolver's list of ready ones, which a timer of zero
 * empties, so that no callback runs inside the call that asked for it.
 *
 *     resolver_lookup() --> entry asked about --> waiters --answer, or STALE_WAIT--> ready -->
 * done()
 *                \-> entry fresh --------------------------------------------------^
 *
 * Addresses outlive their time (RFC 8767): resolver_cached() gives them while the name is asked
 * again, and a lookup waits for the answer no longer than STALE_WAIT_US. A name server's word that
 * the name has no address ends them; one that fails or does not answer leaves them.
 *
 * daemon/platform/names.h asks the name servers: it is told a name and gives addresses back, the
 * second family's perhaps later, which then only completes the entry.
 *
 * Limits: MAX_ENTRIES names kept; those that are asked about or waited for are not evicted.
 * MAX_PENDING names of which nothing is known are asked about at a time (names may come from
 * strangers), the hash keyed for the same reason.
 */
#include "daemon/engine/streams/resolver.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/streams/resolver_entry.h"

#define STALE_WAIT_US 1000000 /* RFC 8767 section 5, "client response timer" (1.8 s there) */

struct resolver_lookup {
    struct list link; /* in its entry's waiters or the resolver's ready */
    struct cached_name *entry;
    resolver_done *done;
    void *arg;
    uint16_t port;
};

/* The name in lower case, but for a zone, and without the root's dot. False when it cannot be one.
 */
static bool normalize(const char *name, size_t len, char out[HOST_NAME_SIZE], size_t *out_len)
{
    bool in_zone = false;
    if (len && name[len - 1] == '.')
        len--;
    if (len == 0 || len >= HOST_NAME_SIZE)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        bool other = in_zone ? c > ' ' && c <= '~' : c != '\0' && strchr("-_.:%", c);
        if (!upper && !lower && !(c >= '0' && c <= '9') && !other)
            return false;
        in_zone = in_zone || c == '%';
        out[i] = (char)(upper && !in_zone ? c - 'A' + 'a' : c);
    }
    out[len] = '\0';
    *out_len = len;
    return true;
}

/* The loop goes round the list as it was: what a callback asks for comes in the next turn. */
static void resolver_deliver(void *arg)
{
    struct resolver *r = (struct resolver *)arg;
    struct list now;
    list_init(&now);
    LIST_FOREACH_SAFE (node, &r->ready)
        list_move(&now, node);
    while (!list_empty(&now)) {
        struct udptun_endpoint eps[RESOLVER_MAX_ADDRESSES];
        struct resolver_lookup *lookup = list_entry(now.next, struct resolver_lookup, link);
        struct cached_name *e = lookup->entry;
        resolver_done *done = lookup->done;
        void *done_arg = lookup->arg;
        size_t count = e->count;
        const char *failure = e->failure;
        for (size_t i = 0; i < count; i++) {
            eps[i] = e->addresses[i];
            eps[i].port = lookup->port;
        }
        resolver_cancel(lookup);
        /* May free the resolver, when no other lookup is left. */
        done(done_arg, eps, count, failure);
    }
}

/* ---- the interface ------------------------------------------------------------------------- */

struct resolver *resolver_new(struct loop *loop, const struct socket_rules *rules,
                              struct hosts *hosts)
{
    struct resolver *r = (struct resolver *)calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->loop = loop;
    r->rules = *rules;
    r->hosts = hosts;
    table_init(&r->entries);
    list_init(&r->lru);
    list_init(&r->ready);
    timer_init(&r->deliver, loop, resolver_deliver, r);
    timer_init(&r->idle, loop, entries_idle, r);
    randombytes_buf(r->key, sizeof r->key);
    return r;
}

static void resolver_free_entry(struct table_node *node, void *arg)
{
    (void)arg;
    entry_free(table_entry(node, struct cached_name, node));
}

void resolver_free(struct resolver *r)
{
    if (!r)
        return;
    r->restarting = true;
    names_free(r->names);
    timer_stop(&r->deliver);
    timer_stop(&r->idle);
    table_each(&r->entries, resolver_free_entry, NULL);
    table_fini(&r->entries);
    free(r);
}

/* The entry of a name, which is fresh, usable, or being asked about. NULL: no memory, or too many
 * names are asked about. */
static struct cached_name *entry_for(struct resolver *r, const char *name, size_t name_len)
{
    /* One that cannot be a name is answered from the same place as one that does not exist. */
    char text[HOST_NAME_SIZE] = "";
    size_t len = 0;
    if (!normalize(name, name_len, text, &len))
        len = 0;
    struct cached_name *e = entry_find(r, text, len);
    if (e && (e->asking || entry_is_fresh(e)))
        return e;
    if (r->pending >= MAX_PENDING)
        return e && entry_is_usable(e) ? e : NULL;
    if (!e)
        e = entry_new(r, text, len);
    if (e)
        entry_refresh(e);
    return e;
}

/* How long a lookup waits for an answer where there are stale addresses: not at all when name
 * servers failed just before. */
static uint64_t patience_us(const struct cached_name *e)
{
    uint64_t waited_us = e->owner->loop->now_us - e->asked_us;
    return e->recheck_us || waited_us >= STALE_WAIT_US ? 0 : STALE_WAIT_US - waited_us;
}

struct resolver_lookup *resolver_lookup(struct resolver *r, const char *name, size_t name_len,
                                        uint16_t port, resolver_done *done, void *arg)
{
    struct resolver_lookup *lookup = (struct resolver_lookup *)calloc(1, sizeof *lookup);
    if (!lookup)
        return NULL;
    struct cached_name *e = entry_for(r, name, name_len);
    if (!e) {
        free(lookup);
        return NULL;
    }
    lookup->entry = e;
    lookup->done = done;
    lookup->arg = arg;
    lookup->port = port;
    list_init(&lookup->link);
    e->lookups++;
    list_append(&e->waiters, &lookup->link);
    if (!e->asking || entry_is_fresh(e))
        entry_ready(e);
    else if (entry_is_usable(e) && !timer_is_on(&e->patience))
        timer_start(&e->patience, patience_us(e));
    return lookup;
}

void resolver_cancel(struct resolver_lookup *lookup)
{
    lookup->entry->lookups--;
    list_remove(&lookup->link);
    free(lookup);
}

bool resolver_cached(struct resolver *r, const char *name, size_t name_len, uint16_t port,
                     struct udptun_endpoint *eps, size_t max, size_t *count)
{
    char text[HOST_NAME_SIZE];
    size_t len;
    *count = 0;
    if (!normalize(name, name_len, text, &len))
        return true;
    struct cached_name *e = entry_find(r, text, len);
    if (!e)
        return false;
    if (!entry_is_fresh(e)) {
        if (!entry_is_usable(e))
            return false;
        entry_refresh(e);
    }
    list_move(&r->lru, &e->lru);
    for (size_t i = 0; i < e->count && i < max; i++) {
        eps[i] = e->addresses[i];
        eps[i].port = port;
        *count = i + 1;
    }
    return true;
}

void resolver_flush(struct resolver *r)
{
    LIST_FOREACH_SAFE (node, &r->lru) {
        struct cached_name *e = list_entry(node, struct cached_name, lru);
        e->expires_us = e->recheck_us = 0;
        if (e->lookups == 0 && !e->asking && e->count == 0)
            entry_free(e);
    }
    entries_restart(r);
}

static void inherit(struct table_node *node, void *arg)
{
    entry_inherit((struct resolver *)arg, table_entry(node, const struct cached_name, node));
}

void resolver_inherit(struct resolver *r, struct resolver *from)
{
    if (from)
        table_each(&from->entries, inherit, r);
}

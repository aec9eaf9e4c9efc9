/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver.c - host names to addresses without blocking the loop.
 *
 * Theory of operation. An *entry* is a name: asked about (pending) or answered, good until it
 * expires. A *lookup* is a caller who waits: in its entry's list of waiters while that is pending,
 * then in the resolver's list of ready ones, which a timer of zero empties, so that no callback
 * runs inside the call that asked for it. An entry with lookups is never evicted.
 *
 *     resolver_lookup() --> entry pending --> waiters --answer--> ready --timer--> done()
 *                \-> entry answered ------------------------------^
 *
 * daemon/platform/names.h asks the name servers: it is told a name and gives addresses back.
 *
 * Limits: MAX_ENTRIES names kept, MAX_PENDING of them asked about at a time (names may come from
 * strangers), the hash keyed for the same reason.
 */
#include "daemon/engine/streams/resolver.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/platform/loop.h"
#include "daemon/platform/names.h"
#include "proto/list.h"
#include "proto/table.h"

enum { MAX_ENTRIES = 1024, MAX_PENDING = 256 };

#define MIN_TTL_S       5
#define MAX_TTL_S       300
#define NEGATIVE_US     2000000 /* a name that is not there, or a server that does not answer */
#define CHANNEL_IDLE_US 5000000

struct cached_name {
    struct table_node node;
    struct list lru; /* resolver's answered entries, least recently used first; else alone */
    struct list waiters;
    struct resolver *owner;
    bool pending;
    size_t lookups; /* waiting or ready */
    uint64_t expires_us;
    const char *failure; /* static; NULL where there are addresses */
    size_t count;
    struct udptun_endpoint *addresses; /* port 0 */
    size_t name_len;
    char name[]; /* lower case, NUL-terminated */
};

struct resolver_lookup {
    struct list link; /* in its entry's waiters or the resolver's ready */
    struct cached_name *entry;
    resolver_done *done;
    void *arg;
    uint16_t port;
};

struct resolver {
    struct loop *loop;
    struct socket_rules rules;
    struct names *names; /* NULL at rest */
    struct table entries;
    struct list lru, ready;
    size_t pending;
    bool restarting; /* answers now are those of a channel that is being replaced */
    struct timer deliver, idle;
    uint8_t key[crypto_shorthash_KEYBYTES];
};

struct name_key {
    const char *name;
    size_t len;
};

/* ---- entries ------------------------------------------------------------------------------- */

static bool same_name(const struct table_node *node, const void *key)
{
    const struct cached_name *e = table_entry(node, const struct cached_name, node);
    const struct name_key *k = (const struct name_key *)key;
    return e->name_len == k->len && memcmp(e->name, k->name, k->len) == 0;
}

static uint64_t hash_name(const struct resolver *r, const char *name, size_t len)
{
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash gives 64 bits");
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name, len, r->key);
    return hash;
}

/* The name in lower case, without the root's dot. False when it cannot be one. */
static bool normalize(const char *name, size_t len, char out[HOST_NAME_SIZE], size_t *out_len)
{
    if (len && name[len - 1] == '.')
        len--;
    if (len == 0 || len >= HOST_NAME_SIZE)
        return false;
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool upper = c >= 'A' && c <= 'Z', lower = c >= 'a' && c <= 'z';
        if (!upper && !lower && !(c >= '0' && c <= '9') && !strchr("-_.:%", c))
            return false;
        if (c == '\0')
            return false;
        out[i] = (char)(upper ? c - 'A' + 'a' : c);
    }
    out[len] = '\0';
    *out_len = len;
    return true;
}

static struct cached_name *entry_find(struct resolver *r, const char *name, size_t len)
{
    struct name_key key = {name, len};
    struct table_node *node = table_find(&r->entries, hash_name(r, name, len), same_name, &key);
    return node ? table_entry(node, struct cached_name, node) : NULL;
}

static void entry_free(struct cached_name *e)
{
    list_remove(&e->lru);
    table_remove(&e->owner->entries, &e->node);
    free(e->addresses);
    free(e);
}

/* Makes room for one more. */
static bool evict(struct resolver *r)
{
    LIST_FOREACH_SAFE (node, &r->lru) {
        struct cached_name *e = list_entry(node, struct cached_name, lru);
        if (e->lookups == 0) {
            entry_free(e);
            return true;
        }
    }
    return false;
}

static struct cached_name *entry_new(struct resolver *r, const char *name, size_t len)
{
    if (r->entries.count >= MAX_ENTRIES && !evict(r))
        return NULL;
    struct cached_name *e = (struct cached_name *)calloc(1, sizeof *e + len + 1);
    if (!e)
        return NULL;
    list_init(&e->lru);
    list_init(&e->waiters);
    e->owner = r;
    e->name_len = len;
    memcpy(e->name, name, len);
    if (table_insert(&r->entries, &e->node, hash_name(r, name, len)) < 0) {
        free(e);
        return NULL;
    }
    return e;
}

static bool is_fresh(const struct cached_name *e)
{
    return !e->pending && e->owner->loop->now_us < e->expires_us;
}

/* ---- answers ------------------------------------------------------------------------------- */

static void deliver_soon(struct resolver *r)
{
    if (!timer_is_on(&r->deliver))
        timer_start(&r->deliver, 0);
}

static void entry_answered(struct cached_name *e, const struct udptun_endpoint *addresses,
                           size_t count, uint32_t ttl_s, const char *failure)
{
    struct resolver *r = e->owner;
    free(e->addresses);
    e->addresses = NULL;
    e->count = 0;
    e->failure = failure;
    if (count) {
        e->addresses = (struct udptun_endpoint *)calloc(count, sizeof *addresses);
        if (e->addresses) {
            memcpy(e->addresses, addresses, count * sizeof *addresses);
            e->count = count;
        } else {
            e->failure = "out of memory";
        }
    }
    uint64_t age_s = ttl_s < MIN_TTL_S ? MIN_TTL_S : ttl_s > MAX_TTL_S ? MAX_TTL_S : ttl_s;
    e->expires_us = r->loop->now_us + (e->count ? age_s * 1000000 : NEGATIVE_US);
    e->pending = false;
    list_move(&r->lru, &e->lru);
    LIST_FOREACH_SAFE (node, &e->waiters)
        list_move(&r->ready, node);
    deliver_soon(r);
}

/* From the name servers; `arg` is the entry. */
static void names_answered(void *arg, const struct udptun_endpoint *addresses, size_t count,
                           uint32_t ttl_s, const char *failure)
{
    struct cached_name *e = (struct cached_name *)arg;
    struct resolver *r = e->owner;
    if (r->restarting)
        return;
    r->pending--;
    entry_answered(e, addresses, count, ttl_s, failure);
    if (r->pending == 0)
        timer_start(&r->idle, CHANNEL_IDLE_US);
}

/* Not from inside an answer: the names would be freed under their own feet. */
static void channel_idle(void *arg)
{
    struct resolver *r = (struct resolver *)arg;
    names_free(r->names);
    r->names = NULL;
}

static void entry_ask(struct cached_name *e)
{
    struct resolver *r = e->owner;
    timer_stop(&r->idle);
    e->pending = true;
    r->pending++;
    list_remove(&e->lru);
    if (!r->names)
        r->names = names_new(r->loop, &r->rules);
    if (r->names)
        names_ask(r->names, e->name, names_answered, e);
    else
        names_answered(e, NULL, 0, 0, "name resolution could not be started");
}

/* A name that is an address, and one that is never asked about. */
static bool answer_without_asking(struct cached_name *e)
{
    struct udptun_endpoint ep;
    if (endpoint_parse_ip(e->name, &ep)) {
        entry_answered(e, &ep, 1, MAX_TTL_S, NULL);
        return true;
    }
    if (strcmp(e->name, "localhost") == 0) {
        ep = endpoint_ip4(127, 0, 0, 1, 0);
        entry_answered(e, &ep, 1, MAX_TTL_S, NULL);
        return true;
    }
    return false;
}

/* The loop goes round the list as it was: what a callback asks for comes in the next turn. */
static void deliver(void *arg)
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

struct resolver *resolver_new(struct loop *loop, const struct socket_rules *rules)
{
    struct resolver *r = (struct resolver *)calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->loop = loop;
    r->rules = *rules;
    table_init(&r->entries);
    list_init(&r->lru);
    list_init(&r->ready);
    timer_init(&r->deliver, loop, deliver, r);
    timer_init(&r->idle, loop, channel_idle, r);
    randombytes_buf(r->key, sizeof r->key);
    return r;
}

static void free_entry(struct table_node *node, void *arg)
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
    table_each(&r->entries, free_entry, NULL);
    table_fini(&r->entries);
    free(r);
}

static struct cached_name *entry_for(struct resolver *r, const char *name, size_t name_len)
{
    /* One that cannot be a name is answered from the same place as one that does not exist. */
    char text[HOST_NAME_SIZE] = "";
    size_t len = 0;
    bool valid = normalize(name, name_len, text, &len);
    struct cached_name *e = entry_find(r, valid ? text : "", valid ? len : 0);
    if (e && (e->pending || is_fresh(e)))
        return e;
    if (r->pending >= MAX_PENDING)
        return NULL;
    if (!e)
        e = entry_new(r, valid ? text : "", valid ? len : 0);
    if (!e)
        return NULL;
    if (!valid)
        entry_answered(e, NULL, 0, 0, "no such host");
    else if (!answer_without_asking(e))
        entry_ask(e);
    return e;
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
    if (e->pending) {
        list_append(&e->waiters, &lookup->link);
    } else {
        list_move(&r->lru, &e->lru);
        list_append(&r->ready, &lookup->link);
        deliver_soon(r);
    }
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
    if (!e || !is_fresh(e))
        return false;
    list_move(&r->lru, &e->lru);
    for (size_t i = 0; i < e->count && i < max; i++) {
        eps[i] = e->addresses[i];
        eps[i].port = port;
        *count = i + 1;
    }
    return true;
}

static void ask_again(struct table_node *node, void *arg)
{
    struct cached_name *e = table_entry(node, struct cached_name, node);
    (void)arg;
    if (e->pending)
        entry_ask(e);
}

void resolver_flush(struct resolver *r)
{
    r->restarting = true;
    names_free(r->names);
    r->names = NULL;
    r->restarting = false;
    LIST_FOREACH_SAFE (node, &r->lru) {
        struct cached_name *e = list_entry(node, struct cached_name, lru);
        e->expires_us = 0;
        if (e->lookups == 0)
            entry_free(e);
    }
    r->pending = 0;
    table_each(&r->entries, ask_again, NULL);
}

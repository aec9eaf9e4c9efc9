/* SPDX-License-Identifier: Apache-2.0 */
/* resolver_entry.c - what a resolver knows of one name, and how it asks. */
#include "daemon/engine/streams/resolver_entry.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/platform/network.h"

#define MIN_TTL_S       5
#define MAX_TTL_S       300
#define NEGATIVE_US     2000000 /* a name that is not there, or a server that does not answer */
#define STALE_US        (UINT64_C(86400) * 1000000) /* the least that the section advises */
#define RECHECK_US      5000000 /* between questions that fail, "failure recheck timer" */
#define CHANNEL_IDLE_US 5000000

struct name_key {
    const char *name;
    size_t len;
};

/* ---- entries ------------------------------------------------------------------------------- */

static bool resolver_entry_same_name(const struct table_node *node, const void *key)
{
    const struct cached_name *e = table_entry(node, const struct cached_name, node);
    const struct name_key *k = (const struct name_key *)key;
    return e->name_len == k->len && memcmp(e->name, k->name, k->len) == 0;
}

static uint64_t resolver_entry_hash_name(const struct resolver *r, const char *name, size_t len)
{
    uint64_t hash;
    _Static_assert(sizeof hash == crypto_shorthash_BYTES, "SipHash gives 64 bits");
    crypto_shorthash((unsigned char *)&hash, (const unsigned char *)name, len, r->key);
    return hash;
}

struct cached_name *entry_find(const struct resolver *r, const char *name, size_t len)
{
    struct name_key key = {name, len};
    struct table_node *node = table_find(&r->entries, resolver_entry_hash_name(r, name, len),
                                         resolver_entry_same_name, &key);
    return node ? table_entry(node, struct cached_name, node) : NULL;
}

void entry_free(struct cached_name *e)
{
    timer_stop(&e->patience);
    list_remove(&e->lru);
    table_remove(&e->owner->entries, &e->node);
    free(e->addresses);
    free(e);
}

/* Makes room for one more. */
static bool resolver_entry_evict(struct resolver *r)
{
    LIST_FOREACH_SAFE (node, &r->lru) {
        struct cached_name *e = list_entry(node, struct cached_name, lru);
        if (e->lookups == 0 && !e->asking) {
            entry_free(e);
            return true;
        }
    }
    return false;
}

static void deliver_soon(struct resolver *r)
{
    if (!timer_is_on(&r->deliver))
        timer_start(&r->deliver, 0);
}

void entry_ready(struct cached_name *e)
{
    struct resolver *r = e->owner;
    timer_stop(&e->patience);
    list_move(&r->lru, &e->lru);
    LIST_FOREACH_SAFE (node, &e->waiters)
        list_move(&r->ready, node);
    if (!list_empty(&r->ready))
        deliver_soon(r);
}

/* The name servers take their time, but there are stale addresses. */
static void on_patience(void *arg)
{
    entry_ready((struct cached_name *)arg);
}

struct cached_name *entry_new(struct resolver *r, const char *name, size_t len)
{
    if (r->entries.count >= MAX_ENTRIES && !resolver_entry_evict(r))
        return NULL;
    struct cached_name *e = (struct cached_name *)calloc(1, sizeof *e + len + 1);
    if (!e)
        return NULL;
    list_init(&e->lru);
    list_init(&e->waiters);
    timer_init(&e->patience, r->loop, on_patience, e);
    e->owner = r;
    e->name_len = len;
    memcpy(e->name, name, len);
    if (table_insert(&r->entries, &e->node, resolver_entry_hash_name(r, name, len)) < 0) {
        free(e);
        return NULL;
    }
    return e;
}

/* ---- answers ------------------------------------------------------------------------------- */

static bool keep_addresses(struct cached_name *e, const struct udptun_endpoint *addresses,
                           size_t count)
{
    struct udptun_endpoint *copy = (struct udptun_endpoint *)calloc(count, sizeof *copy);
    if (!copy)
        return false;
    memcpy(copy, addresses, count * sizeof *copy);
    free(e->addresses);
    e->addresses = copy;
    e->count = count;
    e->failure = NULL;
    return true;
}

static void entry_succeeded(struct cached_name *e, const struct udptun_endpoint *addresses,
                            size_t count, uint64_t age_s)
{
    uint64_t now_us = e->owner->loop->now_us;
    if (!keep_addresses(e, addresses, count))
        e->failure = e->count ? NULL : "out of memory";
    e->expires_us = now_us + (e->count ? age_s * 1000000 : NEGATIVE_US);
    e->stale_us = e->expires_us + STALE_US;
    e->recheck_us = 0;
    entry_ready(e);
}

/* `forget`: what was known is wrong. */
static void entry_failed(struct cached_name *e, const char *failure, bool forget)
{
    uint64_t now_us = e->owner->loop->now_us;
    if (entry_is_usable(e) && !forget) {
        e->recheck_us = now_us + RECHECK_US;
    } else {
        free(e->addresses);
        e->addresses = NULL;
        e->count = 0;
        e->failure = failure;
        e->expires_us = now_us + NEGATIVE_US;
    }
    entry_ready(e);
}

static void set_pending(struct cached_name *e, bool pending)
{
    if (pending != e->pending)
        e->owner->pending += pending ? (size_t)1 : (size_t)-1;
    e->pending = pending;
}

/* From the name servers; `arg` is the entry. */
static void on_answered(void *arg, const struct names_answer *answer)
{
    struct cached_name *e = (struct cached_name *)arg;
    struct resolver *r = e->owner;
    if (r->restarting)
        return;
    set_pending(e, false);
    e->asking = !answer->is_last;
    if (answer->count) {
        uint64_t ttl_s = answer->ttl_s;
        uint64_t age_s = ttl_s < MIN_TTL_S ? MIN_TTL_S : ttl_s > MAX_TTL_S ? MAX_TTL_S : ttl_s;
        entry_succeeded(e, answer->addresses, answer->count, age_s);
    } else {
        entry_failed(e, answer->failure, answer->is_absent);
    }
    if (answer->is_last && --r->asking == 0)
        timer_start(&r->idle, CHANNEL_IDLE_US);
}

/* Not from inside an answer: the names would be freed under their own feet. */
void entries_idle(void *arg)
{
    struct resolver *r = (struct resolver *)arg;
    names_free(r->names);
    r->names = NULL;
}

static void ask_names(struct cached_name *e)
{
    struct resolver *r = e->owner;
    if (!r->names)
        r->names = names_new(r->loop, &r->rules, r->hosts);
    if (r->names) {
        names_ask(r->names, e->name, on_answered, e);
    } else {
        const struct names_answer answer = {.failure = "name resolution could not be started",
                                            .is_last = true};
        on_answered(e, &answer);
    }
}

static void entry_ask(struct cached_name *e)
{
    struct resolver *r = e->owner;
    if (r->names && names_are_outdated(r->names))
        entries_restart(r);
    timer_stop(&r->idle);
    e->asking = true;
    e->asked_us = r->loop->now_us;
    r->asking++;
    set_pending(e, !entry_is_usable(e));
    ask_names(e);
}

/* A name that is an address, and one that is never asked about. */
static bool answer_without_asking(struct cached_name *e)
{
    struct udptun_endpoint ep;
    bool is_local = strcmp(e->name, "localhost") == 0;
    if (!is_local && !network_parse_ip(e->name, &ep))
        return false;
    if (is_local)
        ep = endpoint_ip4(127, 0, 0, 1, 0);
    /* An interface may come again with another index. */
    entry_succeeded(e, &ep, 1, ep.scope ? MIN_TTL_S : MAX_TTL_S);
    return true;
}

void entry_refresh(struct cached_name *e)
{
    if (e->asking || (entry_is_usable(e) && e->owner->loop->now_us < e->recheck_us))
        return;
    if (e->name_len == 0) {
        entry_failed(e, "no such host", true); /* what stands for all that cannot be a name */
    } else if (!answer_without_asking(e)) {
        if (endpoint_zone_name(e->name))
            entry_failed(e, "no such network interface", true);
        else
            entry_ask(e);
    }
}

/* ---- restarts ------------------------------------------------------------------------------ */

static void ask_again(struct table_node *node, void *arg)
{
    struct cached_name *e = table_entry(node, struct cached_name, node);
    (void)arg;
    if (e->asking)
        ask_names(e);
}

void entries_restart(struct resolver *r)
{
    r->restarting = true;
    names_free(r->names);
    r->names = NULL;
    r->restarting = false;
    table_each(&r->entries, ask_again, NULL);
}

void entry_inherit(struct resolver *r, const struct cached_name *from)
{
    if (!entry_is_usable(from) || r->entries.count >= MAX_ENTRIES)
        return;
    struct cached_name *e = entry_new(r, from->name, from->name_len);
    if (!e)
        return;
    if (keep_addresses(e, from->addresses, from->count)) {
        e->stale_us = from->stale_us;
        list_move(&r->lru, &e->lru);
    } else {
        entry_free(e);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* dns_cache.c - answers in a table, in the order of their last use. */
#include "daemon/engine/gateway/dns_cache.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/core/core.h"
#include "proto/list.h"
#include "proto/table.h"

/* A second's worth of the loop's clock, and what an answer may take on average. */
enum { SECOND_US = 1000000, MEAN_SIZE = 512 };

struct cached {
    struct table_node node;
    struct list use; /* struct dns_cache.uses */
    uint64_t put_us, until_us;
    size_t key_size, size;
    uint8_t bytes[]; /* the key, then the answer */
};

struct dns_cache {
    const struct udptun_engine *engine;
    struct table table;
    struct list uses; /* struct cached.use, the most recent last */
    size_t most, bytes;
};

struct cache_key {
    const void *bytes;
    size_t size;
};

static bool is_key(const struct table_node *node, const void *arg)
{
    const struct cached *c = table_entry(node, const struct cached, node);
    const struct cache_key *key = (const struct cache_key *)arg;
    return c->key_size == key->size && memcmp(c->bytes, key->bytes, key->size) == 0;
}

static struct cached *dns_cache_find_entry(const struct dns_cache *cache, const void *bytes,
                                           size_t size)
{
    struct cache_key key = {bytes, size};
    struct table_node *node =
        table_find(&cache->table, engine_hash(cache->engine, bytes, size), is_key, &key);
    return node ? table_entry(node, struct cached, node) : NULL;
}

static size_t bytes_of(const struct cached *c)
{
    return sizeof *c + c->key_size + c->size;
}

static void dns_cache_forget(struct dns_cache *cache, struct cached *c)
{
    cache->bytes -= bytes_of(c);
    table_remove(&cache->table, &c->node);
    list_remove(&c->use);
    free(c);
}

struct dns_cache *dns_cache_new(const struct udptun_engine *e, size_t most)
{
    struct dns_cache *cache = (struct dns_cache *)calloc(1, sizeof *cache);
    if (!cache)
        return NULL;
    cache->engine = e;
    cache->most = most;
    table_init(&cache->table);
    list_init(&cache->uses);
    return cache;
}

void dns_cache_free(struct dns_cache *cache)
{
    if (!cache)
        return;
    LIST_FOREACH_SAFE (at, &cache->uses)
        dns_cache_forget(cache, list_entry(at, struct cached, use));
    table_fini(&cache->table);
    free(cache);
}

const uint8_t *dns_cache_find(struct dns_cache *cache, const void *key, size_t key_size,
                              size_t *size, uint32_t *age_s)
{
    struct cached *c = dns_cache_find_entry(cache, key, key_size);
    uint64_t now_us = cache->engine->loop.now_us;
    if (c && now_us >= c->until_us) {
        dns_cache_forget(cache, c);
        c = NULL;
    }
    if (!c)
        return NULL;
    list_move(&cache->uses, &c->use);
    *size = c->size;
    *age_s = (uint32_t)((now_us - c->put_us) / SECOND_US);
    return c->bytes + c->key_size;
}

static void dns_cache_make_room(struct dns_cache *cache)
{
    while (!list_empty(&cache->uses) &&
           (cache->table.count > cache->most || cache->bytes > cache->most * MEAN_SIZE))
        dns_cache_forget(cache, list_entry(cache->uses.next, struct cached, use));
}

void dns_cache_put(struct dns_cache *cache, const void *key, size_t key_size, const void *answer,
                   size_t size, uint32_t ttl_s)
{
    struct cached *c = dns_cache_find_entry(cache, key, key_size);
    if (c)
        dns_cache_forget(cache, c);
    if (cache->most == 0 || size > DNS_CACHED_MAX)
        return;
    c = (struct cached *)malloc(sizeof *c + key_size + size);
    if (!c)
        return;
    c->put_us = cache->engine->loop.now_us;
    c->until_us = c->put_us + (uint64_t)ttl_s * SECOND_US;
    c->key_size = key_size;
    c->size = size;
    memcpy(c->bytes, key, key_size);
    memcpy(c->bytes + key_size, answer, size);
    list_init(&c->use);
    if (table_insert(&cache->table, &c->node, engine_hash(cache->engine, key, key_size)) != 0) {
        free(c);
        return;
    }
    list_append(&cache->uses, &c->use);
    cache->bytes += bytes_of(c);
    dns_cache_make_room(cache);
}

size_t dns_cache_count(const struct dns_cache *cache)
{
    return cache->table.count;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dns_cache.h - answers to DNS questions, by dns_key(), until their time is over.
 *
 * Bounded in answers and in bytes; the one that was used least recently makes room.
 */
#ifndef ENGINE_DNS_CACHE_H
#define ENGINE_DNS_CACHE_H

#include <stddef.h>
#include <stdint.h>

struct udptun_engine;
struct dns_cache;

/* Of an answer: larger ones are not kept. */
enum { DNS_CACHED_MAX = 4096 };

/* A cache of at most `most` answers, or NULL: out of memory. */
struct dns_cache *dns_cache_new(const struct udptun_engine *e, size_t most);
/* NULL is accepted. */
void dns_cache_free(struct dns_cache *cache);

/* The answer to the question of that key, or NULL. `*size` is its size, `*age_s` the time since it
 * was put. Valid until the next call. */
const uint8_t *dns_cache_find(struct dns_cache *cache, const void *key, size_t key_size,
                              size_t *size, uint32_t *age_s);

/* Keep a copy for `ttl_s`, at least 1, in place of an earlier answer. */
void dns_cache_put(struct dns_cache *cache, const void *key, size_t key_size, const void *answer,
                   size_t size, uint32_t ttl_s);

size_t dns_cache_count(const struct dns_cache *cache);

#endif

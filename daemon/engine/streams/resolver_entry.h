/* SPDX-License-Identifier: Apache-2.0 */
/*
 * resolver_entry.h - what a resolver knows of one name, and how it asks. Private to resolver*.c;
 * resolver.c has the theory of operation.
 */
#ifndef ENGINE_RESOLVER_ENTRY_H
#define ENGINE_RESOLVER_ENTRY_H

#include <sodium.h>

#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/loop.h"
#include "proto/list.h"
#include "proto/table.h"

enum { MAX_ENTRIES = 1024, MAX_PENDING = 256 };

struct resolver {
    struct loop *loop;
    struct socket_rules rules;
    struct hosts *hosts; /* NULL: none */
    struct names *names; /* NULL at rest */
    struct table entries;
    struct list lru, ready;
    size_t asking, pending; /* entries that are */
    bool restarting;        /* answers now are those of a channel that is being replaced */
    struct timer deliver, idle;
    uint8_t key[crypto_shorthash_KEYBYTES];
};

struct cached_name {
    struct table_node node;
    struct list lru; /* resolver's answered entries, least recently used first; else alone */
    struct list waiters;
    struct resolver *owner;
    bool asking;           /* name servers are being asked, and will call */
    bool pending;          /* ... and nothing is known yet: counted in resolver.pending */
    size_t lookups;        /* waiting or ready */
    uint64_t asked_us;     /* when the last question began */
    uint64_t expires_us;   /* fresh until then */
    uint64_t stale_us;     /* addresses are good for nothing after that */
    uint64_t recheck_us;   /* the last question failed: not asked again before; 0: it did not */
    struct timer patience; /* how long waiters wait where there are stale addresses */
    const char *failure;   /* static; NULL where there are addresses, or nothing is known */
    size_t count;
    struct udptun_endpoint *addresses; /* port 0 */
    size_t name_len;
    char name[]; /* lower case, NUL-terminated */
};

/* NULL: there is none. `name` is in lower case. */
struct cached_name *entry_find(const struct resolver *r, const char *name, size_t len);
/* NULL: no memory, or MAX_ENTRIES that are in use. */
struct cached_name *entry_new(struct resolver *r, const char *name, size_t len);
/* An entry with what `from`, of another resolver, knows. */
void entry_inherit(struct resolver *r, const struct cached_name *from);
void entry_free(struct cached_name *e);

static inline bool entry_is_fresh(const struct cached_name *e)
{
    return e->owner->loop->now_us < e->expires_us;
}

/* There are addresses, fresh or not. */
static inline bool entry_is_usable(const struct cached_name *e)
{
    return e->count > 0 && e->owner->loop->now_us < e->stale_us;
}

/* Ask about a name that is not fresh, unless that was tried a moment ago. It may be fresh then. */
void entry_refresh(struct cached_name *e);
/* Whoever waits gets what is known. */
void entry_ready(struct cached_name *e);

/* Ask with the system's settings of now. What was being asked is asked again. */
void entries_restart(struct resolver *r);
/* For the timer `idle`: nothing has been asked for a while. `arg` is the resolver. */
void entries_idle(void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * entry.h - what tunnels and tun2socks instances have in common: a name, and a place in the
 * registry, which configures, finds, buries and frees entries of every kind by the table of the
 * kind.
 *
 * An entry is freed at the top of the stack only: whoever removes it from inside a callback buries
 * it, and the end of the turn, or of the API call, frees it.
 */
#ifndef ENGINE_ENTRY_H
#define ENGINE_ENTRY_H

#include "daemon/engine/core/core.h"

enum { ENTRY_NAME_SIZE = 65 };

struct entry {
    struct list node; /* in udptun_engine.entries or .dead */
    const struct entry_kind *kind;
    char name[ENTRY_NAME_SIZE];
};

/* What it takes to get from one configuration to another. */
enum entry_change {
    ENTRY_SAME,    /* nothing but maybe the callbacks */
    ENTRY_LIVE,    /* it runs on */
    ENTRY_REBUILD, /* it has to be made again */
};

/* What an entry offers whose packets come from another one of the engine. */
struct entry_pipe {
    /* It has a pipe as it is; as `config` says, where that is not NULL. */
    bool (*offered)(const struct entry *o, const void *config);
    /* The pipe's other end for `user`, a socket that is the caller's; or NO_SOCKET: there is none,
     * or another user has it. It is kept for `user` until close(). */
    udptun_socket (*open)(struct entry *o, const char *user);
    void (*close)(struct entry *o, const char *user);
};

struct entry_kind {
    const char *what; /* "tunnel", for messages */
    /* An owned copy of what the app gave, checked and parsed; or NULL and `err`. */
    void *(*config_new)(const void *given, struct udptun_error *err);
    void (*config_free)(void *config);
    const char *(*config_name)(const void *config);
    /* The entries that it names are there and fit. NULL: it names none that must. */
    int (*config_check)(const struct udptun_engine *e, const void *config,
                        struct udptun_error *err);
    enum entry_change (*compare)(const struct entry *o, const void *config);
    /* ENTRY_SAME: the callbacks alone are taken from it. */
    void (*adopt)(struct entry *o, const void *config);
    /* ENTRY_LIVE: takes the configuration over; on failure it stays the caller's. */
    int (*reconfigure)(struct entry *o, void *config, struct udptun_error *err);
    /* A running entry; the configuration becomes its own. `old` (NULL: none) is what it is to
     * replace, and still runs; what both need passes from it. NULL and `err`: `old` runs on, and
     * the configuration stays the caller's. */
    struct entry *(*start)(struct udptun_engine *e, void *config, struct entry *old,
                           struct udptun_error *err);
    /* It is in the registry. May be NULL. The app may do anything in here. */
    void (*started)(struct entry *o);
    /* The app is told that it is removed; `with_engine`: because the engine ends. */
    void (*removed)(struct entry *o, bool with_engine);
    /* It ends for all who look; not freed, and not told. */
    void (*bury)(struct entry *o);
    /* Nothing of it is on the stack. */
    void (*free)(struct entry *o);
    /* It names `name`, of whichever kind that is. */
    bool (*uses)(const struct entry *o, const char *name);
    /* It can go on with `used`, which it names, as that is to be. NULL: with anything. */
    int (*fits)(const struct entry *o, const struct entry *used, const void *config,
                struct udptun_error *err);
    /* What it names is in another state. May be NULL. */
    void (*used_state)(struct entry *o, const char *name, enum udptun_state state,
                       const char *reason);
    /* The host's network changed. */
    void (*network_changed)(struct entry *o);
    const struct entry_pipe *pipe; /* NULL: entries of this kind offer none */
};

#endif

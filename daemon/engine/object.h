/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object.h - what tunnels and tun2socks instances have in common: a name, and a place in the
 * registry, which configures, finds, buries and frees objects of every kind by the table of the
 * kind.
 *
 * An object is freed at the top of the stack only: whoever removes it from inside a callback buries
 * it, and the end of the turn, or of the API call, frees it.
 */
#ifndef ENGINE_OBJECT_H
#define ENGINE_OBJECT_H

#include "daemon/engine/core.h"

enum { OBJECT_NAME_SIZE = 65 };

struct object {
    struct list node; /* in udptun_engine.objects or .dead */
    const struct object_kind *kind;
    char name[OBJECT_NAME_SIZE];
};

/* What it takes to get from one configuration to another. */
enum object_change {
    OBJECT_SAME,    /* nothing but maybe the callbacks */
    OBJECT_LIVE,    /* it runs on */
    OBJECT_REBUILD, /* it has to be made anew */
};

struct object_kind {
    const char *what; /* "tunnel", for messages */
    /* An owned copy of what the app gave, checked and parsed; or NULL and `err`. */
    void *(*config_new)(const void *given, struct udptun_error *err);
    void (*config_free)(void *config);
    const char *(*config_name)(const void *config);
    /* The objects that it names are there and fit. NULL: it names none that must. */
    int (*config_check)(const struct udptun_engine *e, const void *config,
                        struct udptun_error *err);
    enum object_change (*compare)(const struct object *o, const void *config);
    /* OBJECT_SAME: the callbacks alone are taken from it. */
    void (*adopt)(struct object *o, const void *config);
    /* OBJECT_LIVE: takes the configuration over; on failure it stays the caller's. */
    int (*reconfigure)(struct object *o, void *config, struct udptun_error *err);
    /* A running object; the configuration becomes its own. `old` (NULL: none) is what it is to
     * replace, and still runs; what both need passes from it. NULL and `err`: `old` runs on, and
     * the configuration stays the caller's. */
    struct object *(*start)(struct udptun_engine *e, void *config, struct object *old,
                            struct udptun_error *err);
    /* It is in the registry. May be NULL. The app may do anything in here. */
    void (*started)(struct object *o);
    /* The app is told that it is removed; `with_engine`: because the engine ends. */
    void (*removed)(struct object *o, bool with_engine);
    /* It ends for all who look; not freed, and not told. */
    void (*bury)(struct object *o);
    /* Nothing of it is on the stack. */
    void (*free)(struct object *o);
    /* It names `name`, of whichever kind that is. */
    bool (*uses)(const struct object *o, const char *name);
    /* It can go on with `used`, which it names, as that is to be. NULL: with anything. */
    int (*fits)(const struct object *o, const struct object *used, const void *config,
                struct udptun_error *err);
    /* What it names is in another state. May be NULL. */
    void (*used_state)(struct object *o, const char *name, enum udptun_state state,
                       const char *reason);
};

#endif

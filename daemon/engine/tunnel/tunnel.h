/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel.h - one tunnel: a protocol machine, what it listens on, and the streams it runs over.
 *
 * The role's own part is in udp_local.h or udp_server.h. Whoever calls into the machine calls
 * tunnel_touch() afterwards, so that the end of the turn writes what has come of it.
 *
 * A tunnel is freed at the top of the stack only: a removal from inside a callback closes what
 * it listens on and leaves the rest to the end of the turn.
 */
#ifndef ENGINE_TUNNEL_H
#define ENGINE_TUNNEL_H

#include "daemon/engine/core/cap.h"
#include "daemon/engine/core/core.h"
#include "daemon/engine/core/entry.h"
#include "daemon/engine/settings/tunnel_settings.h"
#include "daemon/engine/streams/listening.h"

struct tunnel;
struct udp_local;
struct udp_server;

/* What a role does: local/ has one table, server/ the other. Of an optional function NULL does
 * nothing. */
struct role_ops {
    const char *module;            /* in log lines */
    enum udptun_state first_state; /* once it runs */
    size_t flow_size;              /* what it keeps behind a binding; begins with a flow_head */
    /* Make the role's part and the machine; nothing is listened on yet. On failure free() follows.
     */
    int (*start)(struct tunnel *t, struct udptun_error *err);
    /* Watch t->listening, which may be none: UDPTUN_OK or UDPTUN_E_NOMEM. unlisten() is harmless
     * when it is not watched. */
    int (*listen)(struct tunnel *t);
    void (*unlisten)(struct tunnel *t);
    /* The configuration is about to be replaced by one that needs no rebuild. Nothing is changed
     * when this fails. Optional. */
    int (*configure)(struct tunnel *t, const struct tunnel_settings *config,
                     struct udptun_error *err);
    /* It was replaced. Optional. */
    void (*configured)(struct tunnel *t);
    /* The host's addresses or routes may be others. Optional. */
    void (*network_changed)(struct tunnel *t);
    /* The tunnel ends: nobody outside it keeps a pointer to it. Optional. */
    void (*bury)(struct tunnel *t);
    /* After the machine is gone. Harmless when there is no such part. */
    void (*free)(struct tunnel *t);
};

struct tunnel {
    struct entry entry;
    struct list dirty; /* in udptun_engine.dirty */
    struct udptun_engine *engine;
    struct tunnel_settings *config;
    const struct role_ops *role;
    struct resolver *resolver;
    struct udptun_machine *machine;  /* NULL while disabled */
    struct listening listening;      /* kind URL_NONE: none */
    struct udp_local *local;         /* either this ... */
    struct udp_server *server;       /* ... or that; NULL while disabled */
    struct list carriers;            /* struct carrier.node */
    struct list pings;               /* struct app_ping.node */
    struct timer deadline;           /* the machine's */
    uint64_t armed_us;               /* what `deadline` was set to */
    struct timer listen_check;       /* while the address that it listens on is gone */
    uint64_t listen_check_us;        /* what that was set to last; 0: the host has the address */
    enum udptun_state running_state; /* what `state` is apart from that */
    bool configure_pending;          /* the machine was busy when the configuration changed */
    enum udptun_machine_stop_kind farewell; /* what its peers are told when it is freed */
    bool dead;                              /* removed: nothing more is told to the app */
    enum udptun_state state;
    uint64_t started_us;
    unsigned room_wanted;         /* flows that found no descriptor or port in this turn */
    struct cap_note cap;          /* a limit that its part of the engine has reached */
    struct log_gate machine_gate; /* lines of the machine that a stranger can cause */
    char last_error[256];
};

static inline const char *tunnel_name(const struct tunnel *t)
{
    return t->entry.name;
}

extern const struct entry_kind tunnel_kind; /* tunnel_entry.c */

/* NULL: there is none of that name; `name` may be NULL. */
struct tunnel *tunnel_find(const struct udptun_engine *e, const char *name);

static inline struct tunnel *tunnel_of(struct entry *o)
{
    return list_entry(o, struct tunnel, entry);
}

static inline const struct udptun_callbacks *tunnel_callbacks(const struct tunnel *t)
{
    return &t->config->given.callbacks;
}

/* "local" or "server", the module in log lines. */
const char *tunnel_module(const struct tunnel *t);

/*
 * Make and start a tunnel; `config` becomes its own on success. `heir_of` (may be NULL) is the
 * tunnel that it is to replace: a listener on the same address is taken over from it, and given
 * back when this fails.
 */
struct tunnel *tunnel_new(struct udptun_engine *e, struct tunnel_settings *config,
                          struct tunnel *heir_of, struct udptun_error *err);

/* Tell the peers and free everything. Nothing of the tunnel may be on the stack. */
void tunnel_free(struct tunnel *t);

/* Stop listening at once and never call the app again. What remains is tunnel_free()'s; see
 * registry_bury(). */
void tunnel_bury(struct tunnel *t);

/* Take over a configuration that differs in what can change while running. */
int tunnel_reconfigure(struct tunnel *t, struct tunnel_settings *config, struct udptun_error *err);

/* The one place where the state changes: logs it and tells the app. */
void tunnel_enter_state(struct tunnel *t, enum udptun_state state, const char *reason);

/* Names may have other addresses now, a dial that was waiting need not wait, and the address that
 * it listens on may be gone, or back: without it the tunnel is UDPTUN_FAILED. */
void tunnel_network_changed(struct tunnel *t);

/* Note `text` as the last error, for status. */
void tunnel_note_error(struct tunnel *t, const char *text);

/* The machine was called: have its output written and its deadline kept. */
void tunnel_touch(struct tunnel *t);

/* End of the turn: each that was touched writes and arms its timer. */
void tunnels_flush(struct udptun_engine *e);

/* A line of the machine's. */
void tunnel_log_machine(struct tunnel *t, enum udptun_machine_log level, const char *text);

/* What its sockets to the network have to meet, the app's hook included. */
struct socket_rules tunnel_rules(const struct tunnel *t);

/* Call callbacks.ready. */
void tunnel_tell_ready(struct tunnel *t);

#endif

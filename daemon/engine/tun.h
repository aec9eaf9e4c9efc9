/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tun.h - a tun2socks instance in the engine: its device on the loop, its flows' other ends.
 *
 *     tun2socks ─ tun_host.c ┬ tun_loop.c        is a new flow one of our own sockets?
 *                            ├ tun_stream.c      TCP: a dialled stream per flow
 *                            └ tun_udp.c         UDP, by what `udp` says:
 *                                ├ tun_udp_tunnel.c   a front of a udp-local
 *                                ├ tun_udp_socks5.c   a SOCKS5 proxy's UDP relay
 *                                └ tun_udp_direct.c   sockets
 *
 * tun.c has the life and the device, tun_app.c a device of the app's own, tun_registry.c the public
 * functions.
 */
#ifndef ENGINE_TUN_H
#define ENGINE_TUN_H

#include "daemon/engine/local.h"
#include "daemon/engine/tun_config.h"
#include "tun2socks/tun2socks.h"

struct tun;
struct tun_binding;

/* What UDP goes through. */
struct tun_udp_ops {
    /* A datagram of a binding, whose part of the host is `*binding` (NULL: it is new). */
    void (*datagram)(struct tun *t, struct tun_binding **binding, const struct endpoint *source,
                     const struct endpoint *destination, const void *data, size_t size);
    void (*binding_close)(struct tun *t, struct tun_binding *binding);
};

enum tun_side { TUN_SIDE_LOOP, TUN_SIDE_TCP, TUN_SIDE_UDP, TUN_SIDE_COUNT };

struct tun {
    struct object object;
    struct udptun_engine *engine;
    struct tun_config *config;
    struct tun2socks *stack; /* NULL while disabled */
    struct resolver *resolver;
    ev_io device;       /* tun2socks_fd(), while there is one */
    ev_timer deadline;  /* what tun2socks_tick() asked for */
    ev_timer reopen;    /* after the device was lost */
    ev_timer loop_over; /* since the last packet of our own */
    ev_prepare turn_end;
    bool is_watching; /* `device` is active */
    bool is_closing;  /* being freed: nothing new begins */
    uint64_t armed_us;
    const struct tun_udp_ops *udp;  /* what made the bindings */
    bool configure_pending;         /* a callback of the app changed the configuration */
    bool udp_pending;               /* `udp` is that of the former one: it takes no datagrams */
    struct front front;             /* TUN_TUNNEL: a guest of the udp-local */
    int associated;                 /* TUN_SOCKS5: 1, 0, or -1: not known */
    uint64_t unassociated_until_us; /* then a TCP connection is tried again */
    uint64_t associate_after_us;    /* an attempt failed: no other before */
    enum udptun_state state;
    uint64_t started_us;
    char device_name[160];
    uint32_t mtu;
    char last_error[256];
    char far_error[TUN_SIDE_COUNT][120]; /* "": that side works, as far as is known */
    struct log_gate gate;
    uint8_t *packet;  /* TUN_DEVICE_APP: one in one piece, for the app */
    struct list held; /* struct held_packet.node, of the app, until the turn ends */
    unsigned held_count;
    bool has_batch;                   /* packets of the app came since the last turn's end */
    int pipe_fd;                      /* TUN_DEVICE_PIPE: the other end; else -1 */
    char pipe_user[OBJECT_NAME_SIZE]; /* the server that has a copy of it, "": none */
};

/* ---- tun.c */
extern const struct object_kind tun_kind;

static inline struct tun *tun_of(struct object *o)
{
    return list_entry(o, struct tun, object);
}

/* `config` becomes its own on success. `old` (NULL: none) gives its device up where both want the
 * same, and has it back when this fails. */
struct tun *tun_new(struct udptun_engine *e, struct tun_config *config, struct tun *old,
                    struct udptun_error *err);
void tun_free(struct tun *t);
/* Lets its device go and takes nothing more. What remains is tun_free()'s. */
void tun_bury(struct tun *t);
/* Take over a configuration that needs no rebuild. */
void tun_reconfigure(struct tun *t, struct tun_config *config);
/* The one place where the state changes. */
void tun_enter_state(struct tun *t, enum udptun_state state, const char *reason);
/* What lies behind one side of the instance (a proxy, a tunnel) failed, or works: `reason` NULL. */
void tun_far_end(struct tun *t, enum tun_side side, const char *reason);
struct socket_rules tun_rules(const struct tun *t);

static inline const char *tun_name(const struct tun *t)
{
    return t->object.name;
}

/* ---- tun_app.c */
struct device *tun_app_open(struct tun *t, uint32_t mtu, struct udptun_error *err);
void tun_app_turn_end(struct tun *t);
void tun_app_free(struct tun *t);

/* ---- tun_host.c */
void tun_fill_config(struct tun *t, struct tun2socks_config *config);

/* ---- tun_loop.c */
void tun_loop_init(struct tun *t);
void tun_loop_stop(struct tun *t);
/* For tun2socks_config.own_source: note the loop. `arg` is the instance. */
bool tun_loop_check(void *arg, bool is_stream, const struct endpoint *source,
                    const struct endpoint *destination);

/* ---- tun_stream.c */
extern const struct tun2socks_stream_host tun_stream_host;

/* ---- tun_udp.c and its kinds */
extern const struct tun2socks_datagram_host tun_datagram_host;
extern const struct tun_udp_ops tun_udp_tunnel_ops, tun_udp_socks5_ops, tun_udp_direct_ops;
/* The front that an instance has in udp-locals. */
void tun_udp_tunnel_init(struct tun *t);
/* The udp-local that it names is in another state. */
void tun_udp_tunnel_state(struct tun *t, enum udptun_state state, const char *reason);
/* The instance is a guest of no udp-local any more. */
void tun_udp_tunnel_leave(struct tun *t);
/* ICMP for what a socket reported about datagrams to `to`. */
void tun_udp_failed(struct tun *t, const struct endpoint *source, const struct endpoint *to,
                    int sys_errno, uint32_t mtu);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway.h - a tun2socks instance in the engine: its device on the loop, its flows' other ends.
 *
 *     tun2socks ─ gateway_host.c ┬ gateway_loop.c            is a new flow one of our own sockets?
 *                                ├ gateway_tcp.c             TCP: a dialled stream per flow
 *                                └ gateway_udp.c             UDP: to port 53 by gateway_dns.c, if
 * there │                       is a `dns`; else by what `udp` says: ├ gateway_udp_tunnel.c  a
 * guest of a udp-local ├ gateway_udp_socks5.c  a SOCKS5 proxy's UDP relay └ gateway_udp_direct.c
 * sockets
 *
 * gateway.c has the life and the device, device_app.c a device of the app's own, gateways.c the
 * public functions.
 */
#ifndef ENGINE_GATEWAY_H
#define ENGINE_GATEWAY_H

#include "daemon/engine/gateway/gateway_dns.h"
#include "daemon/engine/local/udp_local.h"
#include "daemon/engine/settings/gateway_settings.h"
#include "tun2socks/tun2socks.h"

struct gateway;

/* What UDP goes through. */
struct gateway_udp_ops {
    /* A datagram of a binding, whose part of the host is `*binding` (NULL: it is new). */
    void (*datagram)(struct gateway *t, void **binding, const struct udptun_endpoint *source,
                     const struct udptun_endpoint *destination, const void *data, size_t size);
    void (*binding_close)(struct gateway *t, void *binding);
};

enum gateway_side { GATEWAY_SIDE_LOOP, GATEWAY_SIDE_TCP, GATEWAY_SIDE_UDP, GATEWAY_SIDE_COUNT };

struct gateway {
    struct entry entry;
    struct udptun_engine *engine;
    struct gateway_settings *config;
    struct tun2socks *stack; /* NULL while disabled */
    struct resolver *resolver;
    struct timer deadline;  /* what tun2socks_tick() asked for */
    struct timer reopen;    /* after the device was lost */
    uint64_t reopen_us;     /* what that was set to last; 0: the device is there */
    struct timer loop_over; /* since the last packet of our own */
    struct turn_work work;
    bool is_closing; /* being freed: nothing new begins */
    uint64_t armed_us;
    const struct gateway_udp_ops *udp; /* what made the bindings; NULL: GATEWAY_REJECT */
    struct gateway_dns *dns;           /* NULL: questions go where the apps send them */
    bool configure_pending;            /* a callback of the app changed the configuration */
    bool udp_pending;                  /* `udp` is that of the former one: it takes no datagrams */
    bool dns_pending;                  /* likewise of `dns` */
    struct front front;                /* GATEWAY_TUNNEL: a guest of the udp-local */
    int associated;                    /* GATEWAY_SOCKS5: 1, 0, or -1: not known */
    struct udptun_endpoint relays[UDPTUN_TUN2SOCKS_MAX_RELAYS]; /* that the proxy has named */
    size_t relay_count;
    uint64_t unassociated_until_us; /* then a TCP connection is tried again */
    uint64_t associate_after_us;    /* an attempt failed: no other before */
    enum udptun_state state;
    uint64_t started_us;
    char device_name[160];
    uint32_t mtu;
    char last_error[256];
    char far_error[GATEWAY_SIDE_COUNT][240]; /* "": that side works, as far as is known */
    unsigned room_wanted;                    /* flows that found no descriptor in this turn */
    struct cap_note cap;                     /* a limit that it has reached */
    struct log_gate gate;
    uint8_t *packet;  /* GATEWAY_DEVICE_APP: one in one piece, for the app */
    struct list held; /* struct held_packet.node, of the app, until the turn ends */
    unsigned held_count;
    bool has_batch;                  /* packets of the app came since the last turn's end */
    udptun_socket pipe;              /* GATEWAY_DEVICE_PIPE: the other end; else NO_SOCKET */
    char pipe_user[ENTRY_NAME_SIZE]; /* the server that has a copy of it, "": none */
};

/* ---- gateway.c */
extern const struct entry_kind gateway_kind; /* gateway_entry.c */

/* NULL: there is none of that name. */
struct gateway *gateway_find(const struct udptun_engine *e, const char *name);

static inline struct gateway *gateway_of(struct entry *o)
{
    return list_entry(o, struct gateway, entry);
}

/* `config` becomes its own on success. `old` (NULL: none) gives its device up where both want the
 * same, and has it back when this fails. */
struct gateway *gateway_new(struct udptun_engine *e, struct gateway_settings *config,
                            struct gateway *old, struct udptun_error *err);
void gateway_free(struct gateway *t);
/* Lets its device go and takes nothing more. What remains is gateway_free()'s. */
void gateway_bury(struct gateway *t);
/* Take over a configuration that needs no rebuild. */
void gateway_reconfigure(struct gateway *t, struct gateway_settings *config);
/* The one place where the state changes. */
void gateway_enter_state(struct gateway *t, enum udptun_state state, const char *reason);
/* What lies behind one side of the instance (a proxy, a tunnel) failed, or works: `reason` NULL. */
void gateway_far_end(struct gateway *t, enum gateway_side side, const char *reason);
/* There is no descriptor for `what`, "a UDP flow": said, and a flow that has been idle makes room
 * at the end of the turn, for the next attempt. */
void gateway_lacks_socket(struct gateway *t, const char *what);
/* A device that was lost may be there again. */
void gateway_network_changed(struct gateway *t);
struct socket_rules gateway_rules(const struct gateway *t);

static inline const char *gateway_name(const struct gateway *t)
{
    return t->entry.name;
}

/* ---- device_app.c */
struct device *device_app_open(struct gateway *t, uint32_t mtu, struct udptun_error *err);
void device_app_turn_end(struct gateway *t);
void device_app_free(struct gateway *t);

/* ---- gateway_host.c */
void gateway_fill_config(struct gateway *t, struct tun2socks_config *config);

/* ---- gateway_loop.c */
void gateway_loop_init(struct gateway *t);
void gateway_loop_stop(struct gateway *t);
/* For tun2socks_config.own_source: note the loop. `arg` is the instance. */
bool gateway_loop_check(void *arg, bool is_stream, const struct udptun_endpoint *source,
                        const struct udptun_endpoint *destination);

/* ---- gateway_tcp.c */
extern const struct tun2socks_stream_host gateway_tcp_host;

/* ---- gateway_udp.c and its kinds */
extern const struct tun2socks_datagram_host gateway_udp_host;
extern const struct gateway_udp_ops gateway_udp_tunnel_ops, gateway_udp_socks5_ops,
    gateway_udp_direct_ops;
/* The front that an instance has in udp-locals. */
void gateway_udp_tunnel_init(struct gateway *t);
/* The udp-local that it names is in another state. */
void gateway_udp_tunnel_state(struct gateway *t, enum udptun_state state, const char *reason);
/* The instance is a guest of no udp-local any more. */
void gateway_udp_tunnel_leave(struct gateway *t);
/* A datagram for an app, and that `to` cannot be reached from there: also for the paths of
 * gateway_dns.h. */
void gateway_udp_deliver(struct gateway *t, const struct udptun_endpoint *app,
                         const struct udptun_endpoint *from, const void *data, size_t size);
void gateway_udp_unreachable(struct gateway *t, const struct udptun_endpoint *app,
                             const struct udptun_endpoint *to, enum tun2socks_unreachable why,
                             uint32_t mtu);
/* ICMP for what a socket reported about datagrams to `to`. */
void gateway_udp_failed(struct gateway *t, const struct udptun_endpoint *source,
                        const struct udptun_endpoint *to, enum io why, uint32_t mtu);

#endif

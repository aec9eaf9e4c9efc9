/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tun2socks.h - instances of tun2socks: IP packets of a device become streams and datagrams.
 *
 * Threads, ownership, versions and units: see <udptun/engine.h>, which includes this.
 */
#ifndef UDPTUN_TUN2SOCKS_H
#define UDPTUN_TUN2SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <udptun/error.h>
#include <udptun/types.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * IP packets of a device in, streams and datagrams out: TCP through a proxy, UDP into a tunnel of
 * this engine or through a proxy. Instances and tunnels share one namespace. All instances of a
 * process live on one thread, and a library that was built without tun2socks has none:
 * UDPTUN_E_UNSUPPORTED.
 */
struct udptun_tun2socks_config {
    size_t size;
    const char *name;      /* 1 to 64 of A-Za-z0-9._- ; required */
    const char *device;    /* "tun:NAME", "fd:", "unix:PATH", "pipe" or "app:" (the app
                              hands packets over by functions); required */
    int fd;                /* with "fd:": packets on it; the engine's own copy is made (-1) */
    const char *address;   /* "10.0.0.1/24", of a tun: device (none) */
    const char *address6;  /* "fd00::1/64" (none) */
    int64_t mtu;           /* 1280 to 65535 (65535 with segmentation offload, else 9000) */
    const char *tcp;       /* "socks5://[USER:PASS@]HOST:PORT", "direct" or "reject" (reject) */
    const char *udp;       /* "tunnel:NAME", "socks5://...", "direct" or "reject" (reject) */
    const char *icmp_echo; /* "reply" or "drop" (reply) */
    bool block_quic;       /* UDP port 443 is answered with ICMP port unreachable (false) */
    int64_t max_tcp_flows; /* (4096), 1 to 1048576 */
    int64_t max_udp_flows; /* (16384), 1 to 1048576 */
    int64_t udp_flow_timeout_s; /* (300), 1 to 86400 */
    int64_t mark;               /* SO_MARK of its sockets, Linux (none), 0 to 4294967295 */
    const char *bind_device;    /* SO_BINDTODEVICE, Linux (none) */
    bool enabled;               /* (true) */
    void *arg;                  /* of the callbacks below */
    /* As udptun_callbacks.state. NULL: none. */
    void (*state)(void *arg, const char *name, enum udptun_state state, const char *reason);
    /* "app:": an IP packet for the app's device, in one piece, valid until this returns. Called
     * from deep inside: what it changes by functions of this header happens when the turn ends. */
    void (*packet)(void *arg, const char *name, const void *data, size_t size);
    /* "HOST:PORT": DNS questions of the apps, to port 53 of whatever address, go to this server,
     * over `udp` and `tcp`; answers come from the address that was asked. A name is looked up by
     * the far end, so neither may be "direct" then (none) */
    const char *dns;
    int64_t dns_cache; /* answers that are kept (1024; 0 without `dns`), 0 to 65536 */
};

UDPTUN_API void udptun_tun2socks_config_init_sized(struct udptun_tun2socks_config *config,
                                                   size_t size);

/* Sets `size` and every default. */
static inline void udptun_tun2socks_config_init(struct udptun_tun2socks_config *config)
{
    udptun_tun2socks_config_init_sized(config, sizeof *config);
}

/* As udptun_tunnel_config_check(). */
UDPTUN_API int udptun_tun2socks_config_check(const struct udptun_tun2socks_config *config,
                                             struct udptun_error *err);

/*
 * As udptun_configure(). A change of device, address or mtu makes the instance again; of `udp` it
 * ends the UDP flows; anything else leaves flows alone. UDPTUN_E_NOT_FOUND: the tunnel that `udp`
 * names is absent; UDPTUN_E_CONFLICT: a tunnel has that name, the device is taken, or another
 * thread of the process has instances; UDPTUN_E_PERMISSION. On failure what ran before runs on.
 */
UDPTUN_API int udptun_tun2socks_configure(udptun_engine *engine,
                                          const struct udptun_tun2socks_config *config,
                                          bool *changed, struct udptun_error *err);

/* End an instance and its flows. UDPTUN_E_NOT_FOUND; UDPTUN_E_CONFLICT: a tunnel's `egress` names
 * it. */
UDPTUN_API int udptun_tun2socks_remove(udptun_engine *engine, const char *name,
                                       struct udptun_error *err);

/*
 * device "app:": an IP packet that the app's device has read; copied. Any number of them make one
 * batch of a turn of the loop. 0, UDPTUN_E_NOT_FOUND (no such instance, or it does not run),
 * UDPTUN_E_INVALID (another device, or no packet: 1 to 65,575 bytes), UDPTUN_E_LIMIT (it has to
 * wait for the end of the turn, since this is inside the callback `packet` or behind one that was
 * handed over there, and too many do).
 */
UDPTUN_API int udptun_tun2socks_packet(udptun_engine *engine, const char *name, const void *data,
                                       size_t size);

#define UDPTUN_TUN2SOCKS_MAX_DROPS  24
#define UDPTUN_TUN2SOCKS_MAX_RELAYS 16

struct udptun_tun2socks_status {
    char name[65];
    /* ESTABLISHED; DEGRADED: its proxy could not be reached the last time, or its tunnel does not
     * run; FAILED: the device is gone, it is tried again; DISABLED */
    enum udptun_state state;
    char last_error[256]; /* "" when there is none */
    char device[160];     /* "tun:tun0", with the real name */
    uint32_t mtu;
    char tcp[UDPTUN_URL_SIZE]; /* without user and password */
    char udp[UDPTUN_URL_SIZE];
    int associated;     /* udp "socks5://": 1 by UDP ASSOCIATE, 0 without, -1: not known */
    uint64_t tcp_flows; /* alive */
    uint64_t udp_flows;
    uint64_t tcp_refused;
    uint64_t tx_packets; /* from the device */
    uint64_t rx_packets; /* to the device */
    uint64_t tx_bytes;
    uint64_t rx_bytes;
    size_t drop_count;
    struct {
        const char *cause; /* "malformed"; static storage */
        uint64_t packets;
    } dropped[UDPTUN_TUN2SOCKS_MAX_DROPS];
    uint64_t uptime_s;
    char dns[UDPTUN_URL_SIZE]; /* "": questions go where the apps send them; the rest is 0 then */
    uint64_t dns_questions;    /* of apps, over UDP */
    uint64_t dns_cached;       /* of these, answered from the cache */
    uint64_t dns_shared;       /* that waited for the answer to an equal one */
    uint64_t dns_unanswered;   /* the server gave no answer, or it was no question */
    uint64_t dns_entries;      /* answers in the cache now */
    /* udp "socks5://": the addresses that the proxy has named for datagrams, "HOST:PORT", the first
     * ones only. Who routes the machine's traffic into the device keeps them outside. */
    size_t relay_count;
    char relays[UDPTUN_TUN2SOCKS_MAX_RELAYS][72];
    bool at_limit; /* a limit was reached in the last minute; last_error says which */
};

/* Fill `status`. UDPTUN_E_NOT_FOUND. */
UDPTUN_API int udptun_tun2socks_status(udptun_engine *engine, const char *name,
                                       struct udptun_tun2socks_status *status);

/* Call `each` with the name of every instance in alphabetical order. */
UDPTUN_API void udptun_each_tun2socks(udptun_engine *engine,
                                      void (*each)(void *arg, const char *name), void *arg);

#ifdef __cplusplus
}
#endif

#endif

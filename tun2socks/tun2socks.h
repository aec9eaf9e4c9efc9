/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tun2socks.h - IP packets on one side, streams and datagrams on the other.
 *
 * An instance takes the packets of one device apart. For every TCP flow it asks its host for a
 * stream to the flow's destination, for every UDP datagram it hands the host source, destination
 * and payload; what the host gives back becomes packets again. It opens no connection and knows
 * neither proxies nor tunnels nor an event loop: the host watches the device, keeps a clock, and
 * comes back when tun2socks_tick() asks for it.
 *
 * Threads: all instances of a process live on one thread, that of the first (lwIP has one copy of
 * its state); tun2socks_new() on another fails with UDPTUN_E_CONFLICT.
 *
 * The host's functions are called from inside the functions below, never from inside lwIP, and
 * may call any of them but tun2socks_free().
 */
#ifndef TUN2SOCKS_TUN2SOCKS_H
#define TUN2SOCKS_TUN2SOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <udptun/error.h>

#include "daemon/platform/result.h"
#include "daemon/platform/span.h"

#include "proto/endpoint.h"

struct budget;
struct device;
struct tun2socks;
struct tun2socks_flow;

/* ---- what the host does --------------------------------------------------------------------- */

/* Streams for TCP. `stream` is what stream_open() set, the host's own. */
struct tun2socks_stream_host {
    /* A stream from `source` to `destination` is wanted: IO_OK and `*stream`, to be followed by
     * tun2socks_connected() or _refused(); or why not. */
    enum io (*stream_open)(void *arg, struct tun2socks_flow *flow,
                           const struct udptun_endpoint *source,
                           const struct udptun_endpoint *destination, void **stream);
    /* Take bytes of the app: how many were taken; when not all were, tun2socks_writable() says
     * when to try again. Negative: the stream is broken (the app gets a reset). */
    ssize_t (*stream_write)(void *stream, const struct io_span *parts, int count);
    /* The app sends no more. */
    void (*stream_end)(void *stream);
    /* tun2socks_buffer() is no longer 0. */
    void (*stream_room)(void *stream);
    /* The flow is over and must not be named any more; also after _refused() and _failed(). */
    void (*stream_close)(void *stream);
};

/* Datagrams for UDP. */
struct tun2socks_datagram_host {
    /* A datagram of a binding. `*binding` belongs to the host: NULL on a binding's first
     * datagram, then what the host left in it. */
    void (*datagram)(void *arg, void **binding, const struct udptun_endpoint *source,
                     const struct udptun_endpoint *destination, const void *data, size_t size);
    /* The binding idled or made room. `binding` is not NULL. */
    void (*binding_close)(void *arg, void *binding);
    /* All that was ready on the device was handed over: time to send what was gathered. May be
     * NULL. */
    void (*batch_end)(void *arg);
};

/* The device can no longer be read; the instance is idle until tun2socks_attach(). */
typedef void tun2socks_device_lost(void *arg, const struct udptun_error *err);

enum tun2socks_cap { TUN2SOCKS_CAP_TCP, TUN2SOCKS_CAP_UDP };

struct tun2socks_config {
    void *arg;                                       /* of the host's functions */
    const uint64_t *now_us;                          /* the host's clock, any that never goes back:
                                                        right whenever it calls */
    const struct tun2socks_stream_host *streams;     /* NULL: every TCP flow is refused */
    const struct tun2socks_datagram_host *datagrams; /* NULL: every datagram is answered with
                                                        ICMP port unreachable */
    tun2socks_device_lost *device_lost;              /* may be NULL */
    /* A socket of the host itself sends from `source`: its packets must not become a flow. Asked
     * once for each new flow. NULL: there is none. */
    bool (*own_source)(void *arg, bool is_stream, const struct udptun_endpoint *source,
                       const struct udptun_endpoint *destination);
    /* As many flows as there may be are alive, and one more is wanted. NULL: nobody is told. */
    void (*at_cap)(void *arg, enum tun2socks_cap cap);
    struct budget *budget;                 /* of what the flows' buffers hold; NULL:
                                              there is no limit */
    uint8_t hash_key[16];                  /* random */
    bool echo_reply;                       /* answer ICMP echo, or drop it */
    bool block_quic;                       /* UDP port 443: ICMP port unreachable */
    uint32_t max_tcp_flows, max_udp_flows; /* at least 1 */
    uint32_t tcp_idle_s, tcp_ending_s;     /* both sides open; one or both ended */
    uint32_t udp_idle_s, udp_dns_idle_s;   /* the latter: only to port 53 so far */
};

/* ---- an instance ---------------------------------------------------------------------------- */

/* Takes the device, also when it fails (NULL): UDPTUN_E_NOMEM, or UDPTUN_E_CONFLICT when another
 * thread of the process has instances. */
struct tun2socks *tun2socks_new(const struct tun2socks_config *config, struct device *device,
                                struct udptun_error *err);

/* Ends every flow (resets, stream_close, binding_close) and closes the device. */
void tun2socks_free(struct tun2socks *t);

/* What may change while it runs: caps, timeouts, echo_reply, block_quic, and, when there are no
 * bindings (tun2socks_forget_bindings()), `datagrams`. */
void tun2socks_set(struct tun2socks *t, const struct tun2socks_config *config);

/* End every UDP binding (binding_close); the next datagram of each begins again. */
void tun2socks_forget_bindings(struct tun2socks *t);

/* A new device in place of the one it has, which is closed, or that was lost; flows live on. NULL:
 * none, for now. */
void tun2socks_attach(struct tun2socks *t, struct device *device);

/* Read what is there, up to a bound. True: there may be more, come again soon. */
bool tun2socks_readable(struct tun2socks *t);

/* A packet of a device without a descriptor; followed by tun2socks_batch_end(). */
void tun2socks_packet(struct tun2socks *t, const void *data, size_t size);
void tun2socks_batch_end(struct tun2socks *t);

/* The host has no socket for another flow: end the one that has been idle longest, of either kind.
 * False: every flow was active in the last second. */
bool tun2socks_make_room(struct tun2socks *t);

/* Let time pass. Returns when to call again at the latest; UINT64_MAX: nothing is timed. To be
 * asked after any of these functions. */
uint64_t tun2socks_tick(struct tun2socks *t);

/* ---- the host about a stream ------------------------------------------------------------------
 */
/* All but tun2socks_buffer() and _filled() may call stream_close() before they return. */

void tun2socks_connected(struct tun2socks_flow *flow);
/* IO_HOST_UNREACHABLE, IO_NET_UNREACHABLE and IO_TIMED_OUT become ICMP host unreachable, all else a
 * reset. stream_close() follows. */
void tun2socks_refused(struct tun2socks_flow *flow, enum io why);
/* Where bytes for the app are to be put, and how many have room there; 0: wait for stream_room();
 * negative: no memory, to be followed by tun2socks_failed(). Else followed by tun2socks_filled().
 */
ssize_t tun2socks_buffer(struct tun2socks_flow *flow, void **to);
/* So many bytes were put there. False: no memory, as above. */
bool tun2socks_filled(struct tun2socks_flow *flow, size_t size);
/* The far end sends no more. */
void tun2socks_ended(struct tun2socks_flow *flow);
/* stream_write() may be called again. */
void tun2socks_writable(struct tun2socks_flow *flow);
/* The stream broke: the app gets a reset. stream_close() follows. */
void tun2socks_failed(struct tun2socks_flow *flow);

/* ---- the host about datagrams ------------------------------------------------------------------
 */

/* From inside datagrams->datagram(): its sender asked routers not to fragment it (IPv4's DF), so it
 * wants to know where it does not pass. */
bool tun2socks_dont_fragment(const struct tun2socks *t);

/* A datagram for the app at `app`, from `source`: any address of the same family. False: it was
 * dropped, and counted. */
bool tun2socks_datagram(struct tun2socks *t, const struct udptun_endpoint *app,
                        const struct udptun_endpoint *source, const void *data, size_t size);

/* A datagram that was handed to the host is lost, and its app is not told: it is counted. */
void tun2socks_lost(struct tun2socks *t);

enum tun2socks_unreachable {
    TUN2SOCKS_PORT_UNREACHABLE,
    TUN2SOCKS_HOST_UNREACHABLE,
    TUN2SOCKS_PROHIBITED,
    TUN2SOCKS_TOO_BIG,
};

/* Datagrams of `app` do not reach `destination`: tell it by ICMP. `mtu` is for TOO_BIG. */
void tun2socks_unreachable(struct tun2socks *t, const struct udptun_endpoint *app,
                           const struct udptun_endpoint *destination,
                           enum tun2socks_unreachable why, uint32_t mtu);

/* A datagram of `app` that was handed to the host goes nowhere by intent: as with `datagrams` NULL.
 */
void tun2socks_reject(struct tun2socks *t, const struct udptun_endpoint *app,
                      const struct udptun_endpoint *destination);

/* ---- looking ------------------------------------------------------------------------------------
 */

/* X(symbol, name, what it counts) */
#define TUN2SOCKS_DROPS(X)                                                                         \
    X(MALFORMED, "malformed", "headers that are cut off or contradict the packet")                 \
    X(CHECKSUM, "checksum", "a checksum that is wrong")                                            \
    X(ADDRESS, "address", "a source or destination that is not a single host")                     \
    X(PROTOCOL, "protocol",                                                                        \
      "neither TCP nor UDP nor ICMP, or an IPv6 header that we do not serve")                      \
    X(ICMP, "icmp", "ICMP that is not answered")                                                   \
    X(TCP_LIMIT, "tcpLimit", "a new TCP flow beyond the cap, when no other was idle")              \
    X(REJECTED, "rejected", "refused by configuration")                                            \
    X(NO_BINDING, "noBinding", "a reply for an app that has no binding any more")                  \
    X(FAMILY, "family", "a reply of the other IP version than its app")                            \
    X(FRAGMENT, "fragment", "fragments that overlap, contradict or never complete")                \
    X(DEVICE, "device", "the device took no more")                                                 \
    X(MEMORY, "memory", "no memory")                                                               \
    X(FAR_END, "farEnd", "a datagram that what lies behind did not take")                          \
    X(STALE, "stale", "a datagram that waited too long for what lies behind")                      \
    X(LOOP, "loop", "a packet of our own that came back into the device")

enum tun2socks_drop {
#define TUN2SOCKS_DROP_ENUM(symbol, name, what) TUN2SOCKS_DROP_##symbol,
    TUN2SOCKS_DROPS(TUN2SOCKS_DROP_ENUM)
#undef TUN2SOCKS_DROP_ENUM
        TUN2SOCKS_DROP_COUNT
};

/* Count what the host dropped, in either direction. */
void tun2socks_count_drop(struct tun2socks *t, enum tun2socks_drop cause);

/* "malformed". */
const char *tun2socks_drop_name(enum tun2socks_drop drop);

struct tun2socks_counters {
    uint64_t rx_packets, rx_bytes; /* from the device */
    uint64_t tx_packets, tx_bytes; /* to the device */
    uint64_t tcp_flows, udp_flows; /* alive */
    uint64_t tcp_refused, evicted; /* by the far end; flows and bindings that made room */
    uint64_t dropped[TUN2SOCKS_DROP_COUNT];
};

/* Valid as long as the instance. */
const struct tun2socks_counters *tun2socks_counters(const struct tun2socks *t);

#endif

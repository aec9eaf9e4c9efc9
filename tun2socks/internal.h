/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - what the files of tun2socks share.
 *
 *   stack.c     an instance: device, lwIP's netif and listener, packets in and out
 *   tcp.c       the life of a TCP flow        tcp_data.c  its bytes from the app
 *                                            tcp_send.c  its bytes to the app
 *   tcp_out.c   lwIP's packets to the device  path.c      the largest packet to each app
 *   udp.c       bindings and datagrams        fragment.c  packets larger than that
 *   icmp.c      echo and errors               reassembly.c  fragments that come in
 *
 * No function of the host is called while lwIP is on the stack: lwIP's callbacks note what
 * happened and put the flow on `work`, which stack_work() does when lwIP has returned.
 */
#ifndef TUN2SOCKS_INTERNAL_H
#define TUN2SOCKS_INTERNAL_H

#include "lwip/netif.h"
#include "lwip/pbuf.h"
#include "lwip/port.h"
#include "lwip/tcp.h"

#include "daemon/platform/device.h"
#include "proto/budget.h"
#include "proto/list.h"
#include "proto/table.h"
#include "tun2socks/packet.h"
#include "tun2socks/tun2socks.h"

struct chunk; /* tcp_send.c */

/* A flow that was active later than that makes no room for another. */
enum { EVICT_IDLE_US = 1000000 };

enum { REFUSED_SYNS = 16, PATHS = 64, ETHERNET_MTU = 1500 };

/* What is known of the way to an app's address (path.c). */
struct app_path {
    struct udptun_endpoint app; /* without a port */
    uint32_t mtu;
    bool is_proved; /* a router has said so; else it was told by what the app sends */
    uint64_t until_us;
};

/* A SYN that was answered with ICMP; until then it is not taken for another attempt. */
struct refused_syn {
    struct udptun_endpoint source, destination;
    uint32_t sequence;
    uint64_t until_us;
};

struct tun2socks {
    struct tun2socks_config config;
    bool is_whole;         /* tun2socks_dont_fragment() */
    struct device *device; /* NULL: lost */
    struct netif netif;
    struct tcp_pcb *listener;    /* of any address; its port follows the packets */
    struct packet_buffer *spare; /* the next packet is read into it */
    bool is_working;             /* stack_work() is on the stack */
    struct table flows, bindings;
    struct list open_flows, ending_flows; /* by age, the longest idle first */
    struct list idle_bindings, dns_bindings;
    struct list work; /* flows that something happened to */
    struct tun2socks_counters counters;
    uint32_t next_fragment_id;
    struct list partials; /* packets of which some fragments came */
    struct table partial_table;
    size_t partial_bytes;
    struct app_path paths[PATHS]; /* the latest; `next_path` is overwritten next */
    unsigned path_count, next_path;
    bool has_small_path; /* since then TCP's packets are looked at before they go */
    struct refused_syn refused[REFUSED_SYNS]; /* the latest; `next_refused` is overwritten next */
    unsigned next_refused;
    struct chunk *spare_chunks;
    uint32_t spare_chunk_count;
};

/* A packet that lwIP reads in place. Freed by pbuf_free(). */
struct packet_buffer {
    struct pbuf_custom custom; /* first: lwIP hands out its address */
    struct packet_buffer *link;
    struct budget *counted; /* has the buffer's size while lwIP or a flow has the buffer */
    uint32_t capacity;
    uint8_t data[];
};

#define FLOW_STATES(X)                                                                             \
    X(CONNECTING, "connecting") /* the SYN is held; the host was asked for a stream */             \
    X(ACCEPTING, "accepting")   /* the stream stands, lwIP has the SYN; no data moves */           \
    X(OPEN, "open")             /* data moves; either side may have ended */                       \
    X(LINGERING, "lingering")   /* the stream is closed; lwIP still delivers the rest */           \
    X(DEAD, "dead")             /* to be freed by the next stack_work() */

enum flow_state {
#define FLOW_STATE_ENUM(symbol, name) FLOW_##symbol,
    FLOW_STATES(FLOW_STATE_ENUM)
#undef FLOW_STATE_ENUM
};

struct tun2socks_flow {
    struct tun2socks *t;
    struct table_node node;
    struct list age;  /* in t->open_flows or t->ending_flows */
    struct list work; /* in t->work, or in none */
    struct udptun_endpoint source, destination;
    enum flow_state state;
    struct tcp_pcb *pcb;                 /* lwIP's side; NULL: none yet, or gone */
    struct lwip_held held;               /* `pcb` is outside lwIP's list */
    struct packet_buffer *syn;           /* CONNECTING: held back */
    struct packet_buffer *first, **last; /* of the app's bytes, not yet taken by the host */
    size_t first_offset;                 /* bytes of `first` that were taken */
    uint32_t pending_buffers;
    struct chunk *first_chunk, *last_chunk; /* bytes for the app that it has not acknowledged */
    void *stream;                           /* the host's; NULL: none, or closed */
    bool app_ended, app_end_told;           /* the app's FIN came; the host knows */
    bool far_ended, far_end_sent;           /* the host said so; lwIP knows */
    bool is_blocked;                        /* the host takes no bytes now */
    bool wants_room;                        /* the host waits for stream_room() */
    bool has_room;                          /* ... and is to be told */
    uint16_t segment_size;                  /* bytes, the most that reach the app; 0: not known */
    uint64_t active_us;
};

struct binding {
    struct table_node node;
    struct list age; /* in t->idle_bindings or t->dns_bindings */
    struct udptun_endpoint source;
    void *host; /* what the host keeps of it */
    bool is_dns;
    uint64_t active_us;
};

/* ---- stack.c */
static inline uint64_t stack_now(const struct tun2socks *t)
{
    return *t->config.now_us;
}

uint64_t stack_hash(const struct tun2socks *t, const struct udptun_endpoint *a,
                    const struct udptun_endpoint *b);
void stack_drop(struct tun2socks *t, enum tun2socks_drop why);
/* Tell the host that one flow more is wanted than there may be. */
static inline void stack_at_cap(struct tun2socks *t, enum tun2socks_cap cap)
{
    if (t->config.at_cap)
        t->config.at_cap(t->config.arg, cap);
}

/* A packet of a new flow is of the host's own sockets: it is counted, and to be dropped. */
bool stack_is_own(struct tun2socks *t, const struct packet *p);
/* Write a packet; false when it was dropped (and counted). */
bool stack_write(struct tun2socks *t, const struct io_span *parts, int count,
                 const struct packet_offload *offload);
/* A buffer for `size` bytes with one reference, or NULL. */
struct packet_buffer *packet_buffer_new(size_t size);
/* NULL is allowed. */
void packet_buffer_free(struct packet_buffer *buffer);
/* Count it in `budget`, which outlives it, until it is freed. NULL: without effect. */
void packet_buffer_count(struct packet_buffer *buffer, struct budget *budget);
/* lwIP gets a packet that is TCP; the buffer is lwIP's from here on. */
void stack_feed(struct tun2socks *t, struct packet_buffer *buffer, const struct packet *p);
/* Do what lwIP's callbacks have noted. */
void stack_work(struct tun2socks *t);
void stack_note(struct tun2socks_flow *flow);

/* ---- tcp.c */
/* A SYN: true when lwIP is to have it, false when it is held back or dropped. */
bool tcp_flow_syn(struct tun2socks *t, const struct packet *p);
struct tun2socks_flow *tcp_flow_find(const struct tun2socks *t,
                                     const struct udptun_endpoint *source,
                                     const struct udptun_endpoint *destination);
void tcp_flow_work(struct tun2socks_flow *flow);
/* When the flow that has been idle longest was last active; UINT64_MAX: there is no flow. */
uint64_t tcp_idle_since(const struct tun2socks *t);
/* End that flow to make room for another. False: it was active just now. */
bool tcp_evict(struct tun2socks *t);
/* Let lwIP have a packet of `flow` (NULL: of none that we know) by `input`. */
void tcp_flow_input(struct tun2socks_flow *flow, struct pbuf *pbuf, struct netif *netif,
                    err_t (*input)(struct pbuf *, struct netif *));
void tcp_flow_active(struct tun2socks_flow *flow);
/* lwIP's side ends at once; the app gets a reset. The flow becomes DEAD. */
void tcp_flow_abort(struct tun2socks_flow *flow);
void tcp_flow_enter(struct tun2socks_flow *flow, enum flow_state state);
/* Flows that idled. Returns when the next one will have. */
uint64_t tcp_tick(struct tun2socks *t);
void tcp_free_all(struct tun2socks *t);

/* ---- tcp_data.c */
void tcp_data_start(struct tun2socks_flow *flow);
/* Hand the host what it takes. False: the stream broke. */
bool tcp_data_push(struct tun2socks_flow *flow);
void tcp_data_free(struct tun2socks_flow *flow);

/* ---- tcp_send.c */
void tcp_send_start(struct tun2socks_flow *flow);
/* lwIP refers to none of it any more. */
void tcp_send_free(struct tun2socks_flow *flow);
/* Give back what is kept for flows to come. */
void tcp_send_trim(struct tun2socks *t);

/* ---- tcp_out.c */
/* A packet of TCP as lwIP makes it, of `size` bytes; parts[0] begins with its headers. Complete it
 * and write it, in segments that reach the app. */
void tcp_out(struct tun2socks *t, const struct io_span *parts, int count, size_t size);
/* What the flow's SYN and the way to the app allow; lwIP's side is open. */
void tcp_out_start(struct tun2socks_flow *flow);
/* A router on the way to `app` refused a packet of a flow with this sequence number. What is under
 * way and larger than `mtu` is sent again. False: there is no such packet. */
bool tcp_out_too_big(struct tun2socks *t, const struct udptun_endpoint *app,
                     const struct udptun_endpoint *far, uint32_t sequence, uint32_t mtu);

/* ---- path.c */
/* The largest packet that is thought to reach the app without being cut. */
uint32_t path_mtu(const struct tun2socks *t, const struct udptun_endpoint *app);
/* A router said so. Returns what came of it: not below what each IP version guarantees. */
uint32_t path_proved(struct tun2socks *t, const struct udptun_endpoint *app, uint32_t mtu);
/* What the app's MSS shows of its link. */
void path_told(struct tun2socks *t, const struct udptun_endpoint *app, uint32_t mtu);
/* An IPv6 packet of an app: what its size shows. `is_whole`: it was not put together here. */
void path_seen(struct tun2socks *t, const struct packet *p, bool is_whole);

/* ---- udp.c */
void udp_packet(struct tun2socks *t, const struct packet *p);
/* As tcp_idle_since() and tcp_evict(). */
uint64_t udp_idle_since(struct tun2socks *t);
void udp_evict(struct tun2socks *t);
bool udp_has_binding(const struct tun2socks *t, const struct udptun_endpoint *app);
uint64_t udp_tick(struct tun2socks *t);
void udp_free_all(struct tun2socks *t);

/* ---- fragment.c */
/* A datagram to the app, in fragments where the way to it wants that. */
bool fragment_send(struct tun2socks *t, const struct udptun_endpoint *source,
                   const struct udptun_endpoint *app, const void *data, size_t size);
/* The same of any message in two parts, whose checksum stands or is `offload`'s. */
bool fragment_message(struct tun2socks *t, const struct udptun_endpoint *source,
                      const struct udptun_endpoint *app, uint8_t protocol,
                      const struct io_span parts[2], const struct packet_offload *offload);
/* Whether a message of that size goes as one packet. There is a device. */
bool fragment_fits(const struct tun2socks *t, const struct udptun_endpoint *app, size_t size);

/* ---- reassembly.c */
/* A fragment. When it completes a packet: that packet, at `*offset` of a buffer that is the
 * caller's, with an IP header that knows of no fragments. Else NULL. */
struct packet_buffer *reassembly_take(struct tun2socks *t, const struct packet *p, size_t *offset,
                                      size_t *packet_size);
uint64_t reassembly_tick(struct tun2socks *t);
void reassembly_free_all(struct tun2socks *t);

/* ---- icmp.c */
void icmp_packet(struct tun2socks *t, const struct packet *p);
/* Tell the sender of a packet that packet_parse() refused what is wrong with it. */
void icmp_problem(struct tun2socks *t, const struct packet *p);
/* An error about a packet of `source`; `quoted` is the first 8 bytes behind its IP header, and
 * `size` what was behind that header in all. */
void icmp_error(struct tun2socks *t, const struct udptun_endpoint *source,
                const struct udptun_endpoint *destination, uint8_t protocol,
                const uint8_t quoted[8], size_t size, enum tun2socks_unreachable why, uint32_t mtu);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datagram.h - many datagrams at a time, in and out, without a copy or an allocation for each.
 *
 * linux/ receives with recvmmsg and UDP_GRO and sends with sendmmsg and UDP_SEGMENT; posix/ does
 * one recvfrom and one sendto. What is seen through this header is the same.
 */
#ifndef PLATFORM_DATAGRAM_H
#define PLATFORM_DATAGRAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/platform/socket.h"

/* ---- sockets ------------------------------------------------------------------------------- */

enum {
    UDP_WANT_LOCAL = 1,  /* tell the local address that a datagram was sent to */
    UDP_WANT_ERRORS = 2, /* keep ICMP errors for udp_errors() */
};

/* A UDP socket bound to `at`, IPv6 alone on an IPv6 address, that meets `rules` (NULL: none apply).
 * What the system lacks of `wants` is skipped. 0 or the system's error number. */
int udp_open(const struct udptun_endpoint *at, const struct socket_rules *rules, unsigned wants,
             udptun_socket *made);
/* Send to `to` alone, and receive from there alone. 0 or the system's error number. */
int udp_connect(udptun_socket socket, const struct udptun_endpoint *to);

/* How the system would send a datagram now. */
struct udp_route {
    struct udptun_endpoint source; /* its address there, port 0 */
    uint32_t mtu;                  /* the largest IP packet that passes whole, 0: not known */
};

/* Look up the route to `to` of a socket that meets `rules`. 0 or the system's error number. */
int udp_route_to(const struct udptun_endpoint *to, const struct socket_rules *rules,
                 struct udp_route *route);

/* ---- receiving ----------------------------------------------------------------------------- */

/* Receive buffers: one set serves all the sockets of an engine. */
struct udp_batch;

/* NULL: out of memory. Reserves address space; a page counts once a datagram touched it. */
struct udp_batch *udp_batch_new(void);
void udp_batch_free(struct udp_batch *batch);
/* Give the memory back that bursts have touched; for when the loop has gone idle. Cheap when
 * there is none. */
void udp_batch_trim(struct udp_batch *batch);

/*
 * A run: one or more datagrams of one source back to back, all of `segment_size` but the last,
 * which may be shorter. One empty datagram is a run of size 0.
 */
struct udp_run {
    struct udptun_endpoint source; /* unmapped */
    /* Where an answer comes from, with UDP_WANT_LOCAL: the address that it was sent to, or where
     * that was a broadcast or IPv4 multicast one, that of the interface; port 0. Family NONE: as
     * routes have it. */
    struct udptun_endpoint local;
    const uint8_t *data;
    size_t size;
    size_t segment_size;
};

/* The next datagram of a run; `*at` starts at 0. False: that was all. */
static inline bool udp_run_next(const struct udp_run *run, size_t *at, const uint8_t **data,
                                size_t *size)
{
    if (run->size == 0 ? *at != 0 : *at >= run->size)
        return false;
    size_t left = run->size - *at;
    *data = run->data + *at;
    *size = left < run->segment_size ? left : run->segment_size;
    *at += *size ? *size : 1;
    return true;
}

/* Memory of the run is valid until it returns. Returns false to stop: the socket is gone, say; the
 * rest of what was received is then dropped. */
typedef bool udp_received(void *arg, const struct udp_run *run);

/*
 * One system call's worth. Returns the number of runs; 0: nothing waited, or an error did. Then is
 * the time to call udp_errors() on a socket with UDP_WANT_ERRORS, since a waiting error makes the
 * socket readable.
 */
int udp_receive(struct udp_batch *batch, udptun_socket socket, udp_received *received, void *arg);

/* Whether more may be waiting behind what the last udp_receive() returned. If not, another call
 * would most likely find nothing, and the loop tells when there is something again. */
bool udp_batch_was_full(const struct udp_batch *batch);

/* Called for each ICMP error: the datagram to `dest` failed because of `why`: IO_REFUSED (port
 * unreachable), IO_HOST_UNREACHABLE, IO_NET_UNREACHABLE, IO_DENIED, IO_TOO_BIG with `mtu` in bytes
 * when it is known, else 0, ... */
typedef void udp_failed(void *arg, const struct udptun_endpoint *dest, enum io why, uint32_t mtu);

/* Drain the errors of a socket; returns how many there were. */
int udp_errors(udptun_socket socket, udp_failed *failed, void *arg);

/* ---- sending ------------------------------------------------------------------------------- */

/* Collects datagrams for any number of sockets, then sends them in few calls: in the order in
 * which they came for each socket, in any order between sockets. */
struct udp_sender;

/* Whose datagram it is; a part of the owner's own struct, which must stay until the flush. */
struct datagram_owner {
    /* One of `size` bytes was not sent: IO_AGAIN (the socket's buffer is full), IO_TOO_BIG,
     * IO_REFUSED, IO_DENIED, IO_NET_UNREACHABLE, ... It must not add to the sender. */
    void (*unsent)(struct datagram_owner *owner, const struct udptun_endpoint *to, size_t size,
                   enum io why);
};

/* NULL: out of memory. */
struct udp_sender *udp_sender_new(void);
/* Drops what was not flushed. */
void udp_sender_free(struct udp_sender *sender);

/*
 * Add a datagram. `data` must stay until it is flushed, and `socket` open. `dest` NULL: the socket
 * is connected (copied otherwise). An IPv4 `dest` on an IPv6 socket is not mapped: that is the
 * caller's choice. When the sender is full it flushes first.
 */
void udp_sender_add(struct udp_sender *sender, udptun_socket socket,
                    const struct udptun_endpoint *dest, const void *data, size_t size,
                    struct datagram_owner *owner);
/* As above, leaving from the local address `from` (its port is not looked at; NULL or family NONE:
 * as routes have it), so that an answer comes from where the question went. posix/ cannot, and
 * sends as routes have it. */
void udp_sender_add_from(struct udp_sender *sender, udptun_socket socket,
                         const struct udptun_endpoint *from, const struct udptun_endpoint *dest,
                         const void *data, size_t size, struct datagram_owner *owner);
void udp_sender_flush(struct udp_sender *sender);

/* One datagram at once, from its parts; `to` NULL: the socket is connected. 0 or the system's error
 * number, which may be that of an ICMP error that waited on the socket. */
int udp_send(udptun_socket socket, const struct udptun_endpoint *to, const struct io_span *parts,
             size_t count);

#endif

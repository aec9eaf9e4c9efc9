/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tun_world.h - tun2socks between an app and a far end that are both in the test.
 *
 * Packets go through the callback device. The host below keeps what it was asked for; streams
 * and datagrams are looked at and answered by the test. Time is the test's.
 */
#ifndef TESTS_UNIT_TUN_WORLD_H
#define TESTS_UNIT_TUN_WORLD_H

#include "daemon/platform/device.h"
#include "proto/budget.h"
#include "proto/endpoint.h"
#include "tun2socks/tun2socks.h"

struct world_packet {
    struct world_packet *next;
    size_t size;
    uint8_t data[];
};

struct world_stream {
    struct tun2socks_flow *flow; /* NULL: closed */
    struct udptun_endpoint source, destination;
    uint64_t received, sent; /* bytes from and to the app */
    uint64_t wrong;          /* bytes that were not those of the pattern */
    size_t accept_bytes;     /* how many stream_write takes now */
    unsigned rooms, ends, closes;
    bool is_broken; /* stream_write fails */
};

struct world_datagram {
    struct udptun_endpoint source, destination;
    size_t size;
    uint8_t data[65536];
};

struct world {
    struct tun2socks *t;
    struct tun2socks_config config;
    struct budget budget; /* without a limit, until the test sets one */
    uint64_t now_us;
    struct world_packet *first, **last; /* towards the app, oldest first */
    unsigned packets;
    struct world_stream streams[64];
    unsigned stream_count;
    enum io open_result;            /* of stream_open */
    struct world_datagram datagram; /* the last */
    unsigned datagrams, bindings_closed, batches;
    unsigned at_cap[2]; /* by enum tun2socks_cap: how often that was told */
    void *binding;
    void *next_binding; /* what the host leaves in a new binding */
};

void world_init(struct world *w, uint32_t mtu);
/* The device of another instance in the same world. */
struct device *world_device(struct world *w, uint32_t mtu);
void world_fini(struct world *w);
void world_wait(struct world *w, uint64_t us);
/* The oldest packet towards the app, the caller's; NULL: none. */
struct world_packet *world_take(struct world *w);

/* Build a UDP packet; returns its size. */
size_t world_udp(uint8_t *to, const struct udptun_endpoint *source,
                 const struct udptun_endpoint *destination, const void *data, size_t size);
/* Feed a packet and end the batch. */
void world_feed(struct world *w, const void *data, size_t size);

/* Byte number `at` of every stream. */
static inline uint8_t world_pattern(uint64_t at)
{
    return (uint8_t)(at * 31 + (at >> 8));
}

#endif

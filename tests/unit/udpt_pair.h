/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udpt_pair.h - a udp-local and a udp-server machine joined by memory, for unit tests.
 *
 * Every dial becomes a pair of conns. pair_run() moves bytes both ways, in pieces of at most
 * `chunk`, until nothing moves, then lets the clock jump to the next deadline within a limit.
 */
#ifndef TESTS_UDPT_PAIR_H
#define TESTS_UDPT_PAIR_H

#include "proto/udpt/machine.h"

enum { PAIR_LINKS = 256, PAIR_RECEIVED = 4096 };

struct pair;

struct pair_end {
    struct pair *pair;
    struct udptun_machine *m;
    bool is_server;
    uint64_t random; /* state of its generator */
    enum udptun_machine_state state;
    unsigned states, opened, closed, errors, hangups, pongs;
    enum udptun_machine_error last_error;
    char reason[160];
    char last_log[256];
};

struct pair_link {
    struct udptun_conn *conns[2]; /* local, server */
    bool refused;                 /* the next dial finds nobody */
    uint64_t open_us;             /* not open before */
    unsigned server_writes;
    bool open;
};

struct pair_datagram {
    bool at_server;
    uint64_t binding;
    struct udptun_endpoint peer;
    bool dont_fragment;
    size_t size;
    uint8_t first[16];
    uint32_t digest;
};

struct pair {
    struct pair_end ends[2];
    struct udptun_machine_config configs[2];
    uint64_t now_us;
    size_t chunk;
    bool server_down;       /* dials fail */
    bool server_mute;       /* what the server sends is kept back */
    unsigned most_links;    /* a proxy between them refuses more; 0: it does not */
    uint64_t dial_takes_us; /* until a stream is open */
    /* The server ends every stream behind its first so many writes; 0: none. */
    unsigned server_writes;
    struct pair_link links[PAIR_LINKS];
    size_t link_count;
    struct pair_datagram received[PAIR_RECEIVED];
    size_t received_count;
    bool ports_taken; /* the server has no old port to give back */
    bool echo;        /* the server sends each datagram back from where it went */
};

enum { LOCAL = 0, SERVER = 1 };

void pair_init(struct pair *p);
void pair_start(struct pair *p, int end);
void pair_fini(struct pair *p);
/* The end vanishes without a word and every stream with it. */
void pair_crash(struct pair *p, int end);
void pair_cut(struct pair *p, size_t link);
/* Until `for_us` have passed on the virtual clock. */
void pair_run(struct pair *p, uint64_t for_us);
uint32_t pair_digest(const uint8_t *data, size_t size);

#endif

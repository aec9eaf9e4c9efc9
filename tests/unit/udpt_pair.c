/* SPDX-License-Identifier: Apache-2.0 */
/* udpt_pair.c - two UDPT machines joined by memory. */
#include "tests/unit/udpt_pair.h"

#include <stdio.h>
#include <string.h>

#include "proto/error.h"

static void give_random(void *arg, void *to, size_t size)
{
    struct pair_end *e = (struct pair_end *)arg;
    for (size_t i = 0; i < size; i++) {
        e->random = e->random * UINT64_C(6364136223846793005) + 1442695040888963407;
        ((uint8_t *)to)[i] = (uint8_t)(e->random >> 56);
    }
}

static void dial(void *arg, struct udptun_conn *conn)
{
    struct pair_end *e = (struct pair_end *)arg;
    struct pair *p = e->pair;
    if (p->link_count == PAIR_LINKS)
        return;
    struct pair_link *link = &p->links[p->link_count++];
    *link = (struct pair_link){
        .conns = {conn, NULL}, .refused = p->server_down, .open_us = p->now_us + p->dial_takes_us};
    udptun_conn_set_host(conn, link);
}

static void hangup(void *arg, struct udptun_conn *conn, const char *reason)
{
    struct pair_end *e = (struct pair_end *)arg;
    struct pair_link *link = (struct pair_link *)udptun_conn_host(conn);
    e->hangups++;
    snprintf(e->reason, sizeof e->reason, "%s", reason);
    if (link)
        link->conns[e->is_server] = NULL;
}

uint32_t pair_digest(const uint8_t *data, size_t size)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ data[i]) * 16777619u;
    return hash;
}

static void datagram(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                     const uint8_t *data, size_t size)
{
    struct pair_end *e = (struct pair_end *)arg;
    struct pair *p = e->pair;
    struct udptun_binding_info info;
    udptun_binding_look(b, p->now_us, &info);
    struct pair_datagram *d = &p->received[p->received_count++ % PAIR_RECEIVED];
    *d = (struct pair_datagram){.at_server = e->is_server,
                                .binding = info.id,
                                .peer = peer->ep,
                                .dont_fragment = peer->dont_fragment,
                                .size = size,
                                .digest = pair_digest(data, size)};
    memcpy(d->first, data, size < sizeof d->first ? size : sizeof d->first);
    if (e->is_server && p->echo)
        udptun_binding_send(b, peer, data, size, p->now_us);
}

static int binding_opened(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6)
{
    struct pair_end *e = (struct pair_end *)arg;
    (void)want6;
    e->opened++;
    if (e->pair->ports_taken)
        want4 = 0;
    struct udptun_endpoint external =
        endpoint_ip4(192, 0, 2, 1, want4 ? want4 : (uint16_t)(40000 + e->opened));
    udptun_binding_external(b, &external, e->pair->now_us);
    return 0;
}

static void binding_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason)
{
    (void)b;
    (void)reason;
    ((struct pair_end *)arg)->closed++;
}

static void error(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                  enum udptun_machine_error code, uint32_t value)
{
    struct pair_end *e = (struct pair_end *)arg;
    (void)b;
    (void)peer;
    (void)value;
    e->errors++;
    e->last_error = code;
}

static void state(void *arg, struct udptun_session *s, enum udptun_machine_state to,
                  const char *reason)
{
    struct pair_end *e = (struct pair_end *)arg;
    (void)s;
    (void)reason;
    e->state = to;
    e->states++;
}

static void pong(void *arg, uint64_t token, uint64_t rtt_us)
{
    (void)token;
    (void)rtt_us;
    ((struct pair_end *)arg)->pongs++;
}

static void log_line(void *arg, enum udptun_machine_log level, const char *text)
{
    (void)level;
    struct pair_end *e = (struct pair_end *)arg;
    snprintf(e->last_log, sizeof e->last_log, "%s", text);
}

static const struct udptun_machine_ops OPS = {
    .random = give_random,
    .dial = dial,
    .hangup = hangup,
    .datagram = datagram,
    .binding_opened = binding_opened,
    .binding_closed = binding_closed,
    .error = error,
    .state = state,
    .pong = pong,
    .log = log_line,
};

void pair_init(struct pair *p)
{
    memset(p, 0, sizeof *p);
    p->now_us = 1000000;
    p->chunk = 1400;
    udptun_machine_config_init(&p->configs[LOCAL], UDPTUN_MACHINE_LOCAL);
    udptun_machine_config_init(&p->configs[SERVER], UDPTUN_MACHINE_SERVER);
    for (int i = 0; i < 2; i++) {
        p->ends[i].pair = p;
        p->ends[i].is_server = i == SERVER;
        p->ends[i].random = 7 + (uint64_t)i;
    }
}

void pair_start(struct pair *p, int end)
{
    struct pair_end *e = &p->ends[end];
    e->m = udptun_machine_new(&p->configs[end], &OPS, e, p->now_us);
}

void pair_crash(struct pair *p, int end)
{
    struct pair_end *e = &p->ends[end];
    udptun_machine_free(e->m);
    e->m = NULL;
    for (size_t i = 0; i < p->link_count; i++)
        pair_cut(p, i);
}

void pair_fini(struct pair *p)
{
    for (int i = 0; i < 2; i++)
        if (p->ends[i].m)
            pair_crash(p, i);
}

void pair_cut(struct pair *p, size_t link)
{
    for (int i = 0; i < 2; i++)
        if (p->links[link].conns[i])
            udptun_conn_lost(p->links[link].conns[i], "cut", p->now_us);
}

static unsigned links_up(const struct pair *p)
{
    unsigned count = 0;
    for (size_t i = 0; i < p->link_count; i++)
        count += p->links[i].conns[SERVER] != NULL;
    return count;
}

/* When the next dial is answered that is not yet. */
static uint64_t next_open_us(const struct pair *p)
{
    uint64_t next_us = UDPTUN_MACHINE_NEVER;
    for (size_t i = 0; i < p->link_count; i++) {
        const struct pair_link *link = &p->links[i];
        if (!link->open && link->conns[LOCAL] && link->open_us < next_us)
            next_us = link->open_us;
    }
    return next_us;
}

static bool settle_dials(struct pair *p)
{
    bool moved = false;
    for (size_t i = 0; i < p->link_count; i++) {
        struct pair_link *link = &p->links[i];
        if (link->open || !link->conns[LOCAL] || p->now_us < link->open_us)
            continue;
        moved = true;
        bool is_full = p->most_links && links_up(p) >= p->most_links;
        struct udptun_machine *server = link->refused || is_full ? NULL : p->ends[SERVER].m;
        link->conns[SERVER] = server ? udptun_machine_accept(server, "peer", p->now_us) : NULL;
        link->open = true;
        if (link->conns[SERVER]) {
            udptun_conn_set_host(link->conns[SERVER], link);
            udptun_conn_opened(link->conns[LOCAL], p->now_us);
        } else {
            udptun_conn_lost(link->conns[LOCAL], "connection refused", p->now_us);
        }
    }
    return moved;
}

static bool move_bytes(struct pair *p, int from)
{
    bool moved = false;
    struct udptun_conn *c;
    while (p->ends[from].m && (c = udptun_machine_next_ready(p->ends[from].m)) != NULL) {
        struct pair_link *link = (struct pair_link *)udptun_conn_host(c);
        struct udptun_span spans[2];
        while (link->conns[from] && udptun_conn_output(c, spans) > 0) {
            uint8_t piece[65536];
            size_t size = spans[0].size < p->chunk ? spans[0].size : p->chunk;
            memcpy(piece, spans[0].data, size);
            udptun_conn_sent(c, size, p->now_us);
            if (link->conns[!from])
                udptun_conn_input(link->conns[!from], piece, size, p->now_us);
            if (from == SERVER && ++link->server_writes == p->server_writes && link->conns[from])
                udptun_conn_lost(link->conns[from], "cut", p->now_us);
            moved = true;
        }
    }
    return moved;
}

/* A stream whose one end hung up ends at the other. */
static bool settle_ends(struct pair *p)
{
    bool moved = false;
    for (size_t i = 0; i < p->link_count; i++) {
        struct pair_link *link = &p->links[i];
        if (!link->open || (link->conns[LOCAL] && link->conns[SERVER]))
            continue;
        moved |= link->conns[LOCAL] || link->conns[SERVER];
        for (int e = 0; e < 2; e++)
            if (link->conns[e])
                udptun_conn_lost(link->conns[e], "", p->now_us);
    }
    return moved;
}

void pair_run(struct pair *p, uint64_t for_us)
{
    uint64_t until_us = p->now_us + for_us;
    for (;;) {
        bool moved = settle_dials(p);
        moved |= move_bytes(p, LOCAL);
        moved |= !p->server_mute && move_bytes(p, SERVER);
        moved |= settle_ends(p);
        uint64_t next_us = next_open_us(p);
        for (int i = 0; i < 2; i++) {
            if (!p->ends[i].m)
                continue;
            if (udptun_machine_deadline(p->ends[i].m) <= p->now_us) {
                udptun_machine_tick(p->ends[i].m, p->now_us);
                moved = true;
            }
            if (udptun_machine_deadline(p->ends[i].m) < next_us)
                next_us = udptun_machine_deadline(p->ends[i].m);
        }
        if (moved)
            continue;
        if (next_us > until_us)
            break;
        p->now_us = next_us;
    }
    p->now_us = until_us;
}

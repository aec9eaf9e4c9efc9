/* SPDX-License-Identifier: Apache-2.0 */
/*
 * frame_cost.c - one kind of frame, again and again, for frame_cost.py to count instructions.
 *
 *     bench_frame_cost KIND FRAMES
 *
 * Everything that is to be counted happens inside measured(): a udp-server machine takes FRAMES
 * frames of a client that has the key, and that has made each list as long as it can.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/udpt/internal.h"
#include "tests/unit/udpt_raw.h"

enum { FLOWS = 4000, BODY_SIZE = 1024, FIRST_ID = FRAME_FIRST_ANNOUNCED };

static struct raw_server server;
static struct raw_client client, others[UDPTUN_MACHINE_MAX_LEGS];

static void put_dest(struct writer *w, uint16_t port)
{
    struct udptun_endpoint ep = endpoint_ip4(198, 51, 100, 7, port);
    struct udptun_dest dest = udptun_dest_of(&ep);
    frame_put_address(w, &dest);
}

static void say_id(struct writer *w, enum control_type type, uint64_t id)
{
    writer_varint(w, type);
    writer_varint(w, id);
}

static void open_flow(struct writer *w, uint64_t id)
{
    say_id(w, CONTROL_OPEN, id);
    writer_u64(w, id);
    writer_u16(w, 0);
    writer_u16(w, 0);
}

static void announce(struct writer *w, uint64_t id, uint64_t binding)
{
    say_id(w, CONTROL_ANNOUNCE, id);
    writer_u8(w, 0);
    writer_varint(w, binding);
    put_dest(w, 5000);
}

static void say_close(struct writer *w, uint64_t id)
{
    say_id(w, CONTROL_CLOSE, id);
    writer_varint(w, 1);
}

/* Number `i` of `count` frames. */
static void again_open(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    open_flow(w, 1 + i % FLOWS);
}

static void close_one(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    say_close(w, 1 + i);
}

/* Of flows that the server does not know, from the highest down, with gaps. */
static void close_unknown(struct writer *w, unsigned i, unsigned count)
{
    say_close(w, FLOWS + 2 * (uint64_t)(count - i));
}

static void closed_backwards(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    say_id(w, CONTROL_CLOSED, FLOWS - i);
}

static void announce_new(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    announce(w, FIRST_ID + 2 * (uint64_t)(FLOWS + i), 1 + i % FLOWS);
}

static void retire(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    say_id(w, CONTROL_RETIRE, FIRST_ID + 2 * (uint64_t)i);
}

static void ack_all(struct writer *w, unsigned i, unsigned count)
{
    (void)i;
    (void)count;
    writer_varint(w, CONTROL_ACK);
    writer_varint(w, UDPTUN_MACHINE_MAX_LEGS);
    for (unsigned leg = 0; leg < UDPTUN_MACHINE_MAX_LEGS; leg++) {
        writer_varint(w, leg);
        writer_varint(w, 1); /* its generation; then bytes and delay */
        writer_varint(w, 1);
        writer_varint(w, 0);
    }
}

static void ping(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    writer_varint(w, CONTROL_PING);
    writer_u64(w, i);
}

static void settings(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    const struct udpt_params params = {.settings_serial = 1 + i, .heartbeat_ms = 5000 + i % 2};
    writer_varint(w, CONTROL_SETTINGS);
    params_put(w, &params);
}

static void clock_of(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    writer_varint(w, CONTROL_CLOCK);
    writer_u32(w, i);
}

static const struct kind {
    const char *name;
    void (*put)(struct writer *w, unsigned i, unsigned count); /* NULL: a datagram */
} KINDS[] = {
    {"datagram", NULL},
    {"open-again", again_open},
    {"close", close_one},
    {"close-unknown", close_unknown},
    {"closed-backwards", closed_backwards},
    {"announce", announce_new},
    {"retire", retire},
    {"ack-33-legs", ack_all},
    {"ping", ping},
    {"settings", settings},
    {"clock", clock_of},
};

/* The frames as one run of bytes. */
static size_t build(const struct kind *kind, uint8_t *to, unsigned count)
{
    size_t size = 0;
    for (unsigned i = 0; i < count; i++) {
        uint8_t body[BODY_SIZE];
        struct writer w = writer_of(body, sizeof body);
        uint64_t id = FRAME_CONTROL;
        if (kind->put) {
            kind->put(&w, i, count);
        } else {
            writer_bytes(&w, "a datagram of voice", 19);
            id = FIRST_ID + 2 * (uint64_t)(i % FLOWS);
        }
        if (w.failed)
            abort();
        size += frame_put_header(to + size, id, writer_size(&w));
        memcpy(to + size, body, writer_size(&w));
        size += writer_size(&w);
    }
    return size;
}

__attribute__((noinline)) static void measured(const uint8_t *data, size_t size)
{
    if (client.conn)
        udptun_conn_input(client.conn, data, size, server.now_us);
}

static void send_built(void (*put)(struct writer *w, unsigned i, unsigned count), unsigned count,
                       uint8_t *space)
{
    const struct kind kind = {"", put};
    for (unsigned i = 0; i < count; i += 100) { /* few at a time: the answers have to go out */
        uint8_t *to = space;
        size_t size = 0;
        for (unsigned k = i; k < i + 100 && k < count; k++) {
            uint8_t body[BODY_SIZE];
            struct writer w = writer_of(body, sizeof body);
            kind.put(&w, k, count);
            size += frame_put_header(to + size, FRAME_CONTROL, writer_size(&w));
            memcpy(to + size, body, writer_size(&w));
            size += writer_size(&w);
        }
        raw_send(&client, to, size);
        raw_drain(&server);
    }
}

static void announce_first(struct writer *w, unsigned i, unsigned count)
{
    (void)count;
    announce(w, FIRST_ID + 2 * (uint64_t)i, 1 + i);
}

static void end_all_flows(void)
{
    struct udptun_session *s = udptun_session_next(server.m, NULL);
    while (!list_empty(&s->bindings))
        udptun_binding_close(list_entry(s->bindings.next, struct udptun_binding, in_session),
                             server.now_us);
    raw_run(&server, 2 * S_US);
    raw_drain(&server);
}

static bool join(unsigned leg)
{
    struct raw_client *c = &others[leg];
    if (!raw_connect(c, &server, 1))
        return false;
    c->hello.leg = (uint8_t)leg;
    memcpy(c->secret, client.secret, sizeof c->secret);
    return raw_hello(c) && raw_confirm(c, CONFIRM_JOIN);
}

int main(int argc, char **argv)
{
    const struct kind *kind = NULL;
    for (size_t i = 0; argc == 3 && i < sizeof KINDS / sizeof *KINDS; i++)
        if (strcmp(argv[1], KINDS[i].name) == 0)
            kind = &KINDS[i];
    unsigned count = kind ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    uint8_t *space = (uint8_t *)malloc((size_t)(FLOWS + count) * 512);
    if (!kind || count == 0 || count > FLOWS || !space)
        return 2;
    udptun_machine_config_init(&server.config, UDPTUN_MACHINE_SERVER);
    raw_server_start(&server);
    if (!raw_establish(&client, &server, 1))
        return 1;
    for (unsigned leg = 1; leg < UDPTUN_MACHINE_MAX_LEGS; leg++)
        if (!join(leg))
            return 1;
    send_built(again_open, FLOWS, space);
    send_built(announce_first, FLOWS, space);
    if (kind->put == closed_backwards)
        end_all_flows();
    size_t size = build(kind, space, count);
    measured(space, size);
    bool alive = client.conn != NULL;
    raw_server_stop(&server);
    free(space);
    if (!alive)
        printf("%s: the server hung up: %s\n", kind->name, server.reason);
    return alive ? 0 : 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tun_tcp_many.c - TCP through tun2socks where lwIP's own books would not do: many flows, a
 * flow that outlives its TIME-WAIT, segments out of order without end.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/budget.h"
#include "proto/buffer.h"
#include "tests/sim/rng.h"
#include "tests/unit/tun_app.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

enum { SECOND_US = 1000 * 1000 };

static struct world w;
static struct app a;

static void begin(void)
{
    world_init(&w, 1500);
    assert_non_null(w.t);
    w.config.max_tcp_flows = 64;
    tun2socks_set(w.t, &w.config);
    app_init(&a, &w, 1500);
}

static void end(void)
{
    app_run(&a);
    world_fini(&w);
    app_fini(&a);
}

static void wait_s(unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 4; i++) {
        world_wait(&w, SECOND_US / 4);
        app_run(&a);
    }
}

static struct world_stream *open_flow(struct app_flow *f)
{
    struct world_stream *s = &w.streams[w.stream_count % 64];
    app_connect(&a, f, "192.0.2.1:80");
    app_run(&a);
    tun2socks_connected(s->flow);
    app_run(&a);
    assert_true(f->connected);
    return s;
}

/* lwIP frees a connection in TIME-WAIT after two seconds and tells nobody. */
static void an_upload_that_stalls_outlives_time_wait(void **state)
{
    (void)state;
    struct app_flow f;
    begin();
    struct world_stream *s = open_flow(&f);
    s->accept_bytes = 0;
    assert_int_equal(app_send(&f, 1000), 1000);
    app_run(&a);
    tun2socks_ended(s->flow);
    app_run(&a);
    tcp_shutdown(f.pcb, 0, 1);
    app_run(&a);
    wait_s(10);
    assert_int_equal(s->closes, 0);
    s->accept_bytes = SIZE_MAX;
    tun2socks_writable(s->flow);
    assert_int_equal(s->received, 1000);
    assert_int_equal(s->wrong, 0);
    assert_int_equal(s->ends, 1);
    assert_int_equal(s->closes, 1);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 0);
    end();
}

static void a_flow_that_has_ended_goes_without_being_looked_for(void **state)
{
    (void)state;
    struct app_flow f;
    begin();
    struct world_stream *s = open_flow(&f);
    tun2socks_ended(s->flow);
    app_run(&a);
    tcp_shutdown(f.pcb, 0, 1);
    app_run(&a);
    assert_int_equal(s->closes, 1);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 0);
    end();
}

static void many_flows_keep_apart(void **state)
{
    (void)state;
    enum { FLOWS = 60, STEPS = 4000 };
    static struct app_flow flows[FLOWS];
    struct world_stream *streams[FLOWS];
    struct rng rng = {20261201};
    begin();
    for (unsigned i = 0; i < FLOWS; i++)
        streams[i] = open_flow(&flows[i]);
    for (unsigned step = 0; step < STEPS; step++) {
        unsigned i = (unsigned)rng_between(&rng, 0, FLOWS - 1);
        struct world_stream *s = streams[i];
        void *to;
        if (!flows[i].pcb || !s->flow)
            continue;
        ssize_t room = 0;
        if (rng_once_in(&rng, 200))
            app_close(&flows[i]); /* with bytes unread, perhaps: a reset */
        else if (rng_once_in(&rng, 2))
            app_send(&flows[i], (size_t)rng_between(&rng, 1, 5000));
        else
            room = tun2socks_buffer(s->flow, &to);
        size_t piece = room < 3000 ? (size_t)room : 3000;
        for (size_t k = 0; k < piece; k++)
            ((uint8_t *)to)[k] = world_pattern(s->sent + k);
        if (room > 0)
            assert_true(tun2socks_filled(s->flow, piece));
        s->sent += piece;
        if (rng_once_in(&rng, 3))
            app_run(&a);
        if (rng_once_in(&rng, 20))
            world_wait(&w, SECOND_US / 4);
    }
    wait_s(2);
    unsigned alive = 0;
    for (unsigned i = 0; i < FLOWS; i++) {
        assert_int_equal(streams[i]->wrong, 0);
        assert_int_equal(flows[i].wrong, 0);
        if (!flows[i].pcb || !streams[i]->flow)
            continue;
        assert_int_equal(streams[i]->received, flows[i].sent);
        assert_int_equal(flows[i].received, streams[i]->sent);
        alive++;
    }
    assert_in_range(alive, 1, FLOWS - 1);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, alive);
    for (unsigned i = 0; i < FLOWS; i++)
        app_close(&flows[i]);
    end();
}

/* ---- segments by hand */

static const struct udptun_endpoint far = {
    .family = UDPTUN_ENDPOINT_IP4, .port = 80, .ip = {192, 0, 2, 1}};

/* A byte of the app's, `offset` behind what it has sent. Returns what tun2socks acknowledges. */
static uint32_t send_byte(const struct app_flow *f, uint32_t offset)
{
    const struct udptun_endpoint app = {
        .family = UDPTUN_ENDPOINT_IP4, .port = f->pcb->local_port, .ip = {10, 0, 0, 2}};
    enum { TOTAL = TCP_HEADER_SIZE + 1 };
    uint8_t packet[IP4_HEADER_SIZE + TOTAL];
    size_t at = packet_write_ip(packet, &app, &far, PROTOCOL_TCP, TOTAL);
    struct writer out = writer_of(packet + at, TOTAL);
    writer_u16(&out, app.port);
    writer_u16(&out, far.port);
    writer_u32(&out, f->pcb->snd_nxt + offset);
    writer_u32(&out, f->pcb->rcv_nxt);
    writer_u8(&out, TCP_HEADER_SIZE / 4 << 4);
    writer_u8(&out, TCP_FLAG_ACK);
    writer_u16(&out, 65535);
    writer_u32(&out, 0);
    writer_u8(&out, world_pattern(f->sent + offset));
    checksum_sum sum = checksum_pseudo(&app, &far, PROTOCOL_TCP, TOTAL);
    uint16_t value = checksum_end(checksum_add(sum, packet + at, TOTAL));
    memcpy(packet + at + TCP_CHECKSUM_OFFSET, &value, sizeof value);
    world_feed(&w, packet, sizeof packet);
    uint32_t acknowledged = 0;
    for (struct world_packet *p; (p = world_take(&w)); free(p)) {
        struct reader r = reader_of(p->data + IP4_HEADER_SIZE + 8, 4);
        acknowledged = reader_u32(&r) - f->pcb->snd_nxt;
    }
    return acknowledged;
}

static void segments_out_of_order_are_bounded_in_number(void **state)
{
    (void)state;
    enum { GAPS = 4000, ENOUGH = 718 /* full segments of an Ethernet in a window of 1 MiB */ };
    struct app_flow f;
    begin();
    struct world_stream *s = open_flow(&f);
    for (uint32_t i = 0; i < GAPS; i++)
        send_byte(&f, 2 * i + 1);
    uint32_t kept = 0, before = 0;
    for (uint32_t i = 0; i < GAPS; i++) { /* fill the gaps: what was kept goes along */
        uint32_t now = send_byte(&f, before);
        if (now > before)
            kept += now - before - 1;
        before = now > before ? now : before + 1;
    }
    assert_in_range(kept, ENOUGH, GAPS / 2);
    assert_int_equal(s->wrong, 0);
    app_close(&f);
    end();
}

static void all_flows_together_hold_no_more_than_they_may(void **state)
{
    (void)state;
    /* Each flow may have a segment in any case, and lwIP one that was refused. */
    enum { FLOWS = 20, BYTES = 200 * 1000, LIMIT = 1 << 20, SPARE = FLOWS * 2 * 2048 };
    static struct app_flow flows[FLOWS];
    struct world_stream *streams[FLOWS];
    struct budget *budget = &w.budget;
    begin();
    budget->limit = LIMIT;
    for (unsigned i = 0; i < FLOWS; i++) {
        streams[i] = open_flow(&flows[i]);
        streams[i]->accept_bytes = 0;
        app_send(&flows[i], BYTES);
        app_run(&a);
    }
    wait_s(5);
    assert_in_range(budget->used, LIMIT / 2, LIMIT + SPARE);
    assert_in_range(budget->peak, budget->used, LIMIT + SPARE);
    assert_true(budget->refused > 0);
    for (unsigned i = 0; i < FLOWS; i++) {
        streams[i]->accept_bytes = SIZE_MAX;
        tun2socks_writable(streams[i]->flow);
    }
    for (unsigned i = 0; i < FLOWS; i++) {
        for (unsigned waited = 0; flows[i].sent < BYTES || streams[i]->received < BYTES; waited++) {
            assert_true(waited < 600);
            app_send(&flows[i], (size_t)(BYTES - flows[i].sent));
            wait_s(1);
        }
        assert_int_equal(streams[i]->received, BYTES);
        assert_int_equal(streams[i]->wrong, 0);
    }
    assert_int_equal(budget->used, 0);

    budget->used = LIMIT; /* others hold it all: a little goes to each in any case */
    void *to;
    assert_in_range(tun2socks_buffer(streams[0]->flow, &to), 1, 64 * 1024);
    assert_true(tun2socks_filled(streams[0]->flow, 1));
    assert_int_equal(tun2socks_buffer(streams[0]->flow, &to), 0);
    wait_s(1); /* it is acknowledged */
    assert_true(tun2socks_buffer(streams[0]->flow, &to) > 0);
    assert_true(tun2socks_filled(streams[0]->flow, 0));
    assert_int_equal(budget->used, LIMIT);
    for (unsigned i = 0; i < FLOWS; i++)
        app_close(&flows[i]);
    end();
}

/* The bytes of a flow that are neither acknowledged nor in order are lwIP's. */
static void bytes_beyond_a_gap_are_counted(void **state)
{
    (void)state;
    enum { FLOWS = 20, GAPS = 600, LIMIT = 128 * 1024, SPARE = FLOWS * 2048 };
    static struct app_flow flows[FLOWS];
    struct budget *budget = &w.budget;
    begin();
    budget->limit = LIMIT;
    for (unsigned i = 0; i < FLOWS; i++)
        open_flow(&flows[i]);
    assert_int_equal(budget->used, 0);
    send_byte(&flows[0], 1);
    assert_in_range(budget->used, 1, 2048);
    for (uint32_t gap = 1; gap < GAPS; gap++)
        for (unsigned i = 0; i < FLOWS; i++)
            send_byte(&flows[i], 2 * gap + 1);
    assert_in_range(budget->peak, LIMIT / 2, LIMIT + SPARE);
    for (unsigned i = 0; i < FLOWS; i++) { /* the app's own lwIP sends what was dropped again */
        assert_int_equal(app_send(&flows[i], 3000), 3000);
        app_run(&a);
    }
    wait_s(20);
    for (unsigned i = 0; i < FLOWS; i++) {
        assert_int_equal(w.streams[i].received, 3000);
        assert_int_equal(w.streams[i].wrong, 0);
        app_close(&flows[i]);
    }
    app_run(&a);
    assert_int_equal(budget->used, 0);
    end();
}

static void at_the_cap_the_idlest_flow_makes_room(void **state)
{
    (void)state;
    struct app_flow f[4];
    begin();
    w.config.max_tcp_flows = 3;
    tun2socks_set(w.t, &w.config);
    struct world_stream *first = open_flow(&f[0]), *second = open_flow(&f[1]);
    open_flow(&f[2]);
    wait_s(2);
    app_send(&f[0], 10); /* it is no longer the idlest */
    app_run(&a);
    open_flow(&f[3]);
    assert_int_equal(w.at_cap[TUN2SOCKS_CAP_TCP], 1);
    assert_int_equal(second->closes, 1);
    assert_int_equal(f[1].error, ERR_RST);
    assert_int_equal(first->closes, 0);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 3);
    assert_int_equal(tun2socks_counters(w.t)->evicted, 1);
    app_close(&f[0]);
    app_close(&f[2]);
    app_close(&f[3]);
    end();
}

static void a_flow_that_is_busy_makes_no_room(void **state)
{
    (void)state;
    struct app_flow busy, idle, new;
    begin();
    w.config.max_tcp_flows = 2;
    tun2socks_set(w.t, &w.config);
    struct world_stream *busy_stream = open_flow(&busy), *idle_stream = open_flow(&idle);
    app_connect(&a, &new, "192.0.2.2:80");
    app_run(&a);
    assert_int_equal(w.stream_count, 2); /* both were active just now */
    assert_int_equal(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_TCP_LIMIT], 1);
    for (int i = 0; i < 8 && w.stream_count == 2; i++) { /* the app sends its SYN again */
        app_send(&busy, 10);
        wait_s(1);
    }
    assert_int_equal(w.stream_count, 3);
    assert_int_equal(busy_stream->closes, 0);
    assert_int_equal(idle_stream->closes, 1);
    assert_true(w.at_cap[TUN2SOCKS_CAP_TCP] >= 2);
    app_close(&busy);
    app_close(&new);
    end();
}

/* A flow whose stream is still awaited is one as well. */
static void a_flow_that_hangs_makes_room(void **state)
{
    (void)state;
    struct app_flow hangs, new;
    begin();
    w.config.max_tcp_flows = 1;
    tun2socks_set(w.t, &w.config);
    app_connect(&a, &hangs, "192.0.2.1:80");
    app_run(&a);
    wait_s(2);
    open_flow(&new);
    assert_int_equal(w.streams[0].closes, 1);
    assert_int_equal(hangs.error, ERR_RST);
    app_close(&new);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upload_that_stalls_outlives_time_wait),
        cmocka_unit_test(a_flow_that_has_ended_goes_without_being_looked_for),
        cmocka_unit_test(many_flows_keep_apart),
        cmocka_unit_test(segments_out_of_order_are_bounded_in_number),
        cmocka_unit_test(all_flows_together_hold_no_more_than_they_may),
        cmocka_unit_test(bytes_beyond_a_gap_are_counted),
        cmocka_unit_test(at_the_cap_the_idlest_flow_makes_room),
        cmocka_unit_test(a_flow_that_is_busy_makes_no_room),
        cmocka_unit_test(a_flow_that_hangs_makes_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

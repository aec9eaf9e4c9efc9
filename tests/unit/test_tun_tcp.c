/* SPDX-License-Identifier: Apache-2.0 */
/* test_tun_tcp.c - TCP through tun2socks, an app's TCP on one side and a host's streams on the
 * other: connecting and being refused, bytes both ways, ends, pressure, caps, idling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>

#include "tests/unit/tun_app.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

enum { MEGABYTE = 1000 * 1000, SECOND_US = 1000 * 1000 };

static struct world w;
static struct app a;

static void begin(uint32_t mtu)
{
    world_init(&w, mtu);
    assert_non_null(w.t);
    app_init(&a, &w, (u16_t)mtu);
}

static void end(void)
{
    app_run(&a);
    world_fini(&w);
    app_fini(&a);
}

/* Let time pass in steps that a retransmission needs, with the packets that it brings. */
static void wait_s(unsigned seconds)
{
    for (unsigned i = 0; i < seconds * 4; i++) {
        world_wait(&w, SECOND_US / 4);
        app_run(&a);
    }
}

static void open_flow(struct app_flow *f, const char *to)
{
    unsigned count = w.stream_count;
    app_connect(&a, f, to);
    app_run(&a);
    assert_int_equal(w.stream_count, count + 1);
    assert_false(f->connected); /* no answer before the stream stands */
    tun2socks_connected(w.streams[count % 64].flow);
    app_run(&a);
    assert_true(f->connected);
    assert_int_equal(w.streams[count % 64].rooms, 1);
}

/* The far end sends `size` bytes of the pattern as fast as there is room. */
static void far_send(struct world_stream *s, uint64_t size)
{
    unsigned idle = 0;
    while (s->sent < size && idle < 400) {
        void *to;
        ssize_t room = tun2socks_buffer(s->flow, &to);
        assert_true(room >= 0);
        size_t piece = (size_t)room < size - s->sent ? (size_t)room : (size_t)(size - s->sent);
        for (size_t i = 0; i < piece; i++)
            ((uint8_t *)to)[i] = world_pattern(s->sent + i);
        if (room > 0)
            assert_true(tun2socks_filled(s->flow, piece));
        s->sent += piece;
        app_run(&a);
        if (piece == 0) {
            world_wait(&w, SECOND_US / 4);
            app_run(&a);
            idle++;
        }
    }
}

static void both_directions(uint32_t mtu, const char *to, unsigned lose_every, uint64_t size)
{
    struct app_flow f;
    begin(mtu);
    open_flow(&f, to);
    a.lose_every = lose_every;
    struct world_stream *s = &w.streams[0];
    struct udptun_endpoint wanted;
    endpoint_parse(to, &wanted);
    assert_true(endpoint_equal(&s->destination, &wanted));
    for (unsigned i = 0; f.sent < size && i < 20000; i++) {
        app_send(&f, (size_t)(size - f.sent));
        app_run(&a);
        world_wait(&w, SECOND_US / 4);
        app_run(&a);
    }
    far_send(s, size);
    wait_s(lose_every ? 120 : 1);
    assert_int_equal(s->received, size);
    assert_int_equal(s->wrong, 0);
    assert_int_equal(f.received, size);
    assert_int_equal(f.wrong, 0);
    app_close(&f);
    a.lose_every = 0;
    app_run(&a);
    assert_int_equal(s->closes, 1); /* the app's reset ends the stream */
    end();
}

static void bytes_pass_both_ways(void **state)
{
    (void)state;
    both_directions(1500, "192.0.2.1:80", 0, 3 * MEGABYTE);
    both_directions(1500, "[2001:db8::1]:443", 0, 3 * MEGABYTE);
    both_directions(65535, "192.0.2.1:80", 0, 5 * MEGABYTE);
    both_directions(65535, "[2001:db8::1]:1", 0, 5 * MEGABYTE);
    both_directions(1280, "[2001:db8::1]:1", 0, MEGABYTE);
}

static void lost_packets_are_made_up_for(void **state)
{
    (void)state;
    both_directions(1500, "192.0.2.1:80", 50, MEGABYTE);
}

static void refused_looks_refused(void **state)
{
    (void)state;
    struct app_flow f;
    begin(1500);
    app_connect(&a, &f, "192.0.2.1:80");
    app_run(&a);
    tun2socks_refused(w.streams[0].flow, IO_REFUSED);
    assert_int_equal(w.streams[0].closes, 1);
    app_run(&a);
    assert_null(f.pcb);
    assert_int_equal(f.error, ERR_RST);

    w.open_result = IO_REFUSED; /* at once */
    app_connect(&a, &f, "[2001:db8::1]:80");
    app_run(&a);
    assert_int_equal(f.error, ERR_RST);
    assert_int_equal(tun2socks_counters(w.t)->tcp_refused, 2);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 0);
    end();
}

static void unreachable_becomes_icmp(void **state)
{
    (void)state;
    struct app_flow f;
    begin(1500);
    app_connect(&a, &f, "192.0.2.1:80");
    app_run(&a);
    tun2socks_refused(w.streams[0].flow, IO_HOST_UNREACHABLE);
    struct world_packet *p = world_take(&w);
    assert_non_null(p);
    assert_int_equal(p->data[9], PROTOCOL_ICMP);
    assert_int_equal(p->data[20], 3);
    assert_int_equal(p->data[21], 1);
    free(p);
    app_close(&f);
    end();
}

static void each_side_ends_by_itself(void **state)
{
    (void)state;
    for (int app_first = 0; app_first < 2; app_first++) {
        struct app_flow f;
        begin(1500);
        open_flow(&f, "192.0.2.1:80");
        struct world_stream *s = &w.streams[0];
        if (app_first) {
            app_send(&f, 1000);
            tcp_shutdown(f.pcb, 0, 1);
            app_run(&a);
            assert_int_equal(s->received, 1000);
            assert_int_equal(s->ends, 1);
            assert_int_equal(s->closes, 0);
            far_send(s, 200000); /* the other half still carries */
            tun2socks_ended(s->flow);
            app_run(&a);
            assert_int_equal(f.received, 200000);
            assert_true(f.ended);
        } else {
            far_send(s, 1000);
            tun2socks_ended(s->flow);
            app_run(&a);
            assert_true(f.ended);
            assert_int_equal(s->closes, 0);
            while (f.sent < 200000) {
                app_send(&f, (size_t)(200000 - f.sent));
                app_run(&a);
            }
            assert_int_equal(s->received, 200000);
            tcp_shutdown(f.pcb, 0, 1);
            app_run(&a);
        }
        assert_int_equal(s->closes, 1);
        wait_s(2);
        assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 0);
        app_close(&f);
        end();
    }
}

static void pressure_holds_both_ways(void **state)
{
    (void)state;
    struct app_flow f;
    begin(1500);
    open_flow(&f, "192.0.2.1:80");
    struct world_stream *s = &w.streams[0];
    s->accept_bytes = 10000; /* then no more */
    for (int i = 0; i < 100; i++) {
        app_send(&f, MEGABYTE);
        app_run(&a);
        world_wait(&w, SECOND_US / 10);
    }
    assert_int_equal(s->received, 10000);
    assert_true(f.sent < 10000 + 3 * 1024 * 1024); /* a window here, a buffer there */
    s->accept_bytes = SIZE_MAX;
    tun2socks_writable(s->flow);
    app_run(&a);
    wait_s(5);
    assert_int_equal(s->received, f.sent);
    assert_int_equal(s->wrong, 0);

    f.holds_window = true; /* the app reads no more */
    far_send(s, 8 * MEGABYTE);
    assert_true(s->sent < 3 * 1024 * 1024);
    void *to;
    assert_int_equal(tun2socks_buffer(s->flow, &to), 0);
    unsigned rooms = s->rooms;
    app_release(&f);
    wait_s(5);
    assert_true(s->rooms > rooms); /* the host is told */
    far_send(s, 8 * MEGABYTE);
    wait_s(1);
    assert_int_equal(f.received, 8 * MEGABYTE);
    assert_int_equal(f.wrong, 0);
    app_close(&f);
    end();
}

static void a_broken_stream_resets(void **state)
{
    (void)state;
    struct app_flow f, g;
    begin(1500);
    open_flow(&f, "192.0.2.1:80");
    tun2socks_failed(w.streams[0].flow);
    assert_int_equal(w.streams[0].closes, 1);
    open_flow(&g, "192.0.2.1:80");
    w.streams[1].is_broken = true;
    app_send(&g, 10);
    app_run(&a);
    assert_int_equal(w.streams[1].closes, 1);
    assert_int_equal(f.error, ERR_RST);
    assert_int_equal(g.error, ERR_RST);
    end();
}

static void a_flood_of_syns_meets_the_cap(void **state)
{
    (void)state;
    static struct app_flow flows[40];
    struct app_flow f;
    begin(1500);
    open_flow(&f, "192.0.2.1:80");
    for (int i = 0; i < 40; i++)
        app_connect(&a, &flows[i], "192.0.2.7:80");
    app_run(&a);
    assert_int_equal(w.stream_count, 16);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 16);
    assert_true(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_TCP_LIMIT] >= 25);
    app_send(&f, 5000); /* those that stand are not touched */
    app_run(&a);
    wait_s(1);
    assert_int_equal(w.streams[0].received, 5000);
    for (int i = 0; i < 40; i++)
        app_close(&flows[i]);
    app_close(&f);
    end();
    for (int i = 0; i < 16; i++)
        assert_int_equal(w.streams[i].closes, 1);
}

static void idle_flows_are_reset(void **state)
{
    (void)state;
    struct app_flow f;
    begin(1500);
    open_flow(&f, "192.0.2.1:80");
    wait_s(599);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 1);
    wait_s(3);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 0);
    assert_int_equal(w.streams[0].closes, 1);
    assert_int_equal(f.error, ERR_RST);
    end();
}

/* RFC 5382 REQ-5: an app that sends keepalives keeps its flow. */
static void keepalives_hold_a_flow(void **state)
{
    (void)state;
    struct app_flow f;
    begin(1500);
    open_flow(&f, "192.0.2.1:80");
    f.pcb->so_options |= SOF_KEEPALIVE;
    f.pcb->keep_idle = f.pcb->keep_intvl = 200000; /* ms; the flow idles out after 600 s */
    wait_s(2000);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 1);
    f.pcb->so_options &= (u8_t)~SOF_KEEPALIVE;
    wait_s(1300);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 0);
    end();
}

/* Linux sends a SYN once more when it is told that the host cannot be reached: no new attempt. */
static void a_refused_syn_that_comes_again_is_none(void **state)
{
    (void)state;
    struct app_flow f;
    begin(1500);
    app_connect(&a, &f, "192.0.2.1:80");
    assert_non_null(a.first);
    struct world_packet *syn = malloc(sizeof *syn + a.first->size);
    assert_non_null(syn);
    memcpy(syn, a.first, sizeof *syn + a.first->size);
    app_run(&a);
    assert_int_equal(w.stream_count, 1);
    tun2socks_refused(w.streams[0].flow, IO_HOST_UNREACHABLE);
    world_feed(&w, syn->data, syn->size);
    assert_int_equal(w.stream_count, 1);
    assert_int_equal(tun2socks_counters(w.t)->tcp_flows, 0);
    world_wait(&w, 2 * SECOND_US);
    world_feed(&w, syn->data, syn->size); /* later it is a new one */
    assert_int_equal(w.stream_count, 2);
    free(syn);
    app_close(&f);
    end();
}

static void wrong_checksums_are_dropped(void **state)
{
    (void)state;
    struct app_flow f;
    begin(1500);
    a.corrupt = true;
    app_connect(&a, &f, "192.0.2.1:80");
    app_run(&a);
    assert_int_equal(w.stream_count, 0);
    assert_int_equal(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_CHECKSUM], 1);
    app_close(&f);
    a.corrupt = false;
    end();
}

static void *try_another_thread(void *arg)
{
    struct udptun_error *err = arg;
    struct world other;
    world_init(&other, 1500);
    struct tun2socks *t =
        tun2socks_new(&w.config, device_open_callback(1500, NULL, NULL, NULL), err);
    return t ? t : other.t;
}

static void a_second_thread_is_turned_away(void **state)
{
    (void)state;
    struct udptun_error err = {0};
    pthread_t thread;
    void *result = &err;
    begin(1500);
    assert_int_equal(pthread_create(&thread, NULL, try_another_thread, &err), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_null(result);
    assert_int_equal(err.code, UDPTUN_E_CONFLICT);
    end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways),
        cmocka_unit_test(lost_packets_are_made_up_for),
        cmocka_unit_test(refused_looks_refused),
        cmocka_unit_test(unreachable_becomes_icmp),
        cmocka_unit_test(each_side_ends_by_itself),
        cmocka_unit_test(pressure_holds_both_ways),
        cmocka_unit_test(a_broken_stream_resets),
        cmocka_unit_test(a_flood_of_syns_meets_the_cap),
        cmocka_unit_test(idle_flows_are_reset),
        cmocka_unit_test(keepalives_hold_a_flow),
        cmocka_unit_test(a_refused_syn_that_comes_again_is_none),
        cmocka_unit_test(wrong_checksums_are_dropped),
        cmocka_unit_test(a_second_thread_is_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

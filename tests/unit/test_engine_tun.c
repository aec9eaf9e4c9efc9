/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_tun.c - tun2socks in an app's own process, by the public header: the app's device is
 * a callback, its UDP goes straight to an echo. Turns are told apart on a loop of the test's own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include "proto/buffer.h"
#include "tests/unit/engine_fixture.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

static const struct udptun_endpoint app = {
    .family = UDPTUN_ENDPOINT_IP4, .port = 4000, .ip = {10, 0, 0, 2}};

struct device {
    struct world w;
    struct udptun_tun2socks_config config;
    pthread_mutex_t lock;
    unsigned packets, answer_until; /* hand the next datagram over from inside the callback */
    bool remove_inside;
    int code_inside;
    struct packet last;
    uint8_t data[70000];
    enum udptun_state state;
    unsigned states;
};

/* A datagram of the app to the echo, without a checksum. */
static size_t build(uint8_t *to, const struct world *w, const char *text)
{
    struct udptun_endpoint echo = {
        .family = UDPTUN_ENDPOINT_IP4, .port = w->echo.port, .ip = {127, 0, 0, 1}};
    size_t total = UDP_HEADER_SIZE + strlen(text);
    size_t at = packet_write_ip(to, &app, &echo, PROTOCOL_UDP, total);
    struct writer out = writer_of(to + at, total);
    writer_u16(&out, app.port);
    writer_u16(&out, echo.port);
    writer_u16(&out, (uint16_t)total);
    writer_u16(&out, 0);
    writer_bytes(&out, text, strlen(text));
    return at + total;
}

static void on_packet(void *arg, const char *name, const void *data, size_t size)
{
    struct device *d = arg;
    enum tun2socks_drop cause;
    uint8_t next[100];
    pthread_mutex_lock(&d->lock);
    memcpy(d->data, data, size);
    if (packet_parse(&d->last, d->data, size, false, &cause))
        d->packets++;
    bool again = d->packets < d->answer_until;
    pthread_mutex_unlock(&d->lock);
    if (again)
        d->code_inside =
            udptun_tun2socks_packet(d->w.engine, name, next, build(next, &d->w, "again"));
    if (d->remove_inside)
        d->code_inside = udptun_tun2socks_remove(d->w.engine, name, NULL);
}

static void on_state(void *arg, const char *name, enum udptun_state state, const char *reason)
{
    struct device *d = arg;
    (void)name;
    (void)reason;
    pthread_mutex_lock(&d->lock);
    d->state = state;
    d->states++;
    pthread_mutex_unlock(&d->lock);
}

static void start(struct device *d)
{
    *d = (struct device){0};
    pthread_mutex_init(&d->lock, NULL);
    world_start(&d->w);
    udptun_tun2socks_config_init(&d->config);
    d->config.name = "app";
    d->config.device = "app:";
    d->config.udp = "direct";
    d->config.arg = d;
    d->config.packet = on_packet;
    d->config.state = on_state;
    struct udptun_error err = {0};
    bool changed = false;
    if (udptun_tun2socks_configure(d->w.engine, &d->config, &changed, &err) != UDPTUN_OK)
        fail_msg("%s", err.message);
    assert_true(changed);
}

static void wait_for_packets(struct device *d, unsigned count)
{
    for (int ms = 0; ms < DEADLINE_MS; ms++) {
        pthread_mutex_lock(&d->lock);
        unsigned now = d->packets;
        pthread_mutex_unlock(&d->lock);
        if (now >= count)
            return;
        usleep(1000);
    }
    fail_msg("no packet came");
}

static void packets_by_functions(void **state)
{
    (void)state;
    static struct device d;
    uint8_t packet[100];
    start(&d);
    d.answer_until = 5;
    size_t size = build(packet, &d.w, "hello");
    assert_int_equal(udptun_tun2socks_packet(d.w.engine, "app", packet, size), UDPTUN_OK);
    wait_for_packets(&d, 5);
    assert_int_equal(d.code_inside, UDPTUN_OK);
    assert_int_equal(d.last.protocol, PROTOCOL_UDP);
    assert_int_equal(d.last.source.port, d.w.echo.port);
    assert_true(endpoint_equal(&d.last.destination, &app));
    assert_memory_equal(d.last.transport + UDP_HEADER_SIZE, "again", 5);

    assert_int_equal(udptun_tun2socks_packet(d.w.engine, "app", packet, 0), UDPTUN_E_INVALID);
    assert_int_equal(udptun_tun2socks_packet(d.w.engine, "app", d.data, 65576), UDPTUN_E_INVALID);
    assert_int_equal(udptun_tun2socks_packet(d.w.engine, "no", packet, size), UDPTUN_E_NOT_FOUND);
    d.config.packet = NULL;
    assert_int_equal(udptun_tun2socks_config_check(&d.config, NULL), UDPTUN_E_INVALID);
    assert_int_equal(udptun_tun2socks_remove(d.w.engine, "app", NULL), UDPTUN_OK);
    assert_int_equal(d.states, 2); /* established, disabled */
    assert_int_equal(d.state, UDPTUN_DISABLED);
    world_stop(&d.w);
}

/* From inside its own callback, deep in its own stack. */
static void an_instance_is_removed_by_its_device(void **state)
{
    (void)state;
    static struct device d;
    uint8_t packet[100];
    struct udptun_tun2socks_status status;
    start(&d);
    d.remove_inside = true;
    size_t size = build(packet, &d.w, "hello");
    assert_int_equal(udptun_tun2socks_packet(d.w.engine, "app", packet, size), UDPTUN_OK);
    wait_for_packets(&d, 1);
    assert_int_equal(udptun_tun2socks_status(d.w.engine, "app", &status), UDPTUN_E_NOT_FOUND);
    assert_int_equal(d.code_inside, UDPTUN_OK);
    world_stop(&d.w);
}

/* ---- turns --------------------------------------------------------------------------------------
 */

/* An app on the loop's own thread, whose pings the instance answers before the call returns. */
struct pinger {
    udptun_engine *engine;
    struct ev_loop *loop;
    ev_timer guard; /* against hanging */
    unsigned replies, answer_until;
    unsigned sequences[4]; /* of the first replies */
};

static void ping(struct pinger *p, unsigned sequence)
{
    static const struct udptun_endpoint far = {.family = UDPTUN_ENDPOINT_IP4, .ip = {10, 0, 0, 9}};
    uint8_t packet[IP4_HEADER_SIZE + ICMP_HEADER_SIZE];
    size_t at = packet_write_ip(packet, &app, &far, PROTOCOL_ICMP, ICMP_HEADER_SIZE);
    struct writer out = writer_of(packet + at, ICMP_HEADER_SIZE);
    writer_u8(&out, 8); /* echo request */
    writer_u8(&out, 0);
    writer_u16(&out, 0);
    writer_u16(&out, 1);
    writer_u16(&out, (uint16_t)sequence);
    uint16_t sum = checksum_end(checksum_add(0, packet + at, ICMP_HEADER_SIZE));
    memcpy(packet + at + 2, &sum, sizeof sum);
    assert_int_equal(udptun_tun2socks_packet(p->engine, "app", packet, sizeof packet), UDPTUN_OK);
}

static void on_reply(void *arg, const char *name, const void *data, size_t size)
{
    struct pinger *p = arg;
    struct packet reply;
    enum tun2socks_drop cause;
    (void)name;
    assert_true(packet_parse(&reply, data, size, false, &cause));
    assert_int_equal(reply.protocol, PROTOCOL_ICMP);
    unsigned sequence = (unsigned)(reply.transport[6] << 8 | reply.transport[7]);
    if (p->replies < sizeof p->sequences / sizeof *p->sequences)
        p->sequences[p->replies] = sequence;
    p->replies++;
    if (p->replies < p->answer_until)
        ping(p, sequence + 1);
}

static void on_guard(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(loop, EVBREAK_ONE);
    fail_msg("nothing wakes the loop");
}

static void pinger_start(struct pinger *p, unsigned answer_until)
{
    struct udptun_engine_config engine;
    struct udptun_tun2socks_config config;
    struct udptun_error err = {0};
    *p = (struct pinger){.loop = ev_loop_new(EVFLAG_AUTO), .answer_until = answer_until};
    udptun_engine_config_init(&engine);
    engine.loop = p->loop;
    p->engine = udptun_engine_new(&engine, &err);
    assert_non_null(p->engine);
    udptun_tun2socks_config_init(&config);
    config.name = "app";
    config.device = "app:";
    config.arg = p;
    config.packet = on_reply;
    if (udptun_tun2socks_configure(p->engine, &config, NULL, &err) != UDPTUN_OK)
        fail_msg("%s", err.message);
    ev_timer_init(&p->guard, on_guard, DEADLINE_MS / 1000., 0.);
    ev_timer_start(p->loop, &p->guard);
}

static void pinger_stop(struct pinger *p)
{
    ev_timer_stop(p->loop, &p->guard);
    udptun_engine_free(p->engine);
    ev_loop_destroy(p->loop);
}

static void an_app_that_answers_every_packet_leaves_the_loop_its_turns(void **state)
{
    (void)state;
    enum { TURNS = 50 };
    struct pinger p;
    pinger_start(&p, 100000);
    ping(&p, 0);
    for (unsigned turn = 0; turn < TURNS; turn++) {
        unsigned before = p.replies;
        ev_run(p.loop, EVRUN_ONCE);
        assert_in_range(p.replies - before, 0, 1);
    }
    assert_true(p.replies > TURNS / 2); /* it goes on all the same */
    pinger_stop(&p);
}

static void packets_of_the_app_keep_their_order(void **state)
{
    (void)state;
    struct pinger p;
    pinger_start(&p, 2);
    ping(&p, 10); /* hands over 11 from inside the callback */
    ping(&p, 20);
    assert_int_equal(p.replies, 1);
    while (p.replies < 3)
        ev_run(p.loop, EVRUN_ONCE);
    assert_int_equal(p.sequences[0], 10);
    assert_int_equal(p.sequences[1], 11);
    assert_int_equal(p.sequences[2], 20);
    pinger_stop(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_by_functions),
        cmocka_unit_test(an_instance_is_removed_by_its_device),
        cmocka_unit_test(an_app_that_answers_every_packet_leaves_the_loop_its_turns),
        cmocka_unit_test(packets_of_the_app_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

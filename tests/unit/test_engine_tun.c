/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_tun.c - tun2socks in an app's own process, by the public header: the app's device is
 * a callback, its UDP goes straight to an echo.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proto/buffer.h"
#include "tests/unit/engine_fixture.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

static const struct endpoint app = {.family = ENDPOINT_IP4, .port = 4000, .ip = {10, 0, 0, 2}};

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
    struct endpoint echo = {.family = ENDPOINT_IP4, .port = w->echo.port, .ip = {127, 0, 0, 1}};
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_by_functions),
        cmocka_unit_test(an_instance_is_removed_by_its_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

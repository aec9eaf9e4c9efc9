/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_objects.c - objects that name each other come, change and go under traffic: a
 * tun2socks instance that a tunnel serves, a server whose datagrams leave by another instance.
 * The loop is the test's own, so that a turn ends only where the test says. Meant for
 * AddressSanitizer; without it a stale pointer shows by luck alone.
 *
 *     app: ─ "i" ─ tunnel "u" or "v" ─ unix socket ─ server "s" ─┬ sockets ──────┬ echo
 *                                                                └ pipe ─ "p" ───┘
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include "proto/buffer.h"
#include "tests/sim/rng.h"
#include "tests/unit/engine_fixture.h"
#include "tun2socks/packet.h"

struct net {
    udptun_engine *engine;
    struct ev_loop *loop;
    ev_timer guard; /* against hanging, and a loop that has nothing to wait for */
    struct echo echo;
    char folder[32], url[64]; /* of the server's socket */
    unsigned replies;
    void (*inside)(struct net *net); /* done in the next callback that carries data */
    struct rng rng;
};

static void on_guard(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

static void from_inside(struct net *net)
{
    void (*inside)(struct net *) = net->inside;
    net->inside = NULL;
    if (inside)
        inside(net);
}

static void on_packet(void *arg, const char *name, const void *data, size_t size)
{
    struct net *net = arg;
    (void)name;
    (void)data;
    (void)size;
    net->replies++;
    from_inside(net);
}

static void start(struct net *net)
{
    struct udptun_engine_config config;
    *net = (struct net){.loop = ev_loop_new(EVFLAG_AUTO), .folder = "/tmp/udptun-objects-XXXXXX"};
    assert_non_null(mkdtemp(net->folder));
    snprintf(net->url, sizeof net->url, "unix:%s/s", net->folder);
    echo_start(&net->echo);
    udptun_engine_config_init(&config);
    config.loop = net->loop;
    net->engine = udptun_engine_new(&config, NULL);
    assert_non_null(net->engine);
    ev_timer_init(&net->guard, on_guard, .001, .001);
    ev_timer_start(net->loop, &net->guard);
}

static void stop(struct net *net)
{
    char path[64];
    udptun_engine_free(net->engine);
    ev_timer_stop(net->loop, &net->guard);
    ev_loop_destroy(net->loop);
    echo_stop(&net->echo);
    snprintf(path, sizeof path, "%s/s", net->folder);
    unlink(path);
    rmdir(net->folder);
}

/* ---- objects ------------------------------------------------------------------------------------
 */

/* What does not exist, or is in use, is refused; that is not what this is about. */
static void local(struct net *net, const char *name, const char *listen, bool enabled)
{
    struct udptun_tunnel_config config;
    udptun_tunnel_config_init(&config, UDPTUN_LOCAL);
    config.name = name;
    config.listen = listen;
    config.target = listen ? net->echo.place : NULL;
    config.server = net->url;
    config.connections = 1;
    config.enabled = enabled;
    udptun_configure(net->engine, &config, NULL, NULL);
}

static void server(struct net *net, const char *egress, bool enabled)
{
    struct udptun_tunnel_config config;
    udptun_tunnel_config_init(&config, UDPTUN_SERVER);
    config.name = "s";
    config.listen = net->url;
    config.egress = egress;
    config.target = net->echo.place;
    config.enabled = enabled;
    udptun_configure(net->engine, &config, NULL, NULL);
}

static int instance(struct net *net, const char *name, const char *device, const char *udp,
                    int64_t mtu, bool enabled)
{
    struct udptun_tun2socks_config config;
    udptun_tun2socks_config_init(&config);
    config.name = name;
    config.device = device;
    config.udp = udp;
    config.mtu = mtu;
    config.udp_flow_timeout_s = 1;
    config.arg = net;
    config.packet = on_packet;
    config.enabled = enabled;
    return udptun_tun2socks_configure(net->engine, &config, NULL, NULL);
}

/* A datagram of one of the app's sources. */
static void send_packet(struct net *net, unsigned source)
{
    const struct udptun_endpoint app = endpoint_ip4(10, 0, 0, 2, (uint16_t)(4000 + source));
    const struct udptun_endpoint echo = endpoint_ip4(127, 0, 0, 1, net->echo.port);
    enum { TEXT_SIZE = 4, TOTAL = UDP_HEADER_SIZE + TEXT_SIZE };
    uint8_t packet[IP4_HEADER_SIZE + TOTAL];
    size_t at = packet_write_ip(packet, &app, &echo, PROTOCOL_UDP, TOTAL);
    struct writer out = writer_of(packet + at, TOTAL);
    writer_u16(&out, app.port);
    writer_u16(&out, echo.port);
    writer_u16(&out, TOTAL);
    writer_u16(&out, 0);
    writer_bytes(&out, "ping", TEXT_SIZE);
    udptun_tun2socks_packet(net->engine, "i", packet, sizeof packet);
}

static void turn(struct net *net)
{
    ev_run(net->loop, EVRUN_ONCE);
}

static void carries(struct net *net)
{
    unsigned before = net->replies;
    for (unsigned ms = 0; net->replies == before && ms < DEADLINE_MS; ms++) {
        send_packet(net, 7);
        turn(net);
    }
    assert_true(net->replies > before);
}

static void everything(struct net *net)
{
    server(net, NULL, true);
    local(net, "u", NULL, true);
    local(net, "v", NULL, true);
    assert_int_equal(instance(net, "i", "app:", "tunnel:u", UDPTUN_DEFAULT, true), UDPTUN_OK);
    carries(net);
}

/* ---- one at a time ------------------------------------------------------------------------------
 */

/* No turn ends between them: whatever was looked up for the first packet is still there. */
static void a_tunnel_is_replaced_between_two_packets(void **state)
{
    (void)state;
    struct net net;
    start(&net);
    everything(&net);
    send_packet(&net, 0);
    local(&net, "u", "udp://127.0.0.1:0", true);
    send_packet(&net, 1);
    local(&net, "u", NULL, false);
    send_packet(&net, 2);
    local(&net, "u", NULL, true);
    carries(&net);
    stop(&net);
}

static void a_tunnel_is_replaced_after_a_binding_ended(void **state)
{
    (void)state;
    struct net net;
    start(&net);
    everything(&net);
    struct udptun_tun2socks_status status = {.udp_flows = 1};
    while (status.udp_flows > 0) {
        turn(&net);
        assert_int_equal(udptun_tun2socks_status(net.engine, "i", &status), UDPTUN_OK);
    }
    local(&net, "u", "udp://127.0.0.1:0", true);
    carries(&net);
    stop(&net);
}

static void to_other_udp(struct net *net)
{
    instance(net, "i", "app:", "direct", UDPTUN_DEFAULT, true);
}

static void to_tunnel(struct net *net)
{
    instance(net, "i", "app:", "tunnel:v", UDPTUN_DEFAULT, true);
}

/* What delivers the packet is what the change ends. */
static void the_way_of_a_datagram_is_changed_by_its_receiver(void **state)
{
    (void)state;
    struct net net;
    start(&net);
    everything(&net);
    net.inside = to_other_udp;
    carries(&net);
    assert_null(net.inside);
    carries(&net);
    net.inside = to_tunnel;
    for (unsigned i = 0; i < 20; i++) /* several replies in one read */
        send_packet(&net, 7);
    usleep(20000);
    carries(&net);
    assert_null(net.inside);
    carries(&net);
    stop(&net);
}

/* ---- all of them --------------------------------------------------------------------------------
 */

static unsigned below(struct net *net, unsigned count)
{
    return (unsigned)rng_between(&net->rng, 0, count - 1);
}

static const char *any(struct net *net, const char *const *of, unsigned count)
{
    return of[below(net, count)];
}

static void anything(struct net *net)
{
    static const char *const names[] = {"u", "v"}, *const all[] = {"u", "v", "s"};
    static const char *const listens[] = {NULL, "udp://127.0.0.1:0", "socks5://127.0.0.1:0"};
    static const char *const udps[] = {"tunnel:u", "tunnel:v", "direct", "reject"};
    static const char *const egresses[] = {NULL, "tun2socks:p"};
    bool enabled = below(net, 4) != 0;
    switch (below(net, 8)) {
    case 0:
    case 1:
        local(net, any(net, names, 2), any(net, listens, 3), enabled);
        break;
    case 2:
    case 3:
        instance(net, "i", "app:", any(net, udps, 4), 1500 + below(net, 2), enabled);
        break;
    case 4:
        server(net, any(net, egresses, 2), enabled);
        break;
    case 5:
        instance(net, "p", "pipe", any(net, udps + 2, 2), 9000 + below(net, 2), enabled);
        break;
    case 6:
        udptun_remove(net->engine, any(net, all, 3), NULL);
        break;
    case 7:
        udptun_tun2socks_remove(net->engine, below(net, 2) ? "i" : "p", NULL);
        break;
    }
}

static void objects_come_and_go_under_traffic(void **state)
{
    (void)state;
    enum { ROUNDS = 40, STEPS = 100 };
    struct net net;
    unsigned replies = 0;
    start(&net);
    net.rng.state = 20261130;
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned step = 0; step < STEPS; step++) {
            unsigned what = below(&net, 16);
            if (what == 0)
                anything(&net);
            else if (what == 1)
                net.inside = anything;
            else if (what < 11)
                send_packet(&net, what);
            else
                turn(&net);
        }
        net.inside = NULL;
        replies += net.replies;
        net.replies = 0;
        udptun_tun2socks_remove(net.engine, "i", NULL); /* whichever way all was left, it works */
        udptun_remove(net.engine, "s", NULL);
        everything(&net);
    }
    assert_true(replies > ROUNDS); /* there was traffic */
    stop(&net);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_tunnel_is_replaced_between_two_packets),
        cmocka_unit_test(a_tunnel_is_replaced_after_a_binding_ended),
        cmocka_unit_test(the_way_of_a_datagram_is_changed_by_its_receiver),
        cmocka_unit_test(objects_come_and_go_under_traffic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

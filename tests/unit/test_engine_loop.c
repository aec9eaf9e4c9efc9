/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_loop.c - packets of the engine's own sockets come back into its device: they make no
 * flow. The test sees from which port the engine sends, and hands in a packet from there.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include "proto/buffer.h"
#include "tests/unit/engine_fixture.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

static const struct udptun_endpoint app = {
    .family = UDPTUN_ENDPOINT_IP4, .port = 4000, .ip = {10, 0, 0, 2}};

struct host {
    udptun_engine *engine;
    struct ev_loop *loop;
    ev_timer tick;
    int udp, tcp; /* targets */
    struct udptun_endpoint udp_at, tcp_at;
    unsigned unreachable; /* ICMP errors that came */
};

static void on_packet(void *arg, const char *name, const void *data, size_t size)
{
    struct host *h = arg;
    struct packet p;
    enum tun2socks_drop cause;
    (void)name;
    if (packet_parse(&p, (uint8_t *)(uintptr_t)data, size, false, &cause))
        h->unreachable += p.protocol == PROTOCOL_ICMP;
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

static int target(int type, struct udptun_endpoint *at)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&sa, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&sa, &size), 0);
    if (type == SOCK_STREAM)
        assert_int_equal(listen(fd, 8), 0);
    *at = endpoint_ip4(127, 0, 0, 1, ntohs(sa.sin_port));
    return fd;
}

static void instance(struct host *h, const char *way)
{
    struct udptun_tun2socks_config config;
    struct udptun_error err = {0};
    udptun_tun2socks_config_init(&config);
    config.name = "i";
    config.device = "app:";
    config.tcp = config.udp = way;
    config.arg = h;
    config.packet = on_packet;
    if (udptun_tun2socks_configure(h->engine, &config, NULL, &err) != UDPTUN_OK)
        fail_msg("%s", err.message);
}

static void start(struct host *h)
{
    struct udptun_engine_config config;
    *h = (struct host){.loop = ev_loop_new(EVFLAG_AUTO)};
    h->udp = target(SOCK_DGRAM, &h->udp_at);
    h->tcp = target(SOCK_STREAM, &h->tcp_at);
    udptun_engine_config_init(&config);
    config.loop = h->loop;
    h->engine = udptun_engine_new(&config, NULL);
    assert_non_null(h->engine);
    ev_timer_init(&h->tick, on_tick, .001, .001);
    ev_timer_start(h->loop, &h->tick);
    instance(h, "direct");
}

static void stop(struct host *h)
{
    udptun_engine_free(h->engine);
    ev_timer_stop(h->loop, &h->tick);
    ev_loop_destroy(h->loop);
    close(h->udp);
    close(h->tcp);
}

static struct udptun_tun2socks_status look(struct host *h)
{
    struct udptun_tun2socks_status status;
    assert_int_equal(udptun_tun2socks_status(h->engine, "i", &status), UDPTUN_OK);
    return status;
}

static uint64_t loops(struct host *h)
{
    struct udptun_tun2socks_status status = look(h);
    for (size_t i = 0; i < status.drop_count; i++)
        if (strcmp(status.dropped[i].cause, "loop") == 0)
            return status.dropped[i].packets;
    fail_msg("there is no such cause");
    return 0;
}

/* From anywhere to anywhere: an empty datagram, or a SYN. */
static void enter(struct host *h, uint8_t protocol, const struct udptun_endpoint *from,
                  const struct udptun_endpoint *to)
{
    uint8_t packet[IP4_HEADER_SIZE + TCP_HEADER_SIZE];
    size_t total = protocol == PROTOCOL_UDP ? UDP_HEADER_SIZE : TCP_HEADER_SIZE;
    size_t at = packet_write_ip(packet, from, to, protocol, total);
    struct writer out = writer_of(packet + at, total);
    writer_u16(&out, from->port);
    writer_u16(&out, to->port);
    if (protocol == PROTOCOL_UDP) {
        writer_u16(&out, (uint16_t)total);
        writer_u16(&out, 0);
    } else {
        writer_u32(&out, 1000);
        writer_u32(&out, 0);
        writer_u8(&out, TCP_HEADER_SIZE / 4 << 4);
        writer_u8(&out, TCP_FLAG_SYN);
        writer_u16(&out, 65535);
        writer_u32(&out, 0);
        checksum_sum sum = checksum_pseudo(from, to, protocol, total);
        uint16_t value = checksum_end(checksum_add(sum, packet + at, total));
        memcpy(packet + at + TCP_CHECKSUM_OFFSET, &value, sizeof value);
    }
    assert_int_equal(udptun_tun2socks_packet(h->engine, "i", packet, at + total), UDPTUN_OK);
}

/* Where the engine sends from: by the datagram, or the connection, that came. */
static struct udptun_endpoint seen(struct host *h, int fd, bool is_stream)
{
    struct sockaddr_in sa;
    socklen_t size = sizeof sa;
    char byte;
    for (unsigned ms = 0; ms < DEADLINE_MS; ms++) {
        int accepted = is_stream ? accept(fd, (struct sockaddr *)(void *)&sa, &size) : -1;
        if (accepted >= 0)
            close(accepted);
        if (accepted >= 0 ||
            (!is_stream && recvfrom(fd, &byte, 1, 0, (struct sockaddr *)(void *)&sa, &size) >= 0))
            return endpoint_ip4(127, 0, 0, 1, ntohs(sa.sin_port));
        ev_run(h->loop, EVRUN_ONCE);
    }
    fail_msg("nothing came");
    return app;
}

static void a_datagram_of_our_own_makes_no_flow(void **state)
{
    (void)state;
    static const struct udptun_endpoint unused = {
        .family = UDPTUN_ENDPOINT_IP4, .port = 9, .ip = {10, 0, 0, 77}};
    struct host h;
    start(&h);
    enter(&h, PROTOCOL_UDP, &app, &h.udp_at);
    struct udptun_endpoint own = seen(&h, h.udp, false);
    enter(&h, PROTOCOL_UDP, &own, &unused);
    assert_int_equal(loops(&h), 1);
    assert_int_equal(look(&h).udp_flows, 1);
    assert_int_equal(look(&h).state, UDPTUN_DEGRADED);
    assert_non_null(strstr(look(&h).last_error, "loop: "));
    assert_non_null(strstr(look(&h).last_error, "10.0.0.77:9"));

    struct udptun_endpoint elsewhere = own,
                           stream = own; /* the same port of another host is its own */
    elsewhere.ip[0] = 10;
    enter(&h, PROTOCOL_UDP, &elsewhere, &h.udp_at);
    assert_int_equal(look(&h).udp_flows, 2);
    enter(&h, PROTOCOL_TCP, &stream, &h.tcp_at); /* and that of TCP */
    assert_int_equal(look(&h).tcp_flows, 1);
    assert_int_equal(loops(&h), 1);

    instance(&h, "reject"); /* the socket is closed, and its port is anybody's */
    instance(&h, "direct");
    enter(&h, PROTOCOL_UDP, &own, &h.udp_at);
    assert_int_equal(loops(&h), 1);
    assert_int_equal(look(&h).udp_flows, 1);
    stop(&h);
}

static void a_connection_of_our_own_is_refused_at_once(void **state)
{
    (void)state;
    struct host h;
    start(&h);
    enter(&h, PROTOCOL_TCP, &app, &h.tcp_at);
    struct udptun_endpoint own = seen(&h, h.tcp, true);
    uint64_t flows = look(&h).tcp_flows;
    enter(&h, PROTOCOL_TCP, &own, &h.tcp_at);
    assert_int_equal(loops(&h), 1);
    assert_int_equal(h.unreachable, 1);
    assert_int_equal(look(&h).tcp_flows, flows);
    assert_non_null(strstr(look(&h).last_error, "our own connections"));
    stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_datagram_of_our_own_makes_no_flow),
        cmocka_unit_test(a_connection_of_our_own_is_refused_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

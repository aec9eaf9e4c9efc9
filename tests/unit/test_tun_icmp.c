/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tun_icmp.c - what a NAT has to get right beside the datagrams: the errors that an app is
 * told, and the headers of what it is sent (RFC 4787, RFC 5508, RFC 6864, RFC 8200).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/tun_world.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

static const char *const apps[] = {"10.0.0.2:4000", "[fd00::2]:4000"};
static const char *const peers[] = {"192.0.2.1:7", "[2001:db8::1]:7"};

static uint8_t payload[3000], packet[4000];

static struct udptun_endpoint ep(const char *text)
{
    struct udptun_endpoint e;
    assert_true(endpoint_parse(text, &e));
    return e;
}

/* The packet that tun2socks sends, parsed: every checksum in it is right. */
static struct world_packet *sent(struct world *w, struct packet *p)
{
    enum tun2socks_drop cause;
    struct world_packet *out = world_take(w);
    assert_non_null(out);
    assert_true(packet_parse(p, out->data, out->size, false, &cause));
    assert_int_equal(out->data[p->source.family == UDPTUN_ENDPOINT_IP4 ? 8 : 7],
                     64); /* TTL, hop limit */
    return out;
}

static void errors_are_those_of_the_rfcs(void **state)
{
    (void)state;
    static const struct {
        enum tun2socks_unreachable why;
        uint8_t type4, code4, type6, code6;
    } cases[] = {{TUN2SOCKS_PORT_UNREACHABLE, 3, 3, 1, 4},
                 {TUN2SOCKS_HOST_UNREACHABLE, 3, 1, 1, 3},
                 {TUN2SOCKS_PROHIBITED, 3, 13, 1, 1},
                 {TUN2SOCKS_TOO_BIG, 3, 4, 2, 0}};
    for (int i = 0; i < 2; i++) {
        struct world w;
        struct udptun_endpoint app = ep(apps[i]), peer = ep(peers[i]);
        size_t ip_size = i ? IP6_HEADER_SIZE : IP4_HEADER_SIZE;
        world_init(&w, 1500);
        for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
            struct packet p;
            bool too_big = cases[k].why == TUN2SOCKS_TOO_BIG;
            tun2socks_unreachable(w.t, &app, &peer, cases[k].why, too_big ? 1400 : 0);
            struct world_packet *out = sent(&w, &p);
            assert_int_equal(p.protocol, i ? PROTOCOL_ICMP6 : PROTOCOL_ICMP);
            assert_true(
                endpoint_equal(&p.source, &(struct udptun_endpoint){.family = peer.family}) ||
                memcmp(p.source.ip, peer.ip, sizeof peer.ip) == 0);
            assert_memory_equal(p.destination.ip, app.ip, sizeof app.ip);
            assert_int_equal(p.transport[0], i ? cases[k].type6 : cases[k].type4);
            assert_int_equal(p.transport[1], i ? cases[k].code6 : cases[k].code4);
            /* RFC 1191 has the MTU in the lower half, RFC 4443 in all of it */
            assert_int_equal(p.transport[6] << 8 | p.transport[7], too_big ? 1400 : 0);
            assert_int_equal(p.transport[4] << 8 | p.transport[5], 0);
            const uint8_t *quoted = p.transport + ICMP_HEADER_SIZE, *ports = quoted + ip_size;
            size_t at = i ? 8 : 12, size = i ? 16 : 4;
            assert_memory_equal(quoted + at, app.ip, size); /* the app's own datagram */
            assert_memory_equal(quoted + at + size, peer.ip, size);
            assert_int_equal(ports[0] << 8 | ports[1], 4000);
            assert_int_equal(ports[2] << 8 | ports[3], 7);
            free(out);
        }
        world_fini(&w);
    }
}

/* No error about what came as ICMP, nor about what is broken (RFC 1122 section 3.2.2). */
static void errors_beget_no_errors(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1500);
    tun2socks_unreachable(
        w.t, &(struct udptun_endpoint){.family = UDPTUN_ENDPOINT_IP4, .ip = {10, 0, 0, 2}},
        &(struct udptun_endpoint){.family = UDPTUN_ENDPOINT_IP4, .ip = {192, 0, 2, 1}},
        TUN2SOCKS_HOST_UNREACHABLE, 0);
    struct packet p;
    struct world_packet *error = sent(&w, &p);
    world_feed(&w, error->data, error->size);
    assert_null(world_take(&w));
    assert_int_equal(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_ICMP], 1);
    free(error);
    world_fini(&w);
}

/* A datagram that may be cut behind the app has an identification of its own; what may not has
 * none and says so. */
static void identifications_are_not_used_twice(void **state)
{
    (void)state;
    struct world w;
    struct udptun_endpoint app = ep(apps[0]), peer = ep(peers[0]);
    unsigned last = 0;
    world_init(&w, 1500);
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    for (int i = 0; i < 3; i++) {
        struct packet p;
        assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 100));
        struct world_packet *out = sent(&w, &p);
        unsigned id = (unsigned)(out->data[4] << 8 | out->data[5]);
        assert_true(i == 0 || id != last);
        assert_int_equal(out->data[6] & 0xe0, 0);
        last = id;
        free(out);
    }
    struct packet p;
    tun2socks_unreachable(w.t, &app, &peer, TUN2SOCKS_PORT_UNREACHABLE, 0);
    struct world_packet *out = sent(&w, &p);
    assert_int_equal(out->data[6] & 0xe0, 0x40); /* DF */
    free(out);
    world_fini(&w);
}

/* IPv4 may do without a checksum (RFC 768), IPv6 may not (RFC 8200 section 8.1). */
static void a_datagram_without_a_checksum(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world w;
        struct udptun_endpoint app = ep(apps[i]), peer = ep(peers[i]);
        world_init(&w, 1500);
        size_t size = world_udp(packet, &app, &peer, payload, 100);
        size_t field = (i ? IP6_HEADER_SIZE : IP4_HEADER_SIZE) + 6;
        packet[field] = packet[field + 1] = 0;
        world_feed(&w, packet, size);
        assert_int_equal(w.datagrams, i ? 0 : 1);
        assert_int_equal(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_CHECKSUM], i ? 1 : 0);
        world_fini(&w);
    }
}

/* What is sent is never without: a sum of 0 goes as ffff. */
static void a_checksum_of_zero_is_sent_as_ones(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world w;
        struct udptun_endpoint app = ep(apps[i]), peer = ep(peers[i]);
        bool seen = false;
        world_init(&w, 1500);
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        for (unsigned value = 0; value <= UINT16_MAX; value++) {
            uint8_t data[2] = {(uint8_t)(value >> 8), (uint8_t)value};
            assert_true(tun2socks_datagram(w.t, &app, &peer, data, sizeof data));
            struct world_packet *out = world_take(&w);
            const uint8_t *field = out->data + (i ? IP6_HEADER_SIZE : IP4_HEADER_SIZE) + 6;
            assert_true(field[0] || field[1]);
            seen = seen || (field[0] == 0xff && field[1] == 0xff);
            free(out);
        }
        assert_true(seen);
        world_fini(&w);
    }
}

/* Fragments of one datagram, the second of which begins where the first has not ended. */
static void fragments_that_overlap_void_their_datagram(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        struct world w;
        struct udptun_endpoint app = ep(apps[i]), peer = ep(peers[i]);
        world_init(&w, 1280);
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 2000));
        struct world_packet *first = world_take(&w), *second = world_take(&w);
        uint8_t *offset = second->data + (i ? IP6_HEADER_SIZE + 2 : 6); /* in units of 8 */
        offset[1] = (uint8_t)(offset[1] - (i ? 8 : 1));
        if (!i) {
            memset(second->data + 10, 0, 2);
            uint16_t sum = checksum_end(checksum_add(0, second->data, IP4_HEADER_SIZE));
            memcpy(second->data + 10, &sum, sizeof sum);
        }
        for (int backwards = 0; backwards < 2; backwards++) {
            struct world_packet *a = backwards ? second : first, *b = backwards ? first : second;
            world_feed(&w, a->data, a->size);
            world_feed(&w, a->data, a->size); /* said again: no contradiction */
            world_feed(&w, b->data, b->size);
            assert_int_equal(w.datagrams, 1);
            assert_int_equal(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_FRAGMENT],
                             backwards + 1);
        }
        free(first);
        free(second);
        world_fini(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_those_of_the_rfcs),
        cmocka_unit_test(errors_beget_no_errors),
        cmocka_unit_test(identifications_are_not_used_twice),
        cmocka_unit_test(a_datagram_without_a_checksum),
        cmocka_unit_test(a_checksum_of_zero_is_sent_as_ones),
        cmocka_unit_test(fragments_that_overlap_void_their_datagram),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

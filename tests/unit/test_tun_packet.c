/* SPDX-License-Identifier: Apache-2.0 */
/* test_tun_packet.c - checksums, fragments, bindings, ICMP: tun2socks without TCP. */
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

static struct udptun_endpoint ep(const char *text)
{
    struct udptun_endpoint e;
    assert_true(endpoint_parse(text, &e));
    return e;
}

static uint8_t payload[65536], packet[70000];

static void fill_payload(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = (uint8_t)(i * 7 + i / 251);
}

/* The example of RFC 1071 section 3: sum ddf2 over 00 01 f2 03 f4 f5 f6 f7. */
static void checksum_is_that_of_rfc_1071(void **state)
{
    (void)state;
    const uint8_t data[] = {0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
    uint16_t sum = checksum_fold(checksum_add(0, data, sizeof data));
    const uint8_t *bytes = (const uint8_t *)&sum;
    assert_int_equal(bytes[0], 0xdd);
    assert_int_equal(bytes[1], 0xf2);
}

static void checksum_does_not_depend_on_the_cuts(void **state)
{
    (void)state;
    uint16_t whole = checksum_fold(checksum_add(0, payload + 3, 997));
    for (size_t a = 0; a < 40; a++) {
        for (size_t b = 0; b < 40; b++) {
            struct io_span parts[3] = {
                {payload, 3 + a}, {payload + 3 + a, b}, {payload + 3 + a + b, 997 - a - b}};
            assert_int_equal(checksum_fold(checksum_add_parts(0, parts, 3, 3)), whole);
        }
    }
}

static void every_cut_or_changed_packet_is_dropped(void **state)
{
    (void)state;
    const char *const apps[] = {"10.0.0.2:4000", "[fd00::2]:4000"};
    const char *const peers[] = {"192.0.2.1:7", "[2001:db8::1]:7"};
    for (int i = 0; i < 2; i++) {
        struct udptun_endpoint app = ep(apps[i]), peer = ep(peers[i]);
        size_t size = world_udp(packet, &app, &peer, payload, 101);
        struct packet p;
        enum tun2socks_drop cause;
        assert_true(packet_parse(&p, packet, size, false, &cause));
        assert_true(endpoint_equal(&p.source, &app) && endpoint_equal(&p.destination, &peer));
        for (size_t cut = 0; cut < size; cut++)
            assert_false(packet_parse(&p, packet, cut, false, &cause));
        for (size_t at = i == 0 ? 0 : 4; at < size; at++) {
            if (i == 1 && at == 7) /* the hop limit is in no checksum */
                continue;
            packet[at] ^= 0x40;
            assert_false(packet_parse(&p, packet, size, false, &cause));
            packet[at] ^= 0x40;
        }
    }
}

static void datagrams_go_out_and_come_back(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1500);
    struct udptun_endpoint app = ep("10.0.0.2:4000"), a = ep("192.0.2.1:7"),
                           b = ep("192.0.2.9:9999");
    world_feed(&w, packet, world_udp(packet, &app, &a, payload, 0));
    assert_int_equal(w.datagrams, 1);
    assert_null(w.binding);
    assert_int_equal(w.datagram.size, 0);
    world_feed(&w, packet, world_udp(packet, &app, &b, payload, 1000));
    assert_ptr_equal(w.binding, &w); /* one binding for both destinations */
    assert_memory_equal(w.datagram.data, payload, 1000);
    assert_true(endpoint_equal(&w.datagram.destination, &b));

    struct udptun_endpoint third = ep("198.51.100.77:1"); /* never written to */
    assert_true(tun2socks_datagram(w.t, &app, &third, payload, 999));
    struct world_packet *out = world_take(&w);
    struct packet p;
    enum tun2socks_drop cause;
    assert_true(packet_parse(&p, out->data, out->size, false, &cause));
    assert_true(endpoint_equal(&p.source, &third) && endpoint_equal(&p.destination, &app));
    assert_memory_equal(p.transport + UDP_HEADER_SIZE, payload, 999);
    free(out);

    struct udptun_endpoint stranger = ep("10.0.0.3:4000"), v6 = ep("[2001:db8::1]:1");
    assert_false(tun2socks_datagram(w.t, &stranger, &third, payload, 9));
    assert_false(tun2socks_datagram(w.t, &app, &v6, payload, 9));
    const struct tun2socks_counters *c = tun2socks_counters(w.t);
    assert_int_equal(c->dropped[TUN2SOCKS_DROP_NO_BINDING], 1);
    assert_int_equal(c->dropped[TUN2SOCKS_DROP_FAMILY], 1);
    world_fini(&w);
    assert_int_equal(w.bindings_closed, 1);
}

/* What one instance cuts into fragments, another puts together: every size that changes the
 * number of fragments, both versions, in order and backwards. */
static void fragments_are_cut_and_put_together(void **state)
{
    (void)state;
    const char *const apps[] = {"10.0.0.2:4000", "[fd00::2]:4000"};
    const char *const peers[] = {"192.0.2.1:7", "[2001:db8::1]:7"};
    const size_t sizes[] = {0,    1,    1200, 1232, 1233,  1272, 1273,
                            1452, 1473, 2944, 9000, 65000, 65507};
    static struct world w;
    for (int i = 0; i < 2; i++) {
        struct udptun_endpoint app = ep(apps[i]), peer = ep(peers[i]);
        world_init(&w, 1280);
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
            for (int backwards = 0; backwards < 2; backwards++) {
                struct world_packet *pieces[64];
                unsigned count = 0;
                assert_true(tun2socks_datagram(w.t, &app, &peer, payload, sizes[k]));
                while ((pieces[count] = world_take(&w))) {
                    assert_true(pieces[count]->size <= 1280);
                    count++;
                }
                size_t headers = i == 0 ? 28 : 48;
                assert_int_equal(count > 1, sizes[k] + headers > 1280);
                unsigned before = w.datagrams;
                for (unsigned n = 0; n < count; n++) {
                    struct world_packet *piece = pieces[backwards ? count - 1 - n : n];
                    assert_int_equal(w.datagrams, before);
                    world_feed(&w, piece->data, piece->size);
                    free(piece);
                }
                assert_int_equal(w.datagrams, before + 1);
                assert_true(endpoint_equal(&w.datagram.source, &peer));
                assert_true(endpoint_equal(&w.datagram.destination, &app));
                assert_int_equal(w.datagram.size, sizes[k]);
                assert_memory_equal(w.datagram.data, payload, sizes[k]);
            }
        }
        world_fini(&w);
    }
}

static void fragments_that_never_complete_are_forgotten(void **state)
{
    (void)state;
    static struct world w;
    struct udptun_endpoint app = ep("10.0.0.2:4000"), peer = ep("192.0.2.1:7");
    world_init(&w, 1280);
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    for (unsigned i = 0; i < 5000; i++) { /* far beyond what reassembly may hold */
        tun2socks_datagram(w.t, &app, &peer, payload, 2000);
        struct world_packet *first = world_take(&w), *second = world_take(&w);
        world_feed(&w, first->data, first->size);
        free(first);
        free(second);
    }
    assert_int_equal(w.datagrams, 1);
    world_wait(&w, 60 * 1000000u);
    tun2socks_datagram(w.t, &app, &peer, payload, 2000);
    for (int i = 0; i < 2; i++) {
        struct world_packet *p = world_take(&w);
        world_feed(&w, p->data, p->size);
        free(p);
    }
    assert_int_equal(w.datagrams, 2);
    world_fini(&w); /* the sanitizer finds what was left behind */
}

/* A datagram in two fragments; the second is fed only with `whole`. */
static void feed_fragments(struct world *w, bool whole)
{
    struct udptun_endpoint app = ep("10.0.0.2:4000"), peer = ep("192.0.2.1:7");
    tun2socks_datagram(w->t, &app, &peer, payload, 2000);
    struct world_packet *first = world_take(w), *second = world_take(w);
    world_feed(w, first->data, first->size);
    if (whole)
        world_feed(w, second->data, second->size);
    free(first);
    free(second);
}

static void what_waits_for_its_fragments_is_counted(void **state)
{
    (void)state;
    enum { LIMIT = 64 * 1024, DATAGRAMS = 200 };
    static struct world w;
    struct udptun_endpoint app = ep("10.0.0.2:4000"), peer = ep("192.0.2.1:7");
    world_init(&w, 1280);
    struct budget *budget = &w.budget;
    budget->limit = LIMIT;
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    assert_int_equal(budget->used, 0);
    for (unsigned i = 0; i < DATAGRAMS; i++)
        feed_fragments(&w, false);
    assert_in_range(budget->peak, LIMIT / 2, LIMIT);
    assert_in_range(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_FRAGMENT], 1, DATAGRAMS - 2);
    world_wait(&w, 60 * 1000000u);
    assert_int_equal(budget->used, 0);

    budget->used = LIMIT; /* others hold it all: one datagram may be put together in any case */
    unsigned before = w.datagrams;
    feed_fragments(&w, false);
    feed_fragments(&w, true);
    assert_int_equal(w.datagrams, before + 1);
    assert_int_equal(budget->used, LIMIT);
    world_fini(&w);
}

static void the_least_recently_used_binding_makes_room(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1500);
    struct udptun_endpoint peer = ep("192.0.2.1:7"), app = ep("10.0.0.2:1");
    for (uint16_t port = 1; port <= 4; port++, w.now_us++) {
        app.port = port;
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    }
    app.port = 1; /* used again: 2 is the oldest now */
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    w.now_us++;
    app.port = 5;
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    assert_int_equal(w.bindings_closed, 1);
    app.port = 2;
    assert_false(tun2socks_datagram(w.t, &app, &peer, payload, 1));
    app.port = 1;
    assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 1));
    world_fini(&w);
}

static void bindings_idle_and_a_lone_dns_exchange_sooner(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1500);
    struct udptun_endpoint peer = ep("192.0.2.1:7"), dns = ep("192.0.2.1:53");
    struct udptun_endpoint app = ep("10.0.0.2:1"), resolver = ep("10.0.0.2:2");
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    world_feed(&w, packet, world_udp(packet, &resolver, &dns, payload, 1));
    world_wait(&w, 14 * 1000000u);
    assert_int_equal(tun2socks_counters(w.t)->udp_flows, 2);
    world_wait(&w, 2 * 1000000u);
    assert_int_equal(tun2socks_counters(w.t)->udp_flows, 1);
    world_wait(&w, 282 * 1000000u);
    assert_int_equal(tun2socks_counters(w.t)->udp_flows, 1);
    world_wait(&w, 3 * 1000000u);
    assert_int_equal(tun2socks_counters(w.t)->udp_flows, 0);
    assert_int_equal(tun2socks_tick(w.t), UINT64_MAX); /* nothing wakes the host */
    world_fini(&w);
}

/* RFC 4787 REQ-6: both directions refresh, also when the host's loop has slept until then. */
static void datagrams_of_either_direction_refresh(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1500);
    struct udptun_endpoint peer = ep("192.0.2.1:7"), app = ep("10.0.0.2:1");
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    for (int i = 0; i < 4; i++) {
        w.now_us += 299 * UINT64_C(1000000);
        if (i % 2)
            assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 1));
        else
            world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        world_wait(&w, 0);
        assert_int_equal(tun2socks_counters(w.t)->udp_flows, 1);
    }
    world_wait(&w, 301 * 1000000u);
    assert_int_equal(tun2socks_counters(w.t)->udp_flows, 0);
    world_fini(&w);
}

static void quic_is_refused_where_it_is_to_be(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1500);
    struct udptun_endpoint app = ep("[fd00::2]:4000"), peer = ep("[2001:db8::1]:443");
    size_t size = world_udp(packet, &app, &peer, payload, 1200);
    world_feed(&w, packet, size);
    assert_int_equal(w.datagrams, 1);
    w.config.block_quic = true;
    tun2socks_set(w.t, &w.config);
    world_feed(&w, packet, size);
    assert_int_equal(w.datagrams, 1);
    struct world_packet *out = world_take(&w);
    struct packet p;
    enum tun2socks_drop cause;
    assert_true(packet_parse(&p, out->data, out->size, false, &cause));
    assert_int_equal(p.protocol, PROTOCOL_ICMP6);
    assert_int_equal(p.transport[0], 1);
    assert_int_equal(p.transport[1], 4);
    assert_memory_equal(p.transport + 8, packet, 48); /* what the app sent, for it to match */
    free(out);
    world_fini(&w);
}

static void echo_is_answered_or_dropped(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 1500);
    struct udptun_endpoint app = ep("10.0.0.2:0"), peer = ep("192.0.2.1:0");
    size_t ip_size = packet_write_ip(packet, &app, &peer, PROTOCOL_ICMP, 64);
    memset(packet + ip_size, 0, 64);
    packet[ip_size] = 8;
    packet[ip_size + 4] = 77;
    uint16_t sum = checksum_end(checksum_add(0, packet + ip_size, 64));
    memcpy(packet + ip_size + 2, &sum, 2);
    world_feed(&w, packet, ip_size + 64);
    struct world_packet *out = world_take(&w);
    struct packet p;
    enum tun2socks_drop cause;
    assert_non_null(out);
    assert_true(packet_parse(&p, out->data, out->size, false, &cause));
    assert_true(endpoint_equal(&p.source, &peer) && endpoint_equal(&p.destination, &app));
    assert_int_equal(p.transport[0], 0);
    assert_int_equal(p.transport[4], 77);
    free(out);
    w.config.echo_reply = false;
    tun2socks_set(w.t, &w.config);
    world_feed(&w, packet, ip_size + 64);
    assert_null(world_take(&w));
    assert_int_equal(tun2socks_counters(w.t)->dropped[TUN2SOCKS_DROP_ICMP], 1);
    world_fini(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(checksum_is_that_of_rfc_1071),
        cmocka_unit_test(checksum_does_not_depend_on_the_cuts),
        cmocka_unit_test(every_cut_or_changed_packet_is_dropped),
        cmocka_unit_test(datagrams_go_out_and_come_back),
        cmocka_unit_test(fragments_are_cut_and_put_together),
        cmocka_unit_test(fragments_that_never_complete_are_forgotten),
        cmocka_unit_test(what_waits_for_its_fragments_is_counted),
        cmocka_unit_test(the_least_recently_used_binding_makes_room),
        cmocka_unit_test(bindings_idle_and_a_lone_dns_exchange_sooner),
        cmocka_unit_test(datagrams_of_either_direction_refresh),
        cmocka_unit_test(quic_is_refused_where_it_is_to_be),
        cmocka_unit_test(echo_is_answered_or_dropped),
    };
    fill_payload();
    return cmocka_run_group_tests(tests, NULL, NULL);
}

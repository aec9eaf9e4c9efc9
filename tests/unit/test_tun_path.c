/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tun_path.c - the size of packets towards an app: what its MSS, the errors of routers and its
 * own packets say. Initial sequence numbers, and windows that cannot grow.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/buffer.h"
#include "tests/unit/tun_world.h"
#include "tun2socks/checksum.h"
#include "tun2socks/packet.h"

enum { SYN = TCP_FLAG_SYN, ACK = TCP_FLAG_ACK, APP_SEQUENCE = 1000 };

static const char *const apps[] = {"10.0.0.2:4000", "[fd00::2]:4000"};
static const char *const peers[] = {"192.0.2.1:80", "[2001:db8::1]:80"};

static uint8_t payload[70000], packet[70000];
static struct world w;

static struct udptun_endpoint ep(const char *text)
{
    struct udptun_endpoint e;
    assert_true(endpoint_parse(text, &e));
    return e;
}

/* The next packet towards the app, parsed: all in it is right. NULL: there is none. */
static struct world_packet *next(struct packet *p)
{
    enum tun2socks_drop cause;
    struct world_packet *out = world_take(&w);
    if (out)
        assert_true(packet_parse(p, out->data, out->size, false, &cause));
    return out;
}

static unsigned drain(void)
{
    struct packet p;
    struct world_packet *out;
    unsigned count = 0;
    for (; (out = next(&p)); count++)
        free(out);
    return count;
}

static size_t ip_size_of(const struct udptun_endpoint *e)
{
    return e->family == UDPTUN_ENDPOINT_IP4 ? IP4_HEADER_SIZE : IP6_HEADER_SIZE;
}

/* ---- an app's TCP, by hand */

struct client {
    struct udptun_endpoint app, peer;
    uint32_t sequence, acknowledged;
    uint32_t first; /* of the far end */
};

static void put_checksum(uint8_t *at, checksum_sum sum, const void *data, size_t size)
{
    memset(at, 0, 2);
    uint16_t value = checksum_end(checksum_add(sum, data, size));
    memcpy(at, &value, sizeof value);
}

static void client_send(struct client *c, uint8_t flags, const uint8_t *options,
                        size_t options_size, size_t size)
{
    size_t ip_size = ip_size_of(&c->app), header_size = TCP_HEADER_SIZE + options_size;
    size_t total = header_size + size;
    packet_write_ip(packet, &c->app, &c->peer, PROTOCOL_TCP, total);
    struct writer out = writer_of(packet + ip_size, total);
    writer_u16(&out, c->app.port);
    writer_u16(&out, c->peer.port);
    writer_u32(&out, c->sequence);
    writer_u32(&out, c->acknowledged);
    writer_u8(&out, (uint8_t)(header_size / 4 << 4));
    writer_u8(&out, flags);
    writer_u16(&out, UINT16_MAX);
    writer_u32(&out, 0);
    writer_bytes(&out, options, options_size);
    memset(packet + ip_size + header_size, 'x', size);
    put_checksum(packet + ip_size + TCP_CHECKSUM_OFFSET,
                 checksum_pseudo(&c->app, &c->peer, PROTOCOL_TCP, total), packet + ip_size, total);
    world_feed(&w, packet, ip_size + total);
}

static struct world_stream *client_open(struct client *c, int version, uint16_t mss)
{
    struct packet p;
    unsigned count = w.stream_count;
    const uint8_t options[] = {2, 4, (uint8_t)(mss >> 8), (uint8_t)mss};
    *c = (struct client){.app = ep(apps[version]), .peer = ep(peers[version])};
    c->app.port = (uint16_t)(c->app.port + count);
    c->sequence = APP_SEQUENCE;
    client_send(c, SYN, options, sizeof options, 0);
    struct world_stream *s = &w.streams[count % 64];
    tun2socks_connected(s->flow);
    struct world_packet *out = next(&p);
    assert_non_null(out);
    struct reader r = reader_of(p.transport + 4, 4);
    c->first = reader_u32(&r);
    c->acknowledged = c->first + 1;
    c->sequence++;
    free(out);
    client_send(c, ACK, NULL, 0, 0);
    return s;
}

static void far_send(struct world_stream *s, size_t size)
{
    void *to;
    ssize_t room = tun2socks_buffer(s->flow, &to);
    assert_true(room >= (ssize_t)size);
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = world_pattern(i);
    assert_true(tun2socks_filled(s->flow, size));
}

/* All packets of the flow that are on their way: the largest one's size, the bytes of the stream
 * from its beginning that they hold. */
static size_t largest(const struct client *c, size_t *covered)
{
    struct packet p;
    struct world_packet *out;
    size_t most = 0;
    *covered = 0;
    for (; (out = next(&p)); free(out)) {
        struct reader r = reader_of(p.transport + 4, 4);
        size_t at = reader_u32(&r) - (c->first + 1);
        size_t header_size = (size_t)(p.transport[12] >> 4) * 4;
        for (size_t i = 0; i < p.transport_size - header_size; i++)
            assert_int_equal(p.transport[header_size + i], world_pattern(at + i));
        if (at <= *covered && at + p.transport_size - header_size > *covered)
            *covered = at + p.transport_size - header_size;
        if (p.size > most)
            most = p.size;
    }
    return most;
}

/* ---- errors of a router */

static void router_says_too_big(const struct world_packet *about, size_t quoted, uint32_t mtu)
{
    bool is_ip4 = about->data[0] >> 4 == 4;
    struct udptun_endpoint router = ep(is_ip4 ? "10.0.0.254:0" : "[fd00::fe]:0");
    struct udptun_endpoint to = {.family = router.family};
    memcpy(to.ip, about->data + (is_ip4 ? 12 : 8), is_ip4 ? 4 : 16);
    uint8_t protocol = is_ip4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6;
    size_t ip_size = packet_write_ip(packet, &router, &to, protocol, ICMP_HEADER_SIZE + quoted);
    struct writer out = writer_of(packet + ip_size, ICMP_HEADER_SIZE + quoted);
    writer_u8(&out, is_ip4 ? 3 : 2);
    writer_u8(&out, is_ip4 ? 4 : 0);
    writer_u16(&out, 0);
    writer_u32(&out, mtu);
    writer_bytes(&out, about->data, quoted);
    size_t size = ICMP_HEADER_SIZE + quoted;
    put_checksum(packet + ip_size + 2,
                 is_ip4 ? 0 : checksum_pseudo(&router, &to, PROTOCOL_ICMP6, size), packet + ip_size,
                 size);
    world_feed(&w, packet, ip_size + size);
}

static uint64_t dropped(enum tun2socks_drop why)
{
    return tun2socks_counters(w.t)->dropped[why];
}

/* ---- tests */

static void segments_are_as_small_as_the_apps_mss(void **state)
{
    (void)state;
    const uint16_t sizes[] = {1440, 536, 100};
    for (int version = 0; version < 2; version++) {
        for (size_t i = 0; i < 3; i++) {
            struct client c;
            size_t covered;
            world_init(&w, 65535);
            struct world_stream *s = client_open(&c, version, sizes[i]);
            drain();
            far_send(s, 4 * sizes[i]);
            assert_int_equal(largest(&c, &covered), sizes[i] + ip_size_of(&c.app) + 20u);
            world_fini(&w);
        }
    }
}

/* A size that no packet has: nobody has us send single bytes. */
static void a_tiny_mss_is_not_obeyed(void **state)
{
    (void)state;
    struct client c;
    size_t covered;
    world_init(&w, 1500);
    struct world_stream *s = client_open(&c, 0, 1);
    far_send(s, 90);
    assert_int_equal(largest(&c, &covered), 48 + 40);
    assert_int_equal(covered, 90);
    world_fini(&w);
}

static void a_router_makes_tcp_smaller(void **state)
{
    (void)state;
    for (int version = 0; version < 2; version++) {
        struct client c;
        struct packet p;
        size_t covered;
        world_init(&w, 1500);
        struct world_stream *s = client_open(&c, version, 1400);
        far_send(s, 2800);
        struct world_packet *first = next(&p);
        drain();
        router_says_too_big(first, ip_size_of(&c.app) + 8, 1300);
        assert_int_equal(largest(&c, &covered), 1300); /* at once, and the same bytes */
        assert_int_equal(covered, 2800);
        router_says_too_big(first, ip_size_of(&c.app) + 8, 1300);
        assert_int_equal(drain(), 0); /* it is known */
        router_says_too_big(first, ip_size_of(&c.app) + 8, 100);
        assert_int_equal(largest(&c, &covered), version ? 1280 : 552); /* what is guaranteed */
        free(first);
        struct client later; /* a flow that begins now */
        s = client_open(&later, version, 1400);
        far_send(s, 2800);
        assert_int_equal(largest(&later, &covered), version ? 1280 : 552);
        world_fini(&w);
    }
}

/* Who does not know what is under way changes nothing (RFC 5927). */
static void a_strangers_error_counts_for_nothing(void **state)
{
    (void)state;
    for (int version = 0; version < 2; version++) {
        struct client c;
        struct packet p;
        world_init(&w, 1500);
        struct world_stream *s = client_open(&c, version, 1400);
        far_send(s, 2800);
        struct world_packet *first = next(&p);
        size_t ip_size = ip_size_of(&c.app);
        drain();
        first->data[ip_size + 4] ^= 0x40; /* the sequence number */
        router_says_too_big(first, ip_size + 8, 1300);
        first->data[ip_size + 4] ^= 0x40;
        first->data[ip_size + 3]++; /* the app's port */
        router_says_too_big(first, ip_size + 8, 1300);
        first->data[ip_size + 3]--;
        router_says_too_big(first, ip_size + 7, 1300); /* cut off */
        router_says_too_big(first, ip_size + 8, 1440 + 60);
        assert_int_equal(drain(), 0);
        assert_int_equal(dropped(TUN2SOCKS_DROP_ICMP), 4);
        free(first);
        world_fini(&w);
    }
}

/* A router that says nothing: IPv6 has no other remedy. */
static void a_black_hole_is_got_around(void **state)
{
    (void)state;
    struct client c;
    size_t covered;
    world_init(&w, 1500);
    struct world_stream *s = client_open(&c, 1, 1440);
    far_send(s, 1440);
    assert_int_equal(largest(&c, &covered), 1500);
    size_t size = 0;
    for (int i = 0; i < 60 && size != 1280; i++) {
        world_wait(&w, 250000);
        size_t most = largest(&c, &covered);
        size = most ? most : size;
    }
    assert_int_equal(size, 1280);
    world_fini(&w);
}

static void a_router_makes_datagrams_smaller(void **state)
{
    (void)state;
    for (int version = 0; version < 2; version++) {
        struct packet p;
        struct udptun_endpoint app = ep(apps[version]), peer = ep(peers[version]);
        struct udptun_endpoint other = ep(version ? "[fd00::3]:9" : "10.0.0.3:9");
        world_init(&w, 1500);
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        world_feed(&w, packet, world_udp(packet, &other, &peer, payload, 1));
        assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 1400));
        struct world_packet *first = next(&p);
        router_says_too_big(first, 56, 1300);
        free(first);
        assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 1400));
        for (int i = 0; i < 2; i++) {
            struct world_packet *out = next(&p);
            assert_non_null(out);
            assert_true(p.is_fragment && p.size <= 1300);
            world_feed(&w, out->data, out->size);
            free(out);
        }
        assert_int_equal(w.datagrams, 3); /* they make up what was sent */
        assert_int_equal(w.datagram.size, 1400);
        assert_true(tun2socks_datagram(w.t, &other, &peer, payload, 1400));
        assert_int_equal(drain(), 1);            /* another way */
        world_wait(&w, UINT64_C(250) * 1000000); /* bindings live on; ways change */
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        world_wait(&w, UINT64_C(250) * 1000000);
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        world_wait(&w, UINT64_C(120) * 1000000);
        assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 1400));
        assert_int_equal(drain(), 1);
        world_fini(&w);
    }
}

/* The fragments that a router refuses are quoted with their header. */
static void a_fragment_may_be_too_big(void **state)
{
    (void)state;
    struct packet p;
    struct udptun_endpoint app = ep(apps[1]), peer = ep(peers[1]);
    world_init(&w, 65535);
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
    assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 4000));
    struct world_packet *first = next(&p);
    assert_true(p.is_fragment && p.size > 1400 && p.size <= 1500);
    drain();
    router_says_too_big(first, 56, 1400);
    free(first);
    assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 4000));
    first = next(&p);
    assert_true(p.size > 1300 && p.size <= 1400);
    free(first);
    drain();
    world_fini(&w);
}

/* An app on this host shows that it takes what the device takes. */
static void a_large_packet_shows_its_way(void **state)
{
    (void)state;
    struct udptun_endpoint app = ep(apps[1]), peer = ep(peers[1]);
    world_init(&w, 65535);
    world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 9000));
    assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 9000));
    assert_int_equal(drain(), 1);
    world_fini(&w);
}

/* ---- sequence numbers and windows */

static void sequence_numbers_are_unrelated(void **state)
{
    (void)state;
    uint32_t first[2][3];
    for (uint8_t run = 0; run < 3; run++) { /* the third is the second one, later */
        world_init(&w, 1500);
        tun2socks_free(w.t);
        w.now_us += run < 2 ? 0 : 4000000;
        w.config.hash_key[0] = run > 0;
        w.t = tun2socks_new(&w.config, world_device(&w, 1500), NULL);
        for (int i = 0; i < 3; i++) {
            struct client c;
            client_open(&c, 0, 1460);
            if (run < 2)
                first[run][i] = c.first;
            else
                assert_int_equal(c.first - first[1][i], 1000000);
        }
        world_fini(&w);
    }
    for (int i = 0; i < 6; i++) {
        for (int k = 0; k < i; k++) {
            uint32_t apart = first[i / 3][i % 3] - first[k / 3][k % 3];
            assert_true(apart > 10000 && apart < UINT32_MAX - 10000);
        }
    }
}

/* Without window scaling: the window opens again with each part that is taken. */
static void a_small_window_opens_at_once(void **state)
{
    (void)state;
    struct client c;
    struct packet p;
    unsigned opened = 0;
    world_init(&w, 65535);
    client_open(&c, 0, 65495);
    for (int i = 0; i < 8; i++) { /* half of what the window holds, each time */
        struct world_packet *out;
        client_send(&c, ACK, NULL, 0, 32000);
        c.sequence += 32000;
        for (; (out = next(&p)); free(out)) {
            struct reader r = reader_of(p.transport + 8, 8);
            uint32_t acknowledged = reader_u32(&r);
            reader_u16(&r);
            opened += acknowledged == c.sequence && reader_u16(&r) > 64000;
        }
    }
    assert_int_equal(opened, 8);
    world_fini(&w);
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = world_pattern(i);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_are_as_small_as_the_apps_mss),
        cmocka_unit_test(a_tiny_mss_is_not_obeyed),
        cmocka_unit_test(a_router_makes_tcp_smaller),
        cmocka_unit_test(a_strangers_error_counts_for_nothing),
        cmocka_unit_test(a_black_hole_is_got_around),
        cmocka_unit_test(a_router_makes_datagrams_smaller),
        cmocka_unit_test(a_fragment_may_be_too_big),
        cmocka_unit_test(a_large_packet_shows_its_way),
        cmocka_unit_test(sequence_numbers_are_unrelated),
        cmocka_unit_test(a_small_window_opens_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

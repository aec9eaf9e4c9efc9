/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_tun_extension.c - IPv6 extension headers, and fragments of whatever an app sends: they pass,
 * or the app is told what is wrong with them.
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

enum { SYN = TCP_FLAG_SYN, ACK = TCP_FLAG_ACK };

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

static void put_checksum(uint8_t *at, checksum_sum sum, const void *data, size_t size)
{
    memset(at, 0, 2);
    uint16_t value = checksum_end(checksum_add(sum, data, size));
    memcpy(at, &value, sizeof value);
}

static uint64_t dropped(enum tun2socks_drop why)
{
    return tun2socks_counters(w.t)->dropped[why];
}

/* ---- extension headers */

/* An IPv6 datagram with `size` bytes of extension headers before UDP. */
static size_t with_extensions(uint8_t first, const void *headers, size_t size)
{
    struct udptun_endpoint app = ep(apps[1]), peer = ep(peers[1]);
    size_t whole = world_udp(packet, &app, &peer, payload, 100);
    memmove(packet + IP6_HEADER_SIZE + size, packet + IP6_HEADER_SIZE, whole - IP6_HEADER_SIZE);
    memcpy(packet + IP6_HEADER_SIZE, headers, size);
    packet[IP6_NEXT_HEADER_AT] = first;
    struct writer out = writer_of(packet + IP6_PAYLOAD_SIZE_AT, 2);
    writer_u16(&out, (uint16_t)(whole + size - IP6_HEADER_SIZE));
    return whole + size;
}

static void extension_headers_pass(void **state)
{
    (void)state;
    static const struct {
        uint8_t first, headers[32];
        size_t size;
    } cases[] = {
        {0, {17, 0, 5, 2, 0, 0, 1, 0}, 8},  /* hop-by-hop: router alert */
        {60, {17, 0, 1, 4, 0, 0, 0, 0}, 8}, /* destination options: padding */
        {60, {17, 0, 0x1e, 4, 1, 2, 3, 4}, 8},
        {43, {17, 0, 0, 0, 0, 0, 0, 0}, 8}, /* routing type 0 that has been served */
        {0,
         {60, 0, 1, 4, 0, 0, 0, 0, 43, 0, 0, 0, 0, 0, 0, 0, 60, 0, 4, 0, 0, 0, 0, 0, 17, 0, 1, 4},
         32},
        {60, {44, 0, 1, 4, 0, 0, 0, 0, 60, 0, 0, 0, 0, 0, 0, 7, 17, 0, 1, 4, 0, 0, 0, 0}, 24},
    };
    world_init(&w, 1500);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        world_feed(&w, packet, with_extensions(cases[i].first, cases[i].headers, cases[i].size));
        assert_int_equal(w.datagrams, i + 1);
        assert_int_equal(w.datagram.size, 100);
    }
    assert_int_equal(drain(), 0);
    world_fini(&w);
}

static void what_is_wrong_with_a_header_is_said(void **state)
{
    (void)state;
    static const struct {
        uint8_t first, headers[24];
        size_t size;
        int code;
        uint32_t at;
    } cases[] = {
        {43, {17, 2, 0, 1}, 24, 0, 42},                /* routing type 0 (RFC 5095) */
        {60, {17, 0, 0x80, 4}, 8, 2, 42},              /* an option to be reported */
        {60, {17, 0, 1, 0, 0xc2, 2}, 8, 2, 44},        /* the same */
        {60, {17, 0, 0x40, 4}, 8, -1, 0},              /* one to be silent about */
        {135, {17, 0}, 8, 1, 6},                       /* a header that we do not know */
        {60, {0, 0, 1, 4, 0, 0, 0, 0, 17}, 16, 1, 40}, /* hop-by-hop elsewhere */
        {60, {59, 0, 1, 4}, 8, -1, 0},                 /* nothing behind it */
        {60, {17, 0, 1, 5}, 8, -1, 0},                 /* an option that ends behind its header */
        {60, {17, 255, 1, 4}, 8, -1, 0},               /* a header that ends behind the packet */
    };
    world_init(&w, 1500);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct packet p;
        world_feed(&w, packet, with_extensions(cases[i].first, cases[i].headers, cases[i].size));
        struct world_packet *out = next(&p);
        assert_int_equal(out != NULL, cases[i].code >= 0);
        if (!out)
            continue;
        assert_int_equal(p.protocol, PROTOCOL_ICMP6);
        assert_int_equal(p.transport[0], 4);
        assert_int_equal(p.transport[1], cases[i].code);
        struct reader r = reader_of(p.transport + 4, 4);
        assert_int_equal(reader_u32(&r), cases[i].at);
        assert_memory_equal(p.transport + ICMP_HEADER_SIZE, packet, 148);
        free(out);
    }
    assert_int_equal(w.datagrams, 0);
    world_fini(&w);
}

static void tcp_passes_behind_extension_headers(void **state)
{
    (void)state;
    struct udptun_endpoint app = ep(apps[1]), peer = ep(peers[1]);
    struct packet p;
    const uint8_t extension[8] = {PROTOCOL_TCP, 0, 1, 4};
    uint8_t tcp[TCP_HEADER_SIZE] = {0, 0, 0, 80, 0, 0, 0, 7, 0, 0, 0, 0, 0x50, SYN, 255, 255};
    world_init(&w, 1500);
    struct writer out = writer_of(tcp, 2);
    writer_u16(&out, app.port);
    put_checksum(tcp + TCP_CHECKSUM_OFFSET, checksum_pseudo(&app, &peer, PROTOCOL_TCP, sizeof tcp),
                 tcp, sizeof tcp);
    packet_write_ip(packet, &app, &peer, PROTOCOL_DESTINATION, sizeof extension + sizeof tcp);
    memcpy(packet + IP6_HEADER_SIZE, extension, sizeof extension);
    memcpy(packet + IP6_HEADER_SIZE + sizeof extension, tcp, sizeof tcp);
    world_feed(&w, packet, IP6_HEADER_SIZE + sizeof extension + sizeof tcp);
    assert_int_equal(w.stream_count, 1);
    tun2socks_connected(w.streams[0].flow);
    struct world_packet *answer = next(&p);
    assert_non_null(answer);
    assert_int_equal(p.tcp_flags & (SYN | ACK), SYN | ACK);
    free(answer);
    world_fini(&w);
}

/* ---- fragments */

/* Fragment headers within a fragment's bytes, as deep as they go. */
static void fragments_of_fragments_are_refused(void **state)
{
    (void)state;
    static uint8_t nested[64000];
    for (size_t at = 0; at < sizeof nested; at += 8)
        nested[at] = at + 8 < sizeof nested ? PROTOCOL_FRAGMENT6 : PROTOCOL_UDP;
    world_init(&w, 1500);
    world_feed(&w, packet, with_extensions(PROTOCOL_FRAGMENT6, nested, sizeof nested));
    assert_int_equal(w.datagrams, 0);
    assert_int_equal(dropped(TUN2SOCKS_DROP_MALFORMED), 1);
    world_fini(&w);
}

static void a_hundred_interleaved_datagrams_arrive(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    for (int version = 0; version < 2; version++) {
        struct world_packet *pieces[COUNT][2];
        struct udptun_endpoint app = ep(apps[version]), peer = ep(peers[version]);
        world_init(&w, 1500);
        world_feed(&w, packet, world_udp(packet, &app, &peer, payload, 1));
        for (int i = 0; i < COUNT; i++) {
            assert_true(tun2socks_datagram(w.t, &app, &peer, payload, 2000));
            for (int k = 0; k < 2; k++)
                assert_non_null(pieces[i][k] = world_take(&w));
        }
        for (int k = 0; k < 2; k++) {
            for (int i = 0; i < COUNT; i++) {
                world_feed(&w, pieces[i][k]->data, pieces[i][k]->size);
                free(pieces[i][k]);
            }
        }
        assert_int_equal(w.datagrams, 1 + COUNT);
        world_fini(&w);
    }
}

static void a_large_echo_is_answered(void **state)
{
    (void)state;
    for (int version = 0; version < 2; version++) {
        struct udptun_endpoint app = ep(apps[version]), peer = ep(peers[version]);
        uint8_t protocol = version ? PROTOCOL_ICMP6 : PROTOCOL_ICMP;
        size_t size = ICMP_HEADER_SIZE + 2000, ip_size = ip_size_of(&app), got = 0;
        struct packet p;
        struct world_packet *out;
        world_init(&w, 1500);
        app.port = peer.port = 0;
        packet_write_ip(packet, &app, &peer, protocol, size);
        memset(packet + ip_size, 0, size);
        packet[ip_size] = version ? 128 : 8;
        packet[ip_size + size - 1] = 77;
        put_checksum(packet + ip_size + 2,
                     version ? checksum_pseudo(&app, &peer, protocol, size) : 0, packet + ip_size,
                     size);
        world_feed(&w, packet, ip_size + size);
        for (; (out = next(&p)); free(out)) {
            assert_true(p.is_fragment && p.size <= 1500);
            if (p.fragment_offset == 0)
                assert_int_equal(p.transport[0], version ? 129 : 0);
            if (!p.fragment_more)
                assert_int_equal(p.transport[p.transport_size - 1], 77);
            got += p.transport_size;
        }
        assert_int_equal(got, size);
        world_fini(&w);
    }
}

int main(void)
{
    for (size_t i = 0; i < sizeof payload; i++)
        payload[i] = world_pattern(i);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(extension_headers_pass),
        cmocka_unit_test(what_is_wrong_with_a_header_is_said),
        cmocka_unit_test(tcp_passes_behind_extension_headers),
        cmocka_unit_test(fragments_of_fragments_are_refused),
        cmocka_unit_test(a_hundred_interleaved_datagrams_arrive),
        cmocka_unit_test(a_large_echo_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

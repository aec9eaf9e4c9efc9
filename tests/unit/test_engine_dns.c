/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_dns.c - an instance with `dns`: the questions of its apps, as packets, and a server
 * on a real socket that the test plays.
 */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <ev.h>

#include "proto/buffer.h"
#include "tests/unit/engine_fixture.h"
#include "tun2socks/packet.h"

enum { TTL_S = 300, MESSAGE_SIZE = 512 };

static const struct udptun_endpoint asked = {
    .family = UDPTUN_ENDPOINT_IP4, .port = 53, .ip = {8, 8, 8, 8}};

struct host {
    udptun_engine *engine;
    struct ev_loop *loop;
    ev_timer tick;
    int server;
    char place[32];           /* of the server */
    struct sockaddr_in asker; /* who sent the last question */
    unsigned replies;         /* that came out of the device */
    struct udptun_endpoint from, to;
    uint8_t reply[MESSAGE_SIZE];
    size_t reply_size;
    unsigned unreachable;
};

static void on_packet(void *arg, const char *name, const void *data, size_t size)
{
    struct host *h = arg;
    struct packet p;
    enum tun2socks_drop cause;
    (void)name;
    if (!packet_parse(&p, (uint8_t *)(uintptr_t)data, size, false, &cause))
        return;
    h->unreachable += p.protocol == PROTOCOL_ICMP;
    if (p.protocol != PROTOCOL_UDP)
        return;
    h->replies++;
    h->from = p.source;
    h->to = p.destination;
    h->reply_size = p.transport_size - UDP_HEADER_SIZE;
    assert_true(h->reply_size <= sizeof h->reply);
    memcpy(h->reply, p.transport + UDP_HEADER_SIZE, h->reply_size);
}

static void on_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
}

static int instance(struct host *h, const char *udp, const char *tcp, const char *dns,
                    int64_t cache)
{
    struct udptun_tun2socks_config config;
    struct udptun_error err = {0};
    udptun_tun2socks_config_init(&config);
    config.name = "i";
    config.device = "app:";
    config.udp = udp;
    config.tcp = tcp;
    config.dns = dns;
    config.dns_cache = cache;
    config.arg = h;
    config.packet = on_packet;
    int code = udptun_tun2socks_configure(h->engine, &config, NULL, &err);
    assert_true(code == UDPTUN_OK || strcmp(err.field, "dns") == 0 ||
                strcmp(err.field, "dnsCache") == 0);
    return code;
}

static int socket_at(struct host *h, int type)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, type | SOCK_NONBLOCK, 0);
    sa.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&sa, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&sa, &size), 0);
    snprintf(h->place, sizeof h->place, "127.0.0.1:%d", ntohs(sa.sin_port));
    return fd;
}

static void start(struct host *h)
{
    struct udptun_engine_config config;
    *h = (struct host){.loop = ev_loop_new(EVFLAG_AUTO)};
    h->server = socket_at(h, SOCK_DGRAM);
    udptun_engine_config_init(&config);
    config.loop = h->loop;
    h->engine = udptun_engine_new(&config, NULL);
    assert_non_null(h->engine);
    ev_timer_init(&h->tick, on_tick, .001, .001);
    ev_timer_start(h->loop, &h->tick);
    assert_int_equal(instance(h, "direct", "direct", h->place, UDPTUN_DEFAULT), UDPTUN_OK);
}

static void stop(struct host *h)
{
    udptun_engine_free(h->engine);
    ev_timer_stop(h->loop, &h->tick);
    ev_loop_destroy(h->loop);
    close(h->server);
}

static struct udptun_tun2socks_status look(struct host *h)
{
    struct udptun_tun2socks_status status;
    assert_int_equal(udptun_tun2socks_status(h->engine, "i", &status), UDPTUN_OK);
    return status;
}

/* ---- an app and the server */

static size_t write_question(uint8_t *to, uint16_t id, const char *label)
{
    struct writer w = writer_of(to, MESSAGE_SIZE);
    writer_u16(&w, id);
    writer_u16(&w, 0x0100);
    writer_u32(&w, 1 << 16);
    writer_u32(&w, 0);
    writer_u8(&w, (uint8_t)strlen(label));
    writer_bytes(&w, label, strlen(label));
    writer_u8(&w, 0);
    writer_u32(&w, 1 << 16 | 1);
    return writer_size(&w);
}

/* The app at `port` asks 8.8.8.8. */
static void ask_bytes(struct host *h, uint16_t port, const uint8_t *message, size_t size)
{
    uint8_t packet[IP4_HEADER_SIZE + UDP_HEADER_SIZE + MESSAGE_SIZE];
    const struct udptun_endpoint app = {
        .family = UDPTUN_ENDPOINT_IP4, .port = port, .ip = {10, 0, 0, 2}};
    size_t at = packet_write_ip(packet, &app, &asked, PROTOCOL_UDP, UDP_HEADER_SIZE + size);
    struct writer out = writer_of(packet + at, sizeof packet - at);
    writer_u16(&out, app.port);
    writer_u16(&out, asked.port);
    writer_u16(&out, (uint16_t)(UDP_HEADER_SIZE + size));
    writer_u16(&out, 0);
    writer_bytes(&out, message, size);
    assert_int_equal(udptun_tun2socks_packet(h->engine, "i", packet, at + UDP_HEADER_SIZE + size),
                     UDPTUN_OK);
}

static void ask(struct host *h, uint16_t port, uint16_t id, const char *label)
{
    uint8_t message[MESSAGE_SIZE];
    ask_bytes(h, port, message, write_question(message, id, label));
}

/* The question that the server gets; its size. */
static size_t server_hears(struct host *h, uint8_t *message)
{
    for (unsigned ms = 0; ms < DEADLINE_MS; ms++) {
        socklen_t size = sizeof h->asker;
        ssize_t got = recvfrom(h->server, message, MESSAGE_SIZE, 0,
                               (struct sockaddr *)(void *)&h->asker, &size);
        if (got >= 0)
            return (size_t)got;
        ev_run(h->loop, EVRUN_ONCE);
    }
    fail_msg("no question came");
    return 0;
}

static bool server_hears_nothing(struct host *h)
{
    uint8_t byte;
    for (int i = 0; i < 20; i++)
        ev_run(h->loop, EVRUN_ONCE);
    return recv(h->server, &byte, 1, 0) < 0;
}

/* One A record behind the question; the name in capitals, as a server may. */
static void server_answers(struct host *h, uint8_t *message, size_t size)
{
    message[2] |= 0x80;
    message[7] = 1;
    for (size_t i = 13; i < size - 5; i++)
        if (message[i] >= 'a' && message[i] <= 'z')
            message[i] = (uint8_t)(message[i] - 'a' + 'A');
    struct writer w = writer_of(message + size, MESSAGE_SIZE - size);
    writer_u16(&w, 0xc00c);
    writer_u32(&w, 1 << 16 | 1);
    writer_u32(&w, TTL_S);
    writer_u16(&w, 4);
    writer_u32(&w, 0x0a090807);
    sendto(h->server, message, size + writer_size(&w), 0,
           (const struct sockaddr *)(const void *)&h->asker, sizeof h->asker);
}

static void wait_replies(struct host *h, unsigned count)
{
    for (unsigned ms = 0; ms < DEADLINE_MS && h->replies < count; ms++)
        ev_run(h->loop, EVRUN_ONCE);
    assert_int_equal(h->replies, count);
    assert_true(endpoint_equal(&h->from, &asked));
}

static void expect_answer(struct host *h, uint16_t port, uint16_t id, const char *label)
{
    uint8_t question[MESSAGE_SIZE];
    size_t size = write_question(question, id, label);
    assert_int_equal(h->to.port, port);
    assert_memory_equal(h->reply, question, 2);
    assert_true(h->reply[2] & 0x80);
    assert_memory_equal(h->reply + 12, question + 12, size - 12); /* spelled as it was asked */
    assert_int_equal(h->reply_size, size + 16);
    assert_memory_equal(h->reply + size + 12, "\x0a\x09\x08\x07", 4);
}

/* ---- tests */

static void the_answer_comes_from_the_address_that_was_asked(void **state)
{
    (void)state;
    struct host h;
    uint8_t message[MESSAGE_SIZE];
    start(&h);
    ask(&h, 4000, 77, "wWw");
    size_t size = server_hears(&h, message);
    server_answers(&h, message, size);
    wait_replies(&h, 1);
    expect_answer(&h, 4000, 77, "wWw");

    ask(&h, 4001, 78, "www"); /* from the cache */
    wait_replies(&h, 2);
    expect_answer(&h, 4001, 78, "www");
    assert_true(server_hears_nothing(&h));
    struct udptun_tun2socks_status s = look(&h);
    assert_string_equal(s.dns, h.place);
    assert_int_equal(s.dns_questions, 2);
    assert_int_equal(s.dns_cached, 1);
    assert_int_equal(s.dns_entries, 1);
    assert_int_equal(s.dns_unanswered, 0);

    assert_int_equal(instance(&h, "direct", "direct", h.place, 0), UDPTUN_OK); /* no cache */
    ask(&h, 4002, 79, "www");
    server_hears(&h, message);
    assert_int_equal(look(&h).dns_entries, 0);
    stop(&h);
}

static void equal_questions_are_asked_once(void **state)
{
    (void)state;
    struct host h;
    uint8_t message[MESSAGE_SIZE], other[MESSAGE_SIZE];
    start(&h);
    for (uint16_t i = 0; i < 5; i++)
        ask(&h, (uint16_t)(4000 + i), i, i % 2 ? "www" : "WWW");
    ask(&h, 4000, 0, "WWW"); /* the same app repeats its question: too early */
    size_t size = server_hears(&h, message);
    assert_true(server_hears_nothing(&h));
    ask(&h, 4000, 9, "other");
    size_t other_size = server_hears(&h, other);
    assert_memory_not_equal(message, other, 2); /* ids differ */
    server_answers(&h, other, other_size);
    wait_replies(&h, 1);
    expect_answer(&h, 4000, 9, "other");
    assert_int_equal(look(&h).dns_shared, 4);
    (void)size;
    stop(&h);
}

static void only_the_server_can_answer(void **state)
{
    (void)state;
    struct host h;
    struct host stranger = {.server = -1};
    uint8_t message[MESSAGE_SIZE], copy[MESSAGE_SIZE];
    start(&h);
    ask(&h, 4000, 77, "www");
    size_t size = server_hears(&h, message);
    memcpy(copy, message, size);
    copy[1] ^= 1; /* another id */
    server_answers(&h, copy, size);
    memcpy(copy, message, size);
    copy[13] = 'x'; /* another name */
    server_answers(&h, copy, size);
    stranger.server = socket_at(&stranger, SOCK_DGRAM);
    stranger.asker = h.asker;
    memcpy(copy, message, size);
    server_answers(&stranger, copy, size);
    for (int i = 0; i < 20; i++)
        ev_run(h.loop, EVRUN_ONCE);
    assert_int_equal(h.replies, 0);
    server_answers(&h, message, size);
    wait_replies(&h, 1);
    close(stranger.server);
    stop(&h);
}

#ifndef UDP_IO_IS_PORTABLE
static void an_app_is_told_when_the_server_cannot_be_reached(void **state)
{
    (void)state;
    struct host h;
    uint8_t message[MESSAGE_SIZE];
    start(&h);
    ask(&h, 4000, 77, "www");
    server_hears(&h, message);
    close(h.server);
    h.server = -1;
    ask(&h, 4001, 78, "other");
    wait_replies(&h, 1);
    assert_int_equal(h.reply[3] & 0x0f, 2); /* server failure */
    assert_true(look(&h).dns_unanswered >= 1);
    stop(&h);
}
#endif

static void what_is_no_question_gets_a_format_error(void **state)
{
    (void)state;
    struct host h;
    uint8_t message[MESSAGE_SIZE];
    start(&h);
    size_t size = write_question(message, 77, "www");
    ask_bytes(&h, 4000, message, size - 3);
    wait_replies(&h, 1);
    assert_int_equal(h.reply[3] & 0x0f, 1);
    ask_bytes(&h, 4000, message, 5); /* nothing to answer to */
    message[2] |= 0x80;
    ask_bytes(&h, 4000, message, size); /* an answer */
    assert_true(server_hears_nothing(&h));
    assert_int_equal(h.replies, 1);
    assert_int_equal(look(&h).dns_unanswered, 3);
    stop(&h);
}

static void without_udp_apps_are_sent_to_tcp(void **state)
{
    (void)state;
    struct host h;
    uint8_t message[MESSAGE_SIZE];
    start(&h);
    assert_int_equal(instance(&h, "reject", "direct", h.place, UDPTUN_DEFAULT), UDPTUN_OK);
    ask(&h, 4000, 77, "www");
    wait_replies(&h, 1);
    assert_true(h.reply[2] & 0x02); /* truncated */
    assert_int_equal(h.unreachable, 0);

    assert_int_equal(instance(&h, "direct", "direct", h.place, UDPTUN_DEFAULT), UDPTUN_OK);
    ask(&h, 4000, 77, "www"); /* under way while the path to the server changes */
    server_hears(&h, message);
    assert_int_equal(instance(&h, "reject", "direct", h.place, UDPTUN_DEFAULT), UDPTUN_OK);
    assert_int_equal(instance(&h, "reject", "direct", NULL, UDPTUN_DEFAULT), UDPTUN_OK);
    ask(&h, 4000, 78, "www");
    assert_int_equal(h.unreachable, 1);
    stop(&h);
}

static void a_place_that_cannot_be_asked_is_refused(void **state)
{
    (void)state;
    struct host h;
    start(&h);
    static const char *const bad[] = {"127.0.0.1",    "127.0.0.1:0",    "0.0.0.0:53",
                                      "224.0.0.1:53", "dns.example:53", ""};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(instance(&h, "direct", "direct", bad[i], UDPTUN_DEFAULT),
                         UDPTUN_E_INVALID);
    assert_int_equal(instance(&h, "reject", "reject", h.place, UDPTUN_DEFAULT), UDPTUN_E_INVALID);
    assert_int_equal(instance(&h, "direct", "direct", h.place, 65537), UDPTUN_E_INVALID);
    assert_int_equal(instance(&h, "socks5://127.0.0.1:9", "socks5://127.0.0.1:9", "dns.example:53",
                              UDPTUN_DEFAULT),
                     UDPTUN_OK);
    stop(&h);
}

static void old_answers_make_room(void **state)
{
    (void)state;
    struct host h;
    uint8_t message[MESSAGE_SIZE];
    start(&h);
    assert_int_equal(instance(&h, "direct", "direct", h.place, 2), UDPTUN_OK);
    static const char *const names[] = {"a", "b", "c"};
    for (unsigned i = 0; i < 3; i++) {
        ask(&h, 4000, (uint16_t)i, names[i]);
        server_answers(&h, message, server_hears(&h, message));
        wait_replies(&h, i + 1);
    }
    assert_int_equal(look(&h).dns_entries, 2);
    ask(&h, 4000, 9, "c");
    ask(&h, 4000, 9, "b");
    wait_replies(&h, 5);
    ask(&h, 4000, 9, "a");
    server_hears(&h, message);
    stop(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_comes_from_the_address_that_was_asked),
        cmocka_unit_test(equal_questions_are_asked_once),
        cmocka_unit_test(only_the_server_can_answer),
#ifndef UDP_IO_IS_PORTABLE
        cmocka_unit_test(an_app_is_told_when_the_server_cannot_be_reached),
#endif
        cmocka_unit_test(what_is_no_question_gets_a_format_error),
        cmocka_unit_test(without_udp_apps_are_sent_to_tcp),
        cmocka_unit_test(a_place_that_cannot_be_asked_is_refused),
        cmocka_unit_test(old_answers_make_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

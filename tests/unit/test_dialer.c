/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_dialer.c - dialers over real sockets, with proxies that say what a test wants them to.
 *
 * The far side of each test is a thread with a script: it accepts one connection, then reads
 * exactly what is expected and writes what the script says.
 */
#include <errno.h>
#include <ev.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine/streams/dialer.h"
#include "daemon/platform/loop.h"
#include "proto/socks5/socks5.h"
#include "tests/unit/dns_server.h"
#include "tests/unit/own_net.h"

#define GUARD_S 30.0 /* against hanging */

/* ---- the far side -------------------------------------------------------------------------- */

struct line {
    enum { READ, WRITE, WRITE_SLOWLY, CLOSE, HOLD } what;
    const char *data;
    size_t size;
};

/* Literals, their NUL left out. */
#define R(text)                                                                                    \
    {                                                                                              \
        READ, text, sizeof text - 1                                                                \
    }
#define W(text)                                                                                    \
    {                                                                                              \
        WRITE, text, sizeof text - 1                                                               \
    }
#define SLOW(text)                                                                                 \
    {                                                                                              \
        WRITE_SLOWLY, text, sizeof text - 1                                                        \
    }
#define END                                                                                        \
    {                                                                                              \
        CLOSE, NULL, 0                                                                             \
    }
#define STAY                                                                                       \
    {                                                                                              \
        HOLD, NULL, 0                                                                              \
    } /* until the other side closes */

struct far_side {
    pthread_t thread;
    int listener;
    struct udptun_endpoint ep;
    const struct line *script;
    bool as_expected;
    char got[4096]; /* what came in place of what was expected */
};

static bool write_all(int fd, const char *data, size_t size, size_t chunk)
{
    while (size > 0) {
        size_t part = size < chunk ? size : chunk;
        if (send(fd, data, part, MSG_NOSIGNAL) != (ssize_t)part)
            return false;
        data += part;
        size -= part;
        if (chunk == 1)
            usleep(300);
    }
    return true;
}

static bool read_expected(struct far_side *far, int fd, const struct line *line)
{
    size_t have = 0;
    while (have < line->size) {
        ssize_t got = recv(fd, far->got + have, line->size - have, 0);
        if (got <= 0)
            return false;
        have += (size_t)got;
    }
    return memcmp(far->got, line->data, line->size) == 0;
}

static void *play(void *arg)
{
    struct far_side *far = (struct far_side *)arg;
    char sink;
    int fd = accept(far->listener, NULL, NULL);
    far->as_expected = fd >= 0;
    const struct line *line = far->script;
    for (; far->as_expected && line->what != CLOSE && line->what != HOLD; line++)
        far->as_expected = line->what == READ ? read_expected(far, fd, line)
                                              : write_all(fd, line->data, line->size,
                                                          line->what == WRITE ? SIZE_MAX : 1);
    while (line->what == HOLD && recv(fd, &sink, 1, 0) > 0)
        ;
    close(fd);
    return NULL;
}

static void listen_on(struct far_side *far, const char *text)
{
    struct udptun_endpoint ep;
    assert_true(endpoint_parse(text, &ep));
    int failure = socket_listen(&ep, &far->listener);
    if (failure)
        fail_msg("listen: %d", failure);
    int flags = 0; /* the thread blocks */
    assert_int_equal(ioctl(far->listener, FIONBIO, &flags), 0);
    far->ep = socket_own(far->listener);
}

static void far_start(struct far_side *far, const struct line *script)
{
    far->script = script;
    if (far->listener <= 0)
        listen_on(far, "127.0.0.1:0");
    assert_int_equal(pthread_create(&far->thread, NULL, play, far), 0);
}

static void far_join(struct far_side *far)
{
    pthread_join(far->thread, NULL);
    close(far->listener);
    if (!far->as_expected)
        fail_msg("the far side got: %s", far->got);
}

/* ---- the near side ------------------------------------------------------------------------- */

static const struct dns_record records[] = {
    {"dual.test", "::1", 60}, {"dual.test", "127.0.0.1", 60}, {"slow.test", "127.0.0.2", 60},
    {"slow.test", "::1", 60}, {"one.test", "127.0.0.3", 60},  {NULL, NULL, 0},
};

static struct ev_loop *loop;
static struct loop side; /* of what is tested, on that loop */
static struct resolver *resolver;
static struct dns_server dns;

struct outcome {
    unsigned calls;
    int fd;
    struct udptun_error err;
};

static void on_done(void *arg, int fd, const struct udptun_error *err)
{
    struct outcome *o = (struct outcome *)arg;
    o->calls++;
    o->fd = fd;
    assert_int_equal(fd < 0, err != NULL);
    if (err)
        o->err = *err;
    ev_break(loop, EVBREAK_ALL);
}

static void on_guard(struct ev_loop *l, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(l, EVBREAK_ALL);
}

static void run_for(double seconds)
{
    ev_timer guard;
    ev_timer_init(&guard, on_guard, seconds, 0.0);
    ev_now_update(loop);
    ev_timer_start(loop, &guard);
    ev_run(loop, 0);
    ev_timer_stop(loop, &guard);
}

static struct dial_config config_of(const char *server, const char *via)
{
    struct dial_config config = {.rules = socket_rules_none(), .resolver = resolver};
    const char *wrong = url_parse(server, URL_HOST_PORT | URL_UNIX, &config.server);
    if (!wrong && via)
        wrong = url_parse(via, URL_SOCKS5 | URL_HTTP, &config.via);
    if (wrong)
        fail_msg("%s %s: %s", server, via ? via : "", wrong);
    return config;
}

static struct outcome dial_with(const struct dial_config *config)
{
    struct outcome o = {0};
    assert_non_null(dial_start(&side, config, on_done, &o));
    assert_int_equal(o.calls, 0);
    run_for(GUARD_S);
    assert_int_equal(o.calls, 1);
    return o;
}

static struct outcome dial(const char *server, const char *via)
{
    struct dial_config config = config_of(server, via);
    return dial_with(&config);
}

/* "FORMAT" with the port of `far` in place of %u. */
static const char *at_port(const char *format, const struct far_side *far, char text[256])
{
    const char *mark = strstr(format, "%u");
    snprintf(text, 256, "%.*s%u%s", (int)(mark - format), format, far->ep.port, mark + 2);
    return text;
}

/* The stream gives `expected` and then ends, or waits. */
static void stream_gives(int fd, const char *expected)
{
    char got[256] = "";
    size_t have = 0, size = strlen(expected);
    while (have < size) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 10000) != 1)
            break;
        ssize_t more = recv(fd, got + have, sizeof got - 1 - have, 0);
        if (more <= 0)
            break;
        have += (size_t)more;
    }
    assert_string_equal(got, expected);
}

static int setup(void **state)
{
    struct socket_rules rules = socket_rules_none();
    (void)state;
    loop = ev_loop_new(EVFLAG_AUTO);
    if (!loop || loop_init_ev(&side, loop, NULL, NULL) != UDPTUN_OK)
        return -1;
    resolver = resolver_new(&side, &rules, NULL);
    return resolver && dns_server_start(&dns, loop, records) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    resolver_free(resolver);
    dns_server_stop(&dns);
    loop_fini(&side);
    ev_loop_destroy(loop);
    return 0;
}

/* A port that nobody listens on. */
static unsigned closed_port(void)
{
    struct far_side far = {0};
    listen_on(&far, "127.0.0.1:0");
    close(far.listener);
    return far.ep.port;
}

/* ---- straight ------------------------------------------------------------------------------ */

static void direct_on(const char *listener, const char *server)
{
    static const struct line script[] = {W("hello"), END};
    struct far_side far = {0};
    char text[256];
    listen_on(&far, listener);
    far_start(&far, script);
    struct outcome o = dial(at_port(server, &far, text), NULL);
    assert_true(o.fd >= 0);
    int on = 0;
    socklen_t size = sizeof on;
    assert_int_equal(getsockopt(o.fd, IPPROTO_TCP, TCP_NODELAY, &on, &size), 0);
    assert_true(on);
    stream_gives(o.fd, "hello");
    close(o.fd);
    far_join(&far);
}

static void direct_to_either_family(void **state)
{
    (void)state;
    direct_on("127.0.0.1:0", "127.0.0.1:%u");
    direct_on("[::1]:0", "[::1]:%u");
}

static void direct_to_a_name_falls_back_to_the_other_family(void **state)
{
    (void)state;
    direct_on("127.0.0.1:0", "dual.test:%u");
    direct_on("[::1]:0", "dual.test:%u");
}

/* A full backlog swallows what asks to connect, as a firewall does. */
static void silent_address_does_not_hold_up_the_next(void **state)
{
    (void)state;
    static const struct line script[] = {W("hello"), END};
    struct far_side silent = {0}, far = {0};
    char text[256];
    int fill[4];
    listen_on(&silent, "127.0.0.2:0");
    assert_int_equal(listen(silent.listener, 0), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(socket_connect(&silent.ep, NULL, &fill[i]), 0);
    snprintf(text, sizeof text, "[::1]:%u", silent.ep.port);
    listen_on(&far, text);
    far_start(&far, script);
    struct dial_config config = config_of(at_port("slow.test:%u", &far, text), NULL);
    config.timeout_ms = 20000;
    struct outcome o = dial_with(&config);
    assert_true(o.fd >= 0);
    assert_int_equal(socket_far(o.fd).family, UDPTUN_ENDPOINT_IP6);
    stream_gives(o.fd, "hello");
    close(o.fd);
    far_join(&far);
    for (size_t i = 0; i < 4; i++)
        close(fill[i]);
    close(silent.listener);
}

static void answer_for_ip6(struct ev_loop *l, ev_timer *timer, int events)
{
    (void)l;
    (void)timer;
    (void)events;
    dns.silent_about_ip6 = false; /* the question is asked again */
}

/* RFC 8305 section 3: an address that becomes known later is tried as well. */
static void silent_address_does_not_hold_up_one_that_is_known_later(void **state)
{
    ev_timer timer;
    dns.silent_about_ip6 = true;
    ev_timer_init(&timer, answer_for_ip6, 0.1, 0.0);
    ev_now_update(loop);
    ev_timer_start(loop, &timer);
    silent_address_does_not_hold_up_the_next(state);
    ev_timer_stop(loop, &timer);
}

static void refusal_names_address_and_cause(void **state)
{
    (void)state;
    char server[64], message[128];
    unsigned port = closed_port();
    snprintf(server, sizeof server, "127.0.0.1:%u", port);
    struct outcome o = dial(server, NULL);
    assert_int_equal(o.fd, -1);
    snprintf(message, sizeof message, "127.0.0.1:%u: connection refused", port);
    assert_string_equal(o.err.message, message);
    assert_int_equal(o.err.code, UDPTUN_E_UNREACHABLE);
    assert_int_equal(o.err.sys_errno, ECONNREFUSED);
    assert_int_equal(dial_socks5_reply(&o.err), SOCKS5_REFUSED);
}

static void refusal_by_both_families_is_told_once(void **state)
{
    (void)state;
    char server[64];
    snprintf(server, sizeof server, "dual.test:%u", closed_port());
    struct outcome o = dial(server, NULL);
    assert_int_equal(o.err.sys_errno, ECONNREFUSED);
    assert_non_null(strstr(o.err.message, ": connection refused"));
}

static void unknown_name_is_told(void **state)
{
    (void)state;
    struct outcome o = dial("nowhere.test:443", NULL);
    assert_string_equal(o.err.message, "nowhere.test:443: no such host");
    assert_int_equal(o.err.code, UDPTUN_E_UNREACHABLE);
    assert_int_equal(dial_socks5_reply(&o.err), SOCKS5_HOST_UNREACHABLE);
}

static void no_route_is_told(void **state)
{
    (void)state;
    struct outcome o = dial("203.0.113.1:443", NULL);
    assert_string_equal(o.err.message, "203.0.113.1:443: network is unreachable");
    assert_int_equal(dial_socks5_reply(&o.err), SOCKS5_NET_UNREACHABLE);
}

static int refuse_socket(void *arg, int fd)
{
    assert_true(fd >= 0);
    ++*(unsigned *)arg;
    return -1;
}

static void protect_hook_can_refuse(void **state)
{
    (void)state;
    unsigned calls = 0;
    struct dial_config config = config_of("127.0.0.1:9", NULL);
    config.rules.protect = refuse_socket;
    config.rules.protect_arg = &calls;
    struct outcome o = dial_with(&config);
    assert_int_equal(calls, 1);
    assert_int_equal(o.err.code, UDPTUN_E_PERMISSION);
}

static void absent_device_is_told(void **state)
{
    (void)state;
    struct dial_config config = config_of("192.0.2.1:9", NULL);
    snprintf(config.rules.bind_device, sizeof config.rules.bind_device, "nodevice0");
    struct outcome o = dial_with(&config);
#ifdef SOCKET_IS_LINUX
    assert_int_equal(o.err.code, UDPTUN_E_SYSTEM);
    assert_int_equal(o.err.sys_errno, ENODEV);
#else /* there it cannot be asked for */
    assert_int_equal(io_of(o.err.sys_errno), IO_UNSUPPORTED);
#endif
}

/* Neither a server nor a name server on loopback is in the network that a device leads to. */
static void loopback_is_reached_whatever_the_device(void **state)
{
    (void)state;
    static const struct line script[] = {W("hello"), END};
    static const char *const listeners[] = {"127.0.0.1:0", "[::1]:0", "127.0.0.1:0"};
    static const char *const servers[] = {"127.0.0.1:%u", "[::1]:%u", "dual.test:%u"};
    struct socket_rules rules = socket_rules_none();
    snprintf(rules.bind_device, sizeof rules.bind_device, "nodevice0");
    resolver_free(resolver);
    resolver = resolver_new(&side, &rules, NULL);
    for (size_t i = 0; i < sizeof servers / sizeof *servers; i++) {
        struct far_side far = {0};
        char text[256];
        listen_on(&far, listeners[i]);
        far_start(&far, script);
        struct dial_config config = config_of(at_port(servers[i], &far, text), NULL);
        config.rules = rules;
        struct outcome o = dial_with(&config);
        assert_true(o.fd >= 0);
        stream_gives(o.fd, "hello");
        close(o.fd);
        far_join(&far);
    }
}

static void unix_socket_connects(void **state)
{
    (void)state;
    static const struct line script[] = {W("hello"), END};
    struct far_side far = {0};
    char path[64], server[80];
    int blocking = 0;
    snprintf(path, sizeof path, "/tmp/dialer-test-%d.sock", (int)getpid());
    snprintf(server, sizeof server, "unix:%s", path);
    assert_int_equal(socket_listen_local(path, &far.listener), 0);
    assert_int_equal(ioctl(far.listener, FIONBIO, &blocking), 0);
    far_start(&far, script);
    struct outcome o = dial(server, NULL);
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "hello");
    close(o.fd);
    far_join(&far);
    /* Nobody listens now, and the file is still there: it is refused, and a listener takes over. */
    o = dial(server, NULL);
    assert_int_equal(o.err.sys_errno, ECONNREFUSED);
    udptun_socket again, other;
    assert_int_equal(socket_listen_local(path, &again), 0);
    assert_int_equal(io_of(socket_listen_local(path, &other)), IO_IN_USE);
    close(again);
    unlink(path);
    o = dial(server, NULL);
    snprintf(path, sizeof path, "unix:/tmp/dialer-test-%d.sock: no such file or directory",
             (int)getpid());
    assert_string_equal(o.err.message, path);
}

static void unix_socket_is_not_for_a_proxy(void **state)
{
    (void)state;
    struct outcome o = dial("unix:/tmp/x", "socks5://127.0.0.1:1");
    assert_int_equal(o.err.code, UDPTUN_E_INVALID);
}

/* ---- SOCKS5 -------------------------------------------------------------------------------- */

static struct outcome through(struct far_side *far, const struct line *script, const char *server,
                              const char *via)
{
    char text[256];
    far_start(far, script);
    struct outcome o = dial(server, at_port(via, far, text));
    if (o.fd < 0)
        far_join(far);
    return o;
}

static void assert_failed(struct outcome o, const struct far_side *far, int code, int sys_errno,
                          const char *clause)
{
    char message[256];
    snprintf(message, sizeof message, "proxy 127.0.0.1:%u: %s", far->ep.port, clause);
    assert_int_equal(o.fd, -1);
    assert_string_equal(o.err.message, message);
    assert_int_equal(o.err.code, code);
    assert_int_equal(o.err.sys_errno, sys_errno);
}

#define SOCKS5_REPLY_OK "\5\0\0\1\0\0\0\0\0\0"

static void socks5_opens_and_keeps_what_follows(void **state)
{
    (void)state;
    static const struct line script[] = {R("\5\1\0"), W("\5\0"), R("\5\1\0\1\300\0\2\1\1\273"),
                                         W(SOCKS5_REPLY_OK "hello"), END};
    struct far_side far = {0};
    struct outcome o = through(&far, script, "192.0.2.1:443", "socks5://127.0.0.1:%u");
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "hello");
    close(o.fd);
    far_join(&far);
}

static void socks5_takes_answers_byte_by_byte(void **state)
{
    (void)state;
    static const struct line script[] = {R("\5\2\0\2"),
                                         SLOW("\5\2"),
                                         R("\1\3bob\6secret"),
                                         SLOW("\1\0"),
                                         R("\5\1\0\3\14example.test\0\120"),
                                         SLOW("\5\0\0\3\11some.host\1\2hello"),
                                         END};
    struct far_side far = {0};
    struct outcome o = through(&far, script, "example.test:80", "socks5://bob:secret@127.0.0.1:%u");
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "hello");
    close(o.fd);
    far_join(&far);
    assert_int_equal(dns.questions, 0); /* the proxy resolves */
}

static void socks5_sends_ip6_addresses(void **state)
{
    (void)state;
    static const struct line script[] = {R("\5\1\0"), W("\5\0"),
                                         R("\5\1\0\4\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1\0\65"),
                                         W("\5\0\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0!"), END};
    struct far_side far = {0};
    struct outcome o = through(&far, script, "[2001:db8::1]:53", "socks5://127.0.0.1:%u");
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "!");
    close(o.fd);
    far_join(&far);
}

static void socks5_authentication_failures_are_told(void **state)
{
    (void)state;
    static const struct line wrong[] = {R("\5\2\0\2"), W("\5\2"), R("\1\1u\1p"), W("\1\1"), STAY};
    static const struct line wanted[] = {R("\5\1\0"), W("\5\377"), STAY};
    static const struct line neither[] = {R("\5\2\0\2"), W("\5\377"), STAY};
    struct far_side far = {0};
    assert_failed(through(&far, wrong, "192.0.2.1:1", "socks5://u:p@127.0.0.1:%u"), &far,
                  UDPTUN_E_AUTH, EACCES, "wrong user or password");
    far = (struct far_side){0};
    assert_failed(through(&far, wanted, "192.0.2.1:1", "socks5://127.0.0.1:%u"), &far,
                  UDPTUN_E_AUTH, EACCES, "wants a password");
    far = (struct far_side){0};
    assert_failed(through(&far, neither, "192.0.2.1:1", "socks5://u:p@127.0.0.1:%u"), &far,
                  UDPTUN_E_AUTH, EACCES, "takes neither a password nor none");
}

static void socks5_replies_are_told_and_passed_on(void **state)
{
    (void)state;
    static const struct {
        int code, sys_errno;
        const char *clause;
    } cases[] = {
        {UDPTUN_E_UNREACHABLE, EIO, "SOCKS5: general failure (1)"},
        {UDPTUN_E_PERMISSION, EACCES, "SOCKS5: not allowed by the proxy's rules (2)"},
        {UDPTUN_E_UNREACHABLE, ENETUNREACH, "SOCKS5: network unreachable (3)"},
        {UDPTUN_E_UNREACHABLE, EHOSTUNREACH, "SOCKS5: host unreachable (4)"},
        {UDPTUN_E_UNREACHABLE, ECONNREFUSED, "SOCKS5: connection refused (5)"},
        {UDPTUN_E_UNREACHABLE, ETIMEDOUT, "SOCKS5: TTL expired (6)"},
        {UDPTUN_E_UNSUPPORTED, EOPNOTSUPP, "SOCKS5: command not supported (7)"},
        {UDPTUN_E_UNSUPPORTED, EAFNOSUPPORT, "SOCKS5: address type not supported (8)"},
        {UDPTUN_E_UNREACHABLE, EIO, "SOCKS5: unknown reply (9)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char reply[] = SOCKS5_REPLY_OK;
        reply[1] = (char)(i + 1);
        const struct line script[] = {R("\5\1\0"),
                                      W("\5\0"),
                                      R("\5\1\0\1\300\0\2\1\0\1"),
                                      {WRITE, reply, sizeof reply - 1},
                                      STAY};
        struct far_side far = {0};
        struct outcome o = through(&far, script, "192.0.2.1:1", "socks5://127.0.0.1:%u");
        assert_failed(o, &far, cases[i].code, cases[i].sys_errno, cases[i].clause);
        assert_int_equal(dial_socks5_reply(&o.err), i < 8 ? i + 1 : SOCKS5_FAILED);
    }
}

static void what_is_no_socks5_proxy_is_told(void **state)
{
    (void)state;
    static const struct line http[] = {R("\5\1\0"), W("HTTP/1.1 400 Bad Request\r\n\r\n"), STAY};
    static const struct line closes[] = {R("\5\1\0"), END};
    static const struct line halfway[] = {R("\5\1\0"), W("\5\0"), R("\5\1\0\1\300\0\2\1\0\1"),
                                          W("\5\0\0\1\0"), END};
    static const struct line type[] = {R("\5\1\0"), W("\5\0"), R("\5\1\0\1\300\0\2\1\0\1"),
                                       W("\5\0\0\7\0\0\0\0\0\0"), STAY};
    struct far_side far = {0};
    assert_failed(through(&far, http, "192.0.2.1:1", "socks5://127.0.0.1:%u"), &far,
                  UDPTUN_E_UNREACHABLE, EPROTO, "not a SOCKS5 server");
    far = (struct far_side){0};
    assert_failed(through(&far, closes, "192.0.2.1:1", "socks5://127.0.0.1:%u"), &far,
                  UDPTUN_E_UNREACHABLE, ECONNRESET, "closed the connection");
    far = (struct far_side){0};
    assert_failed(through(&far, halfway, "192.0.2.1:1", "socks5://127.0.0.1:%u"), &far,
                  UDPTUN_E_UNREACHABLE, ECONNRESET, "closed the connection");
    far = (struct far_side){0};
    assert_failed(through(&far, type, "192.0.2.1:1", "socks5://127.0.0.1:%u"), &far,
                  UDPTUN_E_UNREACHABLE, EPROTO, "unknown address type");
}

static void unreachable_proxy_is_named(void **state)
{
    (void)state;
    char via[256];
    struct far_side far = {0};
    far.ep.port = (uint16_t)closed_port();
    struct outcome o = dial("192.0.2.1:1", at_port("socks5://u:secret@127.0.0.1:%u", &far, via));
    assert_failed(o, &far, UDPTUN_E_UNREACHABLE, ECONNREFUSED, "connection refused");
    o = dial("192.0.2.1:1", "http://u:secret@nowhere.test:1");
    assert_string_equal(o.err.message, "proxy nowhere.test:1: no such host");
}

/* ---- HTTP CONNECT -------------------------------------------------------------------------- */

#define HTTP_REQUEST(target) "CONNECT " target " HTTP/1.1\r\nHost: " target "\r\n"

static void http_opens_and_keeps_what_follows(void **state)
{
    (void)state;
    static const struct line whole[] = {
        R(HTTP_REQUEST("example.test:443") "\r\n"),
        W("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\nhello"), END};
    static const struct line slow[] = {
        R(HTTP_REQUEST("[2001:db8::1]:443") "Proxy-Authorization: Basic Ym9iOnM6ZQ==\r\n\r\n"),
        SLOW("HTTP/1.0 200 \r\nA: b\r\n\r\n\r\nhello"), END};
    static const struct line interim[] = {
        R(HTTP_REQUEST("192.0.2.1:1") "\r\n"),
        W("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 None\n\nhello"), END};
    struct far_side far = {0};
    struct outcome o = through(&far, whole, "example.test:443", "http://127.0.0.1:%u");
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "hello");
    close(o.fd);
    far_join(&far);
    far = (struct far_side){0};
    o = through(&far, slow, "[2001:db8::1]:443", "http://bob:s%3Ae@127.0.0.1:%u");
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "\r\nhello");
    close(o.fd);
    far_join(&far);
    far = (struct far_side){0};
    o = through(&far, interim, "192.0.2.1:1", "http://127.0.0.1:%u");
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "hello");
    close(o.fd);
    far_join(&far);
}

static void http_failures_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *answer, *via, *clause;
        int code, sys_errno;
    } cases[] = {
        {"HTTP/1.1 407 Auth\r\n\r\n", "http://127.0.0.1:%u", "wants a password", UDPTUN_E_AUTH,
         EACCES},
        {"HTTP/1.1 407 Auth\r\n\r\n", "http://u:p@127.0.0.1:%u", "wrong user or password",
         UDPTUN_E_AUTH, EACCES},
        {"HTTP/1.1 403 Forbidden\r\n\r\n", "http://127.0.0.1:%u", "HTTP: 403 Forbidden",
         UDPTUN_E_PERMISSION, EACCES},
        {"HTTP/1.1 503 Not \x1b[31mnow\r\nA: b\r\n\r\n", "http://127.0.0.1:%u",
         "HTTP: 503 Not ?[31mnow", UDPTUN_E_UNREACHABLE, EHOSTUNREACH},
        {"HTTP/1.1 302 Found\r\n\r\n", "http://127.0.0.1:%u", "HTTP: 302 Found",
         UDPTUN_E_UNREACHABLE, EIO},
        {"SSH-2.0-OpenSSH\r\n", "http://127.0.0.1:%u", "not an HTTP proxy", UDPTUN_E_UNREACHABLE,
         EPROTO},
        {"\r\n", "http://127.0.0.1:%u", "not an HTTP proxy", UDPTUN_E_UNREACHABLE, EPROTO},
        {"HTTP/1.1 2x0 OK\r\n", "http://127.0.0.1:%u", "not an HTTP proxy", UDPTUN_E_UNREACHABLE,
         EPROTO},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct line script[] = {
            R("CONNECT "), {WRITE, cases[i].answer, strlen(cases[i].answer)}, STAY};
        struct far_side far = {0};
        struct outcome o = through(&far, script, "192.0.2.1:1", cases[i].via);
        assert_failed(o, &far, cases[i].code, cases[i].sys_errno, cases[i].clause);
    }
}

static void http_header_is_bounded(void **state)
{
    (void)state;
    static char header[20000] = "HTTP/1.1 200 OK\r\nX: ";
    memset(header + 20, 'x', sizeof header - 20);
    const struct line script[] = {R("CONNECT "), {WRITE, header, sizeof header}, STAY};
    static const struct line endless[] = {R(HTTP_REQUEST("192.0.2.1:1") "\r\n"),
                                          W("HTTP/1.1 200 OK\r\n"), END};
    struct far_side far = {0};
    struct outcome o = through(&far, script, "192.0.2.1:1", "http://127.0.0.1:%u");
    assert_failed(o, &far, UDPTUN_E_UNREACHABLE, EPROTO, "header of more than 16 KiB");
    far = (struct far_side){0};
    o = through(&far, endless, "192.0.2.1:1", "http://127.0.0.1:%u");
    assert_failed(o, &far, UDPTUN_E_UNREACHABLE, ECONNRESET, "closed the connection");
}

static void longest_credentials_fit(void **state)
{
    (void)state;
    static const struct line script[] = {R("CONNECT "), W("HTTP/1.1 200 OK\r\n\r\n!"), STAY};
    struct far_side far = {0};
    struct dial_config config = config_of("192.0.2.1:1", NULL);
    far_start(&far, script);
    config.via = (struct url){.kind = URL_HTTP, .has_user = true};
    config.via.host.ep = far.ep;
    memset(config.via.user, 'u', URL_USER_SIZE - 1);
    memset(config.via.password, 'p', URL_USER_SIZE - 1);
    memset(&config.server.host.ep, 0, sizeof config.server.host.ep);
    memset(config.server.host.host, 'n', 253);
    struct outcome o = dial_with(&config);
    assert_true(o.fd >= 0);
    stream_gives(o.fd, "!");
    close(o.fd);
    far_join(&far);
}

/* ---- UDP ASSOCIATE --------------------------------------------------------------------------- */

struct association {
    const char *via;    /* of the proxy, which listens on 127.0.0.1 */
    const char *answer; /* from ATYP on, the port 4660 in it */
    size_t size;
    const char *relay; /* "": the proxy's own address */
};

#define ANSWER(via, bytes, relay)                                                                  \
    {                                                                                              \
        via, bytes, sizeof bytes - 1, relay                                                        \
    }

static const struct association associations[] = {
    ANSWER("127.0.0.1", "\1\x7f\0\0\5\x12\x34", "127.0.0.5:4660"),
    ANSWER("127.0.0.1", "\1\0\0\0\0\x12\x34", "127.0.0.1:4660"),
    ANSWER("127.0.0.1", "\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x12\x34", "127.0.0.1:4660"),
    ANSWER("127.0.0.1", "\4\0\0\0\0\0\0\0\0\0\0\xff\xff\x7f\0\0\5\x12\x34", "127.0.0.5:4660"),
    ANSWER("127.0.0.1", "\4\0\0\0\0\0\0\0\0\0\0\xff\xff\0\0\0\0\x12\x34", "127.0.0.1:4660"),
    ANSWER("127.0.0.1", "\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\x12\x34", "[::1]:4660"),
    ANSWER("127.0.0.1", "\3\0\x12\x34", "127.0.0.1:4660"),
    ANSWER("127.0.0.1",
           "\3\x09"
           "127.0.0.5\x12\x34",
           "127.0.0.5:4660"),
    ANSWER("127.0.0.1",
           "\3\x07"
           "0.0.0.0\x12\x34",
           "127.0.0.1:4660"),
    ANSWER("127.0.0.1",
           "\3\x10"
           "::ffff:127.0.0.5\x12\x34",
           "127.0.0.5:4660"),
    ANSWER("127.0.0.1",
           "\3\x05"
           "[::1]\x12\x34",
           "[::1]:4660"),
    ANSWER("127.0.0.1",
           "\3\x09"
           "localhost\x12\x34",
           "127.0.0.1:4660"),
    ANSWER("127.0.0.1",
           "\3\x09"
           "slow.test\x12\x34",
           "127.0.0.2:4660"),
    ANSWER("127.0.0.1",
           "\3\x0c"
           "unknown.test\x12\x34",
           "127.0.0.1:4660"),
    ANSWER("dual.test",
           "\3\x09"
           "DUAL.test\x12\x34",
           "127.0.0.1:4660"),
    /* A proxy that is not on this host and says "127.0.0.5" means itself. */
    ANSWER("198.51.100.9", "\1\x7f\0\0\5\x12\x34", "198.51.100.9:4660"),
    ANSWER("198.51.100.9",
           "\3\x09"
           "127.0.0.5\x12\x34",
           "198.51.100.9:4660"),
    ANSWER("198.51.100.9",
           "\3\x09"
           "localhost\x12\x34",
           "198.51.100.9:4660"),
    ANSWER("198.51.100.9", "\1\xcb\0\x71\7\x12\x34", "203.0.113.7:4660"),
};

static void associate(const struct association *a)
{
    struct udptun_endpoint relay = {0};
    struct far_side far = {0};
    char via[80], text[256], got[ENDPOINT_TEXT_SIZE];
    const struct line script[] = {R("\5\1\0"),
                                  W("\5\0"),
                                  R("\5\3\0\1\0\0\0\0\0\0"),
                                  W("\5\0\0"),
                                  {WRITE_SLOWLY, a->answer, a->size},
                                  STAY};
    snprintf(via, sizeof via, "%s:0", a->via[0] == 'd' ? "127.0.0.1" : a->via);
    listen_on(&far, via);
    far_start(&far, script);
    snprintf(via, sizeof via, "socks5://%s:%%u", a->via);
    struct dial_config config = config_of("0.0.0.0:0", at_port(via, &far, text));
    config.relay = &relay;
    struct outcome o = dial_with(&config);
    if (o.fd < 0)
        fail_msg("%s: %s", a->relay, o.err.message);
    assert_string_equal(endpoint_format(&relay, got), a->relay);
    close(o.fd);
    far_join(&far);
}

static void an_association_leads_to_the_right_relay(void **state)
{
    (void)state;
    if (system("ip addr replace 198.51.100.9/32 dev lo") != 0)
        fail_msg("no address");
    for (size_t i = 0; i < sizeof associations / sizeof *associations; i++)
        associate(&associations[i]);
}

/* A name of the relay that nobody resolves costs a moment, not the association. */
static void a_relay_name_without_an_answer_means_the_proxy(void **state)
{
    (void)state;
    static const struct association a = ANSWER("127.0.0.1",
                                               "\3\x09"
                                               "slow.test\x12\x34",
                                               "127.0.0.1:4660");
    dns.silent = true;
    associate(&a);
}

static void a_relay_without_a_port_is_told(void **state)
{
    (void)state;
    static const struct line script[] = {R("\5\1\0"), W("\5\0"), R("\5\3\0\1\0\0\0\0\0\0"),
                                         W("\5\0\0\1\x7f\0\0\1\0\0"), STAY};
    struct udptun_endpoint relay;
    struct far_side far = {0};
    char via[256];
    far_start(&far, script);
    struct dial_config config = config_of("0.0.0.0:0", at_port("socks5://127.0.0.1:%u", &far, via));
    config.relay = &relay;
    struct outcome o = dial_with(&config);
    far_join(&far);
    assert_failed(o, &far, UDPTUN_E_UNREACHABLE, EPROTO, "its UDP relay has no port");
}

static void a_proxy_is_named_as_configured(void **state)
{
    (void)state;
    char via[80], message[160];
    unsigned port = closed_port();
    snprintf(via, sizeof via, "socks5://one.test:%u", port);
    snprintf(message, sizeof message, "proxy one.test:%u (127.0.0.3:%u): connection refused", port,
             port);
    assert_string_equal(dial("192.0.2.1:1", via).err.message, message);
}

/* ---- time and cancelling ------------------------------------------------------------------- */

static void silent_proxy_times_out(void **state)
{
    (void)state;
    static const struct line script[] = {R("\5\1\0"), STAY};
    struct far_side far = {0};
    char via[256];
    far_start(&far, script);
    struct dial_config config =
        config_of("192.0.2.1:1", at_port("socks5://127.0.0.1:%u", &far, via));
    config.timeout_ms = 100;
    struct outcome o = dial_with(&config);
    far_join(&far);
    assert_failed(o, &far, UDPTUN_E_TIMEOUT, ETIMEDOUT, "no answer in time");
}

static void silent_name_server_times_out(void **state)
{
    (void)state;
    struct dial_config config = config_of("four.test:1", NULL);
    config.timeout_ms = 100;
    dns.silent = true;
    struct outcome o = dial_with(&config);
    assert_string_equal(o.err.message, "four.test:1: name resolution timed out");
    assert_int_equal(o.err.code, UDPTUN_E_TIMEOUT);
}

/* Cancelled at every moment of an attempt: nothing is called, nothing leaks, the far side sees
 * the end. */
static void cancelled_dialer_is_silent(void **state)
{
    (void)state;
    static const struct line silent[] = {R("\5\1\0"), STAY};
    struct outcome o = {0};
    char via[256];
    struct dial_config config = config_of("four.test:1", NULL);
    dial_cancel(NULL);
    dial_cancel(dial_start(&side, &config, on_done, &o));
    dns.silent = true;
    struct dialer *d = dial_start(&side, &config, on_done, &o);
    run_for(0.05);
    dial_cancel(d);
    struct far_side far = {0};
    far_start(&far, silent);
    config = config_of("192.0.2.1:1", at_port("socks5://127.0.0.1:%u", &far, via));
    d = dial_start(&side, &config, on_done, &o);
    run_for(0.05);
    dial_cancel(d);
    far_join(&far);
    run_for(0.01);
    assert_int_equal(o.calls, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(direct_to_either_family),
        TEST(direct_to_a_name_falls_back_to_the_other_family),
        TEST(silent_address_does_not_hold_up_the_next),
        TEST(silent_address_does_not_hold_up_one_that_is_known_later),
        TEST(refusal_names_address_and_cause),
        TEST(refusal_by_both_families_is_told_once),
        TEST(unknown_name_is_told),
        TEST(no_route_is_told),
        TEST(protect_hook_can_refuse),
        TEST(absent_device_is_told),
        TEST(loopback_is_reached_whatever_the_device),
        TEST(unix_socket_connects),
        TEST(unix_socket_is_not_for_a_proxy),
        TEST(socks5_opens_and_keeps_what_follows),
        TEST(socks5_takes_answers_byte_by_byte),
        TEST(socks5_sends_ip6_addresses),
        TEST(socks5_authentication_failures_are_told),
        TEST(socks5_replies_are_told_and_passed_on),
        TEST(what_is_no_socks5_proxy_is_told),
        TEST(unreachable_proxy_is_named),
        TEST(http_opens_and_keeps_what_follows),
        TEST(http_failures_are_told),
        TEST(http_header_is_bounded),
        TEST(longest_credentials_fit),
        TEST(an_association_leads_to_the_right_relay),
        TEST(a_relay_name_without_an_answer_means_the_proxy),
        TEST(a_relay_without_a_port_is_told),
        TEST(a_proxy_is_named_as_configured),
        TEST(silent_proxy_times_out),
        TEST(silent_name_server_times_out),
        TEST(cancelled_dialer_is_silent),
    };
    if (!own_net_enter() || !own_net_file("/etc/hosts", "# none\n") ||
        !own_net_file("/etc/resolv.conf", "nameserver 127.0.0.1\n")) {
        printf("no namespaces here: skipped\n");
        return 77;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}

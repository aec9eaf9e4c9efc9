/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_socks5.c - the SOCKS5 listener, spoken to in bytes as RFC 1928 has them.
 *
 * CONNECT is relayed to a real proxy, microsocks, where it is installed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <ev.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/engine/streams/relay.h"
#include "tests/unit/engine_fixture.h"

struct rig {
    struct world w;
    struct seen server_seen, local_seen;
    struct udptun_tunnel_config server, local;
    char place[32];
};

static void rig_start(struct rig *r, const char *listen, const char *tcp_proxy)
{
    world_start(&r->w);
    r->server = server_config(&r->w, &r->server_seen);
    configure(&r->w, &r->server);
    r->local = local_config(&r->w, &r->local_seen, place_of(&r->server_seen, r->place));
    r->local.listen = listen;
    r->local.target = NULL;
    r->local.tcp_proxy = tcp_proxy;
    configure(&r->w, &r->local);
}

static struct sockaddr_in on_loopback(uint32_t host, uint16_t port)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_port = htons(port)};
    sa.sin_addr.s_addr = htonl(host);
    return sa;
}

static int tcp_to(uint16_t port)
{
    struct sockaddr_in sa = on_loopback(INADDR_LOOPBACK, port);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)(void *)&sa, sizeof sa), 0);
    return fd;
}

static void say(int fd, const void *data, size_t size)
{
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), (ssize_t)size);
}

/* Exactly these bytes come next. */
static void hear(int fd, const void *wanted, size_t size)
{
    uint8_t got[64];
    assert_true(size <= sizeof got);
    for (size_t at = 0; at < size;) {
        struct pollfd ready = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        ssize_t count = recv(fd, got + at, size - at, 0);
        assert_true(count > 0);
        at += (size_t)count;
    }
    assert_memory_equal(got, wanted, size);
}

static void hear_end(int fd)
{
    uint8_t byte;
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
    assert_true(recv(fd, &byte, 1, 0) <= 0);
}

static void greet(int fd)
{
    say(fd, "\x05\x01\x00", 3);
    hear(fd, "\x05\x00", 2);
}

/* ---- UDP ASSOCIATE ------------------------------------------------------------------------------
 */

/* Announces `from`; returns the port to send to. */
static uint16_t associate_from(int fd, const struct sockaddr_in *from)
{
    uint8_t head[4], address[4], port[2];
    uint8_t request[10] = {5, 3, 0, 1};
    memcpy(request + 4, &from->sin_addr, 4);
    memcpy(request + 8, &from->sin_port, 2);
    say(fd, request, sizeof request);
    memcpy(head, "\x05\x00\x00\x01", 4);
    hear(fd, head, 4);
    memcpy(address, "\x7f\x00\x00\x01", 4);
    hear(fd, address, 4);
    assert_int_equal(recv(fd, port, 2, MSG_WAITALL), 2);
    return (uint16_t)(port[0] << 8 | port[1]);
}

/* Announces nothing. */
static uint16_t associate(int fd)
{
    const struct sockaddr_in any = {0};
    return associate_from(fd, &any);
}

/* Header and payload for the echo; returns the size. */
static size_t wrap(const struct rig *r, uint8_t fragment, const char *text, uint8_t out[128])
{
    const uint8_t header[] = {
        0, 0, fragment, 1, 127, 0, 0, 1, (uint8_t)(r->w.echo.port >> 8), (uint8_t)r->w.echo.port};
    memcpy(out, header, sizeof header);
    memcpy(out + sizeof header, text, strlen(text));
    return sizeof header + strlen(text);
}

static void datagrams_of_the_associating_client_pass(void **state)
{
    (void)state;
    struct rig r;
    uint8_t data[128];
    rig_start(&r, "socks5://127.0.0.1:0", NULL);
    int control = tcp_to(r.local_seen.port);
    greet(control);
    int client = udp_client(associate(control));
    size_t size = wrap(&r, 0, "through SOCKS5", data);
    exchange(client, data, size); /* the reply names the echo as its source */
    exchange(client, data, 10);   /* an empty datagram */
    assert_int_equal(status_of(&r.w, "local").flows, 1);

    close(control);
    while (status_of(&r.w, "local").flows > 0)
        nap();
    close(client);
    world_stop(&r.w);
}

static void others_and_fragments_are_refused_and_counted(void **state)
{
    (void)state;
    struct rig r;
    uint8_t data[128];
    rig_start(&r, "socks5://127.0.0.1:0", NULL);
    int control = tcp_to(r.local_seen.port);
    greet(control);
    uint16_t port = associate(control);
    int client = udp_client(port);
    size_t size = wrap(&r, 0, "mine", data);
    exchange(client, data, size);
    uint64_t passed = status_of(&r.w, "local").counters.tx_packets;

    /* Another address, a fragment, no header at all. */
    struct sockaddr_in other = on_loopback(INADDR_LOOPBACK + 1, 0);
    struct sockaddr_in to = on_loopback(INADDR_LOOPBACK, port);
    int stranger = socket(AF_INET, SOCK_DGRAM, 0);
    assert_int_equal(bind(stranger, (struct sockaddr *)(void *)&other, sizeof other), 0);
    assert_true(sendto(stranger, data, size, 0, (struct sockaddr *)(void *)&to, sizeof to) > 0);
    size = wrap(&r, 1, "fragment", data);
    say(client, data, size);
    say(client, "\x00\x00", 2);
    while (status_of(&r.w, "local").counters.dropped_policy < 2 ||
           status_of(&r.w, "local").counters.dropped_no_flow < 1)
        nap();
    assert_int_equal(status_of(&r.w, "local").counters.tx_packets, passed);
    close(stranger);
    close(client);
    close(control);
    world_stop(&r.w);
}

/* RFC 1928 fixes the client's address alone. Each port is answered for itself, in any order. */
static void every_port_of_the_client_is_served(void **state)
{
    (void)state;
    struct sockaddr_in announced[] = {on_loopback(INADDR_ANY, 0), on_loopback(INADDR_ANY, 9),
                                      on_loopback(INADDR_LOOPBACK, 9),
                                      on_loopback(INADDR_LOOPBACK + 1, 9)};
    struct rig r;
    rig_start(&r, "socks5://127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof announced / sizeof *announced; i++) {
        uint8_t first[128], second[128];
        int control = tcp_to(r.local_seen.port);
        greet(control);
        uint16_t port = associate_from(control, &announced[i]);
        int one = udp_client(port), other = udp_client(port);
        size_t size = wrap(&r, 0, "one", first);
        exchange(one, first, size);
        exchange(other, second, wrap(&r, 0, "other", second));
        exchange(one, first, size);
        assert_int_equal(status_of(&r.w, "local").counters.dropped_policy, 0);
        close(control);
        while (status_of(&r.w, "local").flows > 0)
            nap();
        close(one);
        close(other);
    }
    world_stop(&r.w);
}

static void a_name_travels_as_a_name(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, "socks5://127.0.0.1:0", NULL);
    int control = tcp_to(r.local_seen.port);
    greet(control);
    int client = udp_client(associate(control));
    /* The server's own target takes every flow, so the name need not resolve. */
    const char request[] =
        "\x00\x00\x00\x03\x0c"
        "dns.invalid."
        "\x00\x35"
        "hi";
    uint8_t wanted[128];
    uint8_t back[128];
    size_t size = wrap(&r, 0, "hi", wanted);
    struct pollfd ready = {.fd = client, .events = POLLIN};
    do
        say(client, request, sizeof request - 1);
    while (poll(&ready, 1, 500) != 1);
    assert_int_equal(recv(client, back, sizeof back, 0), (ssize_t)size);
    assert_memory_equal(back, wanted, size);
    close(client);
    close(control);
    world_stop(&r.w);
}

/* ---- requests that are refused
 * ------------------------------------------------------------------- */

static void a_password_is_asked_for(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, "socks5://user:pass@127.0.0.1:0", NULL);
    assert_null(strstr(r.local_seen.url, "pass"));
    int fd = tcp_to(r.local_seen.port);
    say(fd, "\x05\x01\x00", 3);
    hear(fd, "\x05\xff", 2);
    hear_end(fd);
    close(fd);
    fd = tcp_to(r.local_seen.port);
    say(fd, "\x05\x02\x00\x02", 4);
    hear(fd, "\x05\x02", 2);
    say(fd, "\x01\x04user\x05wrong", 12);
    uint8_t verdict[2];
    assert_int_equal(recv(fd, verdict, 2, MSG_WAITALL), 2);
    assert_int_not_equal(verdict[1], 0);
    hear_end(fd);
    close(fd);
    world_wait_log(&r.w, "wrong user or password");
    fd = tcp_to(r.local_seen.port);
    say(fd, "\x05\x01\x02", 3);
    hear(fd, "\x05\x02", 2);
    say(fd, "\x01\x04user\x04pass", 11);
    hear(fd, "\x01\x00", 2);
    associate(fd);
    close(fd);
    world_stop(&r.w);
}

/* `request` behind a greeting is answered with `code`, then the connection ends. */
static void refused(const struct rig *r, const void *request, size_t size, uint8_t code)
{
    int fd = tcp_to(r->local_seen.port);
    uint8_t reply[3] = {5, code, 0};
    greet(fd);
    say(fd, request, size);
    hear(fd, reply, 3);
    uint8_t rest[7];
    assert_int_equal(recv(fd, rest, 7, MSG_WAITALL), 7);
    hear_end(fd);
    close(fd);
}

static void what_is_not_served_is_refused_with_its_code(void **state)
{
    (void)state;
    struct rig r;
    rig_start(&r, "socks5://127.0.0.1:0", NULL);
    refused(&r, "\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", 10, 2); /* CONNECT, no tcpProxy */
    refused(&r, "\x05\x02\x00\x01\x7f\x00\x00\x01\x00\x50", 10, 7); /* BIND */
    refused(&r, "\x05\x09\x00\x01\x7f\x00\x00\x01\x00\x50", 10, 7); /* no such command */
    refused(&r, "\x05\x01\x00\x07\x7f\x00\x00\x01\x00\x50", 10, 8); /* no such address type */
    int fd = tcp_to(r.local_seen.port);
    say(fd, "GET / HTTP/1.0\r\n\r\n", 18);
    hear_end(fd);
    close(fd);
    world_stop(&r.w);
}

/* ---- CONNECT
 * ------------------------------------------------------------------------------------- */

extern char **environ;

static uint16_t free_port(void)
{
    struct sockaddr_in sa = on_loopback(INADDR_LOOPBACK, 0);
    socklen_t size = sizeof sa;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)(void *)&sa, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)(void *)&sa, &size), 0);
    close(fd);
    return ntohs(sa.sin_port);
}

static void wait_listening(uint16_t port)
{
    struct sockaddr_in sa = on_loopback(INADDR_LOOPBACK, port);
    for (;;) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        int failed = connect(fd, (struct sockaddr *)(void *)&sa, sizeof sa);
        close(fd);
        if (!failed)
            return;
        nap();
    }
}

static void request_connect(int fd, uint16_t port)
{
    uint8_t request[] = {5, 1, 0, 1, 127, 0, 0, 1, (uint8_t)(port >> 8), (uint8_t)port};
    greet(fd);
    say(fd, request, sizeof request);
}

/* Both directions with more than any buffer holds, then an end each way. */
static void relayed(int client, int target)
{
    enum { PIECE = 65536, PIECES = 64 };
    static char out[PIECE], in[PIECE];
    size_t sent = 0, got = 0;
    memset(out, 'r', sizeof out);
    while (got < (size_t)PIECE * PIECES) {
        if (sent < (size_t)PIECE * PIECES) {
            ssize_t n = send(client, out, PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);
            sent += n > 0 ? (size_t)n : 0;
        }
        struct pollfd ready = {.fd = target, .events = POLLIN};
        if (poll(&ready, 1, 1) != 1)
            continue;
        ssize_t n = recv(target, in, sizeof in, 0);
        assert_true(n > 0);
        assert_true(in[0] == 'r' && in[n - 1] == 'r');
        got += (size_t)n;
    }
    assert_int_equal(sent, got);
    say(target, "back", 4);
    hear(client, "back", 4);
    shutdown(client, SHUT_WR);
    hear_end(target);
    close(target);
    hear_end(client);
}

static pid_t proxy_pid;

static int end_proxy(void **state)
{
    (void)state;
    if (proxy_pid > 0) {
        kill(proxy_pid, SIGTERM);
        waitpid(proxy_pid, NULL, 0);
    }
    return 0;
}

/* Quiet, and without the descriptors of this process. */
static void start_proxy(uint16_t port)
{
    char text[8];
    posix_spawn_file_actions_t actions;
    char *argv[] = {(char *)"microsocks", (char *)"-i", (char *)"127.0.0.1",
                    (char *)"-p",         text,         NULL};
    snprintf(text, sizeof text, "%u", port);
    posix_spawn_file_actions_init(&actions);
    for (int fd = 0; fd <= 2; fd++)
        posix_spawn_file_actions_addopen(&actions, fd, "/dev/null", O_RDWR, 0);
    if (posix_spawnp(&proxy_pid, argv[0], &actions, NULL, argv, environ) != 0)
        skip();
    posix_spawn_file_actions_destroy(&actions);
    wait_listening(port);
}

static void connect_is_relayed_through_the_proxy(void **state)
{
    (void)state;
    struct rig r;
    char proxy[64];
    uint16_t proxy_port = free_port();
    snprintf(proxy, sizeof proxy, "socks5://127.0.0.1:%u", proxy_port);
    start_proxy(proxy_port);

    struct sockaddr_in sa = on_loopback(INADDR_LOOPBACK, 0);
    socklen_t size = sizeof sa;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)(void *)&sa, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)(void *)&sa, &size), 0);

    rig_start(&r, "socks5://127.0.0.1:0", proxy);
    int client = tcp_to(r.local_seen.port);
    request_connect(client, ntohs(sa.sin_port));
    hear(client, "\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00", 10);
    relayed(client, accept(listener, NULL, NULL));
    close(client);
    close(listener);

    client = tcp_to(r.local_seen.port); /* nobody listens there any more */
    request_connect(client, ntohs(sa.sin_port));
    hear(client, "\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00", 10);
    hear_end(client);
    close(client);
    world_stop(&r.w);
}

/* ---- the relay alone
 * ----------------------------------------------------------------------------- */

static void note_end(void *arg)
{
    *(bool *)arg = true;
}

/* microsocks ends both directions at once, so what an end of one means is seen here. */
static void each_direction_of_a_relay_ends_on_its_own(void **state)
{
    (void)state;
    int left[2], right[2];
    bool ended = false;
    struct ev_loop *loop = ev_loop_new(0);
    struct udptun_engine_config config;
    udptun_engine_config_init(&config);
    config.loop = loop;
    udptun_engine *engine = udptun_engine_new(&config, NULL);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, left), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, right), 0);
    assert_non_null(relay_start(engine, left[1], right[1], note_end, &ended));
    say(left[0], "request", 7);
    shutdown(left[0], SHUT_WR);
    ev_run(loop, EVRUN_ONCE);
    ev_run(loop, EVRUN_ONCE);
    hear(right[0], "request", 7);
    hear_end(right[0]);
    assert_false(ended);
    say(right[0], "reply", 5);
    close(right[0]);
    while (!ended)
        ev_run(loop, EVRUN_ONCE);
    hear(left[0], "reply", 5);
    hear_end(left[0]);
    close(left[0]);
    udptun_engine_free(engine);
    ev_loop_destroy(loop);
}

/* A relay between two TCP connections, whose far ends are `app` and `upstream`. */
struct joined {
    struct ev_loop *loop;
    udptun_engine *engine;
    struct relay *relay;
    int app, upstream;
    bool ended;
};

static void tcp_pair(int *near, int *far)
{
    struct sockaddr_in sa = on_loopback(INADDR_LOOPBACK, 0);
    socklen_t size = sizeof sa;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)(void *)&sa, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)(void *)&sa, &size), 0);
    *far = tcp_to(ntohs(sa.sin_port));
    *near = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(*near >= 0);
    close(listener);
}

static void join(struct joined *j)
{
    struct udptun_engine_config config;
    int left, right;
    j->loop = ev_loop_new(0);
    j->ended = false;
    udptun_engine_config_init(&config);
    config.loop = j->loop;
    j->engine = udptun_engine_new(&config, NULL);
    tcp_pair(&left, &j->app);
    tcp_pair(&right, &j->upstream);
    j->relay = relay_start(j->engine, left, right, note_end, &j->ended);
    assert_non_null(j->relay);
}

static void run_until_ended(struct joined *j)
{
    while (!j->ended)
        ev_run(j->loop, EVRUN_ONCE);
}

/* Whatever was in the stream, it ends with a reset. */
static void hear_reset(int fd)
{
    uint8_t some[256];
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    ssize_t got;
    do {
        assert_int_equal(poll(&ready, 1, DEADLINE_MS), 1);
        got = recv(fd, some, sizeof some, 0);
    } while (got > 0);
    assert_int_equal(got, -1);
    assert_int_equal(errno, ECONNRESET);
}

static void reset(int fd)
{
    struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close(fd);
}

static void unjoin(struct joined *j)
{
    udptun_engine_free(j->engine);
    ev_loop_destroy(j->loop);
}

/* A transfer that was cut short must not look complete. */
static void a_reset_goes_over_as_a_reset(void **state)
{
    (void)state;
    struct joined j;
    join(&j);
    say(j.upstream, "half a", 6);
    ev_run(j.loop, EVRUN_ONCE);
    reset(j.upstream);
    run_until_ended(&j);
    hear_reset(j.app);
    close(j.app);
    unjoin(&j);

    join(&j); /* and upwards */
    say(j.app, "half an upload", 14);
    ev_run(j.loop, EVRUN_ONCE);
    reset(j.app);
    run_until_ended(&j);
    hear_reset(j.upstream);
    close(j.upstream);
    unjoin(&j);

    join(&j); /* the app had asked all that it wanted */
    shutdown(j.app, SHUT_WR);
    ev_run(j.loop, EVRUN_ONCE);
    reset(j.upstream);
    run_until_ended(&j);
    hear_reset(j.app);
    close(j.app);
    unjoin(&j);
}

/* As when the tunnel is removed in the middle of a download. */
static void a_relay_that_is_stopped_resets_both(void **state)
{
    (void)state;
    struct joined j;
    join(&j);
    say(j.upstream, "half a", 6);
    ev_run(j.loop, EVRUN_ONCE);
    relay_stop(j.relay);
    hear_reset(j.app);
    hear_reset(j.upstream);
    close(j.app);
    close(j.upstream);
    unjoin(&j);
}

/* The app has all of the download, though upstream wants no more of what the app sends. */
static void what_came_to_its_end_is_not_reset(void **state)
{
    (void)state;
    struct joined j;
    join(&j);
    say(j.upstream, "all", 3);
    close(j.upstream);
    ev_run(j.loop, EVRUN_ONCE);
    ev_run(j.loop, EVRUN_ONCE);
    hear(j.app, "all", 3);
    while (!j.ended) {
        send(j.app, "more", 4, MSG_NOSIGNAL);
        ev_run(j.loop, EVRUN_ONCE);
    }
    uint8_t byte;
    assert_int_equal(recv(j.app, &byte, 1, 0), 0);
    close(j.app);
    unjoin(&j);
}

static void an_association_that_nobody_uses_ends(void **state)
{
    (void)state;
    struct rig r;
    uint8_t data[128];
    rig_start(&r, "socks5://127.0.0.1:0", NULL);
    r.local.flow_timeout_s = 1;
    configure(&r.w, &r.local);
    int unused = tcp_to(r.local_seen.port), used = tcp_to(r.local_seen.port);
    greet(used);
    int client = udp_client(associate(used));
    size_t size = wrap(&r, 0, "here", data);
    exchange(client, data, size);
    greet(unused);
    associate(unused);
    hear_end(unused);
    while (status_of(&r.w, "local").flows > 0)
        nap();
    exchange(client, data, size); /* its flow ended, the association did not */
    close(unused);
    close(used);
    close(client);
    world_stop(&r.w);
}

static void the_idlest_association_makes_room(void **state)
{
    (void)state;
    struct rig r;
    uint8_t data[128];
    int controls[3], clients[3];
    rig_start(&r, "socks5://127.0.0.1:0", NULL);
    r.local.flow_timeout_s = 1;
    r.local.max_flows = 2;
    configure(&r.w, &r.local);
    size_t size = wrap(&r, 0, "here", data);
    for (unsigned i = 0; i < 3; i++) {
        if (i == 2)
            sleep(2); /* both have been idle for the flow timeout, the first for longer */
        controls[i] = tcp_to(r.local_seen.port);
        greet(controls[i]);
        clients[i] = udp_client(associate(controls[i]));
        exchange(clients[i], data, size);
        if (i == 1)
            exchange(clients[i], data, size);
    }
    hear_end(controls[0]);
    exchange(clients[1], data, size);
    assert_non_null(strstr(status_of(&r.w, "local").last_error, "maxFlows"));
    int refused = tcp_to(r.local_seen.port); /* the others are in use */
    hear_end(refused);
    close(refused);
    for (unsigned i = 0; i < 3; i++) {
        close(controls[i]);
        close(clients[i]);
    }
    world_stop(&r.w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_of_the_associating_client_pass),
        cmocka_unit_test(an_association_that_nobody_uses_ends),
        cmocka_unit_test(the_idlest_association_makes_room),
        cmocka_unit_test(others_and_fragments_are_refused_and_counted),
        cmocka_unit_test(every_port_of_the_client_is_served),
        cmocka_unit_test(a_name_travels_as_a_name),
        cmocka_unit_test(a_password_is_asked_for),
        cmocka_unit_test(what_is_not_served_is_refused_with_its_code),
        cmocka_unit_test_teardown(connect_is_relayed_through_the_proxy, end_proxy),
        cmocka_unit_test(each_direction_of_a_relay_ends_on_its_own),
        cmocka_unit_test(a_reset_goes_over_as_a_reset),
        cmocka_unit_test(a_relay_that_is_stopped_resets_both),
        cmocka_unit_test(what_came_to_its_end_is_not_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

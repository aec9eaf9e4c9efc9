/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_stream.c - a session over streams of the app's own: two engines on one loop, joined
 * by memory that this test moves, so that it can also cut, stall and refuse.
 */
#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/unit/engine_fixture.h"

enum { MAX_PIPES = 64, PIPE_SIZE = 4096 };

struct net;

/* One stream: two directions of PIPE_SIZE, so that writers meet their end. */
struct pipe {
    struct net *net;
    udptun_stream *ends[2]; /* local, server; NULL: closed */
    struct {
        char data[PIPE_SIZE];
        size_t size;
        bool blocked;
    } to[2];
};

struct end {
    struct pipe *pipe;
    int index;
};

struct net {
    struct ev_loop *loop;
    struct echo echo;
    udptun_engine *local, *server;
    struct pipe pipes[MAX_PIPES];
    struct end ends[MAX_PIPES][2];
    size_t count;
    bool refuse;
    unsigned refused, closed, replies;
    char reply[64];
    ev_timer watchdog;
};

static int on_open(void *arg, const char *name, udptun_stream *stream, void **stream_arg)
{
    (void)name;
    struct net *n = (struct net *)arg;
    if (n->refuse) {
        n->refused++;
        return UDPTUN_E_UNREACHABLE;
    }
    assert_true(n->count < MAX_PIPES);
    struct pipe *pipe = &n->pipes[n->count];
    pipe->net = n;
    for (int i = 0; i < 2; i++)
        n->ends[n->count][i] = (struct end){pipe, i};
    struct udptun_error err = {0};
    pipe->ends[0] = stream;
    pipe->ends[1] =
        udptun_stream_accept(n->server, "server", &n->ends[n->count][1], "a pipe", &err);
    if (!pipe->ends[1])
        fail_msg("%s", err.message);
    *stream_arg = &n->ends[n->count++][0];
    udptun_stream_opened(stream);
    return 0;
}

static long on_write(void *arg, void *stream_arg, const void *data, size_t size)
{
    (void)arg;
    struct end *end = (struct end *)stream_arg;
    struct pipe *pipe = end->pipe;
    int other = 1 - end->index;
    size_t room = PIPE_SIZE - pipe->to[other].size;
    size_t taken = size < room ? size : room;
    memcpy(pipe->to[other].data + pipe->to[other].size, data, taken);
    pipe->to[other].size += taken;
    pipe->to[other].blocked = taken < size;
    return (long)taken;
}

static void on_close(void *arg, void *stream_arg)
{
    (void)arg;
    struct end *end = (struct end *)stream_arg;
    end->pipe->ends[end->index] = NULL;
    end->pipe->net->closed++;
}

static void on_datagram(void *arg, const char *name, const struct udptun_address *source,
                        const struct udptun_address *peer, const void *data, size_t size)
{
    (void)name;
    struct net *n = (struct net *)arg;
    assert_int_equal(source->port, 7);
    assert_int_equal(peer->port, n->echo.port);
    n->replies++;
    snprintf(n->reply, sizeof n->reply, "%.*s", (int)(size < 60 ? size : 60), (const char *)data);
}

static void on_watchdog(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)timer;
    (void)events;
    fail_msg("the loop hangs");
}

/* Deliver what lies in the pipes, then tell those that waited for room. */
static void move_bytes(struct net *n)
{
    for (size_t i = 0; i < n->count; i++)
        for (int to = 0; to < 2; to++) {
            struct pipe *pipe = &n->pipes[i];
            char data[PIPE_SIZE];
            size_t size = pipe->to[to].size;
            bool blocked = pipe->to[to].blocked;
            memcpy(data, pipe->to[to].data, size);
            pipe->to[to].size = 0;
            pipe->to[to].blocked = false;
            if (size > 0 && pipe->ends[to])
                udptun_stream_input(pipe->ends[to], data, size);
            if (blocked && pipe->ends[1 - to])
                udptun_stream_writable(pipe->ends[1 - to]);
            if (!pipe->ends[to] && pipe->ends[1 - to])
                udptun_stream_closed(pipe->ends[1 - to], "the other end closed");
        }
}

static void turn(struct net *n)
{
    ev_run(n->loop, EVRUN_NOWAIT);
    move_bytes(n);
}

static udptun_engine *engine_on(struct ev_loop *loop)
{
    struct udptun_engine_config config;
    udptun_engine_config_init(&config);
    config.loop = loop;
    udptun_engine *engine = udptun_engine_new(&config, NULL);
    assert_non_null(engine);
    return engine;
}

static void net_start(struct net *n)
{
    memset(n, 0, sizeof *n);
    echo_start(&n->echo);
    n->loop = ev_loop_new(0);
    n->local = engine_on(n->loop);
    n->server = engine_on(n->loop);
    struct udptun_callbacks callbacks = {
        .size = sizeof callbacks,
        .arg = n,
        .datagram = on_datagram,
        .stream_open = on_open,
        .stream_write = on_write,
        .stream_close = on_close,
    };
    struct udptun_tunnel_config config;
    udptun_tunnel_config_init(&config, UDPTUN_SERVER);
    config.name = "server";
    config.target = n->echo.place;
    config.callbacks = callbacks;
    assert_int_equal(udptun_configure(n->server, &config, NULL, NULL), UDPTUN_OK);
    udptun_tunnel_config_init(&config, UDPTUN_LOCAL);
    config.name = "local";
    config.server = "app:";
    config.connections = 1;
    config.callbacks = callbacks;
    assert_int_equal(udptun_configure(n->local, &config, NULL, NULL), UDPTUN_OK);
    ev_timer_init(&n->watchdog, on_watchdog, DEADLINE_MS / 1000, 0.);
    ev_timer_start(n->loop, &n->watchdog);
}

static void net_stop(struct net *n)
{
    udptun_engine_free(n->local);
    udptun_engine_free(n->server);
    ev_timer_stop(n->loop, &n->watchdog);
    ev_loop_destroy(n->loop);
    echo_stop(&n->echo);
    for (size_t i = 0; i < n->count; i++)
        for (int end = 0; end < 2; end++)
            assert_null(n->pipes[i].ends[end]);
    assert_int_equal(n->closed, 2 * n->count);
}

static int send_text(struct net *n, const void *data, size_t size)
{
    const struct udptun_address source = {.family = 4, .port = 7, .ip = {10, 0, 0, 1}};
    const struct udptun_address peer = {.family = 4, .port = n->echo.port, .ip = {127, 0, 0, 1}};
    return udptun_send(n->local, "local", &source, &peer, data, size);
}

static void await_state(struct net *n, enum udptun_state state)
{
    struct udptun_tunnel_status status;
    do {
        turn(n);
        assert_int_equal(udptun_status(n->local, "local", &status), UDPTUN_OK);
    } while (status.state != state);
}

/* Send it again until it comes back, as UDP clients do. */
static void await_echo(struct net *n, const char *text)
{
    n->reply[0] = '\0';
    for (unsigned i = 0; strcmp(n->reply, text) != 0; i++) {
        if (i % 1000 == 0)
            assert_int_equal(send_text(n, text, strlen(text)), UDPTUN_OK);
        turn(n);
    }
}

static void a_session_runs_without_a_socket(void **state)
{
    (void)state;
    struct net n;
    net_start(&n);
    await_state(&n, UDPTUN_ESTABLISHED);
    await_echo(&n, "over memory");
    net_stop(&n);
}

static void datagrams_larger_than_the_stream_takes_at_once_pass(void **state)
{
    (void)state;
    static char large[60000];
    struct net n;
    net_start(&n);
    await_state(&n, UDPTUN_ESTABLISHED);
    memset(large, 'x', sizeof large);
    assert_int_equal(send_text(&n, large, sizeof large), UDPTUN_OK);
    while (n.replies == 0)
        turn(&n);
    net_stop(&n);
}

static void cut_streams_are_opened_again(void **state)
{
    (void)state;
    struct net n;
    net_start(&n);
    await_state(&n, UDPTUN_ESTABLISHED);
    await_echo(&n, "before");
    for (size_t i = 0; i < n.count; i++)
        for (int end = 0; end < 2; end++)
            if (n.pipes[i].ends[end])
                udptun_stream_closed(n.pipes[i].ends[end], "cut");
    await_state(&n, UDPTUN_RECONNECTING);
    await_state(&n, UDPTUN_ESTABLISHED);
    await_echo(&n, "after");
    net_stop(&n);
}

static void a_refused_stream_is_asked_for_again(void **state)
{
    (void)state;
    struct net n;
    net_start(&n);
    n.refuse = true;
    while (n.refused < 2)
        turn(&n);
    struct udptun_tunnel_status status;
    assert_int_equal(udptun_status(n.local, "local", &status), UDPTUN_OK);
    assert_string_not_equal(status.last_error, "");
    n.refuse = false;
    await_state(&n, UDPTUN_ESTABLISHED);
    net_stop(&n);
}

static void garbage_ends_the_stream_and_nothing_else(void **state)
{
    (void)state;
    struct net n;
    net_start(&n);
    await_state(&n, UDPTUN_ESTABLISHED);
    size_t before = n.count;
    struct pipe *pipe = &n.pipes[n.count];
    pipe->net = &n;
    n.ends[n.count][1] = (struct end){pipe, 1};
    n.ends[n.count][0] = (struct end){pipe, 0};
    pipe->ends[1] = udptun_stream_accept(n.server, "server", &n.ends[n.count][1], "x", NULL);
    assert_non_null(pipe->ends[1]);
    n.count++;
    n.closed++; /* the local end, which there is none of */
    udptun_stream_input(pipe->ends[1], "GET / HTTP/1.1\r\nHost: example\r\n\r\n", 33);
    while (pipe->ends[1])
        turn(&n);
    await_echo(&n, "undisturbed");
    assert_int_equal(n.count, before + 1);
    net_stop(&n);
}

static void a_stream_that_no_server_takes_is_told_why(void **state)
{
    (void)state;
    struct net n;
    struct udptun_error err;
    net_start(&n);
    assert_null(udptun_stream_accept(n.server, "none", NULL, "x", &err));
    assert_int_equal(err.code, UDPTUN_E_NOT_FOUND);
    assert_null(udptun_stream_accept(n.local, "local", NULL, "x", &err));
    assert_int_equal(err.code, UDPTUN_E_INVALID);
    assert_null(udptun_stream_accept(n.local, "local", NULL, "x", NULL));
    await_state(&n, UDPTUN_ESTABLISHED);
    net_stop(&n);
}

static void of_too_many_strangers_the_oldest_gives_way(void **state)
{
    (void)state;
    enum { MOST = 128 }; /* handshakes under way, as proto/udpt/session/machine.c has it */
    struct net n;
    struct pipe pipe = {.net = &n};
    struct end end = {&pipe, 1};
    net_start(&n);
    await_state(&n, UDPTUN_ESTABLISHED);
    await_echo(&n, "let in"); /* the session's own handshake is over */
    for (unsigned i = 0; i < MOST; i++)
        assert_non_null(udptun_stream_accept(n.server, "server", &end, "x", NULL));
    turn(&n);
    assert_int_equal(n.closed, 0);
    assert_non_null(udptun_stream_accept(n.server, "server", &end, "x", NULL));
    while (n.closed == 0)
        turn(&n);
    await_echo(&n, "undisturbed");
    assert_int_equal(n.closed, 1);
    n.closed -= MOST + 1; /* of these net_stop() knows nothing */
    net_stop(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_session_runs_without_a_socket),
        cmocka_unit_test(datagrams_larger_than_the_stream_takes_at_once_pass),
        cmocka_unit_test(cut_streams_are_opened_again),
        cmocka_unit_test(a_refused_stream_is_asked_for_again),
        cmocka_unit_test(garbage_ends_the_stream_and_nothing_else),
        cmocka_unit_test(a_stream_that_no_server_takes_is_told_why),
        cmocka_unit_test(of_too_many_strangers_the_oldest_gives_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * test_engine_table.c - an engine on a loop of the app's: the table of <udptun/loop.h> over poll().
 *
 * The whole of it is on one thread: a udp-local and a udp-server in two engines, a client and an
 * echo, so whatever does not come shows as a wait without end.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <udptun/engine.h>

#include "tests/unit/engine_fixture.h"

enum { MOST_WATCHES = 64 };

struct poll_watch {
    int socket; /* -1: free */
    unsigned events;
    void *token;
};

struct poll_loop {
    udptun_engine *engine;
    struct poll_watch watches[MOST_WATCHES];
    uint64_t due_us; /* UINT64_MAX: no timer */
    unsigned refuse; /* watches that fail, counted down */
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void *on_watch(void *arg, udptun_socket socket, unsigned events, void *token)
{
    struct poll_loop *l = (struct poll_loop *)arg;
    if (l->refuse > 0 && l->refuse-- == 1)
        return NULL;
    for (size_t i = 0; i < MOST_WATCHES; i++) {
        assert_int_not_equal(l->watches[i].socket, socket); /* once at a time */
        if (l->watches[i].socket >= 0)
            continue;
        l->watches[i] = (struct poll_watch){socket, events, token};
        return &l->watches[i];
    }
    return NULL;
}

static void on_change(void *arg, void *watch, unsigned events)
{
    (void)arg;
    ((struct poll_watch *)watch)->events = events;
}

static void on_unwatch(void *arg, void *watch)
{
    (void)arg;
    ((struct poll_watch *)watch)->socket = -1;
}

static void on_timer(void *arg, uint64_t after_us)
{
    struct poll_loop *l = (struct poll_loop *)arg;
    l->due_us = after_us == UDPTUN_LOOP_NEVER ? UINT64_MAX : now_us() + after_us;
}

static void loop_start(struct poll_loop *l)
{
    const struct udptun_loop table = {.size = sizeof table,
                                      .arg = l,
                                      .watch = on_watch,
                                      .change = on_change,
                                      .unwatch = on_unwatch,
                                      .timer = on_timer};
    struct udptun_engine_config config;
    struct udptun_error err = {0};
    for (size_t i = 0; i < MOST_WATCHES; i++)
        l->watches[i].socket = -1;
    l->due_us = UINT64_MAX;
    udptun_engine_config_init(&config);
    config.loop_table = &table;
    l->engine = udptun_engine_new(&config, &err);
    if (!l->engine)
        fail_msg("%s", err.message);
}

/* One pass over both loops and `fd`. Returns whether `fd` can be read. */
static bool pass(struct poll_loop *loops[2], int fd, int wait_ms)
{
    struct pollfd polled[2 * MOST_WATCHES + 1] = {{.fd = fd, .events = POLLIN}};
    struct poll_loop *owners[2 * MOST_WATCHES + 1];
    void *tokens[2 * MOST_WATCHES + 1];
    nfds_t count = 1;
    for (int i = 0; i < 2; i++) {
        uint64_t now = now_us(), due = loops[i]->due_us;
        if (due != UINT64_MAX) {
            int left_ms = due > now ? (int)((due - now + 999) / 1000) : 0;
            wait_ms = left_ms < wait_ms ? left_ms : wait_ms;
        }
        for (size_t j = 0; j < MOST_WATCHES; j++) {
            const struct poll_watch *w = &loops[i]->watches[j];
            if (w->socket < 0 || w->events == 0)
                continue;
            owners[count] = loops[i];
            tokens[count] = w->token;
            polled[count++] =
                (struct pollfd){.fd = w->socket,
                                .events = (short)((w->events & UDPTUN_LOOP_READ ? POLLIN : 0) |
                                                  (w->events & UDPTUN_LOOP_WRITE ? POLLOUT : 0))};
        }
    }
    assert_true(poll(polled, count, wait_ms) >= 0);
    for (nfds_t k = 1; k < count; k++) {
        bool broken = polled[k].revents & (POLLERR | POLLHUP);
        unsigned events = (broken || polled[k].revents & POLLIN ? UDPTUN_LOOP_READ : 0) |
                          (broken || polled[k].revents & POLLOUT ? UDPTUN_LOOP_WRITE : 0);
        if (polled[k].revents)
            udptun_engine_ready(owners[k]->engine, tokens[k], events);
    }
    for (int i = 0; i < 2; i++) {
        if (loops[i]->due_us <= now_us()) {
            loops[i]->due_us = UINT64_MAX;
            udptun_engine_due(loops[i]->engine);
        }
        udptun_engine_turn(loops[i]->engine);
    }
    return polled[0].revents & POLLIN;
}

struct bound {
    char place[32];
};

static void on_ready(void *arg, const char *name, const struct udptun_bound *bound, size_t count)
{
    struct bound *b = (struct bound *)arg;
    (void)name;
    if (count)
        snprintf(b->place, sizeof b->place, "127.0.0.1:%u", bound->address->port);
}

static void configure_both(struct poll_loop *server, struct poll_loop *local, const char *target,
                           struct bound *listens)
{
    struct udptun_tunnel_config config;
    struct udptun_error err = {0};
    struct bound accepts = {""};
    udptun_tunnel_config_init(&config, UDPTUN_SERVER);
    config.name = "server";
    config.listen = "127.0.0.1:0";
    config.target = target;
    config.callbacks.ready = on_ready;
    config.callbacks.arg = &accepts;
    if (udptun_configure(server->engine, &config, NULL, &err))
        fail_msg("%s", err.message);
    udptun_tunnel_config_init(&config, UDPTUN_LOCAL);
    config.name = "local";
    config.listen = "udp://127.0.0.1:0";
    config.target = target;
    config.server = accepts.place;
    config.callbacks.ready = on_ready;
    config.callbacks.arg = listens;
    if (udptun_configure(local->engine, &config, NULL, &err))
        fail_msg("%s", err.message);
}

static void datagrams_go_there_and_back_on_a_loop_of_the_app(void **state)
{
    (void)state;
    static struct poll_loop server, local;
    struct poll_loop *loops[2] = {&server, &local};
    struct bound listens = {""};
    struct echo echo;
    char got[16];
    echo_start(&echo);
    loop_start(&server);
    loop_start(&local);
    configure_both(&server, &local, echo.place, &listens);
    int client = udp_client((uint16_t)atoi(strchr(listens.place, ':') + 1));
    uint64_t until_us = now_us() + (uint64_t)DEADLINE_MS * 1000;
    unsigned answers = 0;
    for (unsigned i = 0; answers < 20; i++) {
        if (now_us() > until_us)
            fail_msg("%u answers", answers);
        if (i % 8 == 0)
            assert_int_equal(send(client, "question", 8, 0), 8);
        while (pass(loops, client, 50) && recv(client, got, sizeof got, MSG_DONTWAIT) == 8)
            answers++;
    }
    close(client);
    udptun_engine_free(local.engine);
    udptun_engine_free(server.engine);
    for (size_t i = 0; i < MOST_WATCHES; i++) { /* nothing is left behind */
        assert_int_equal(local.watches[i].socket, -1);
        assert_int_equal(server.watches[i].socket, -1);
    }
    assert_true(local.due_us == UINT64_MAX && server.due_us == UINT64_MAX);
    echo_stop(&echo);
}

/* A call from outside of a pass is followed by one, though nothing is ready. */
static void call_from_outside_of_a_pass_asks_for_one(void **state)
{
    (void)state;
    static struct poll_loop server, local;
    struct poll_loop *loops[2] = {&server, &local};
    struct bound listens = {""};
    loop_start(&server);
    loop_start(&local);
    configure_both(&server, &local, "127.0.0.1:9", &listens);
    do /* until it rests */
        pass(loops, -1, 1);
    while (local.due_us <= now_us() + 10000);
    assert_int_equal(udptun_remove(local.engine, "local", NULL), UDPTUN_OK);
    assert_true(local.due_us <= now_us());
    udptun_engine_free(local.engine);
    udptun_engine_free(server.engine);
}

/* The loop fails each of the first watches in turn: an error, or an object that starts later. */
static void loop_that_cannot_watch_is_survived(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 6; nth++) {
        static struct poll_loop server, local;
        struct poll_loop *loops[2] = {&server, &local};
        struct udptun_tunnel_config config;
        struct udptun_error err = {0};
        loop_start(&server);
        loop_start(&local);
        server.refuse = nth;
        udptun_tunnel_config_init(&config, UDPTUN_SERVER);
        config.name = "server";
        config.listen = "127.0.0.1:0";
        config.target = "127.0.0.1:9";
        int code = udptun_configure(server.engine, &config, NULL, &err);
        if (nth == 1)
            assert_int_equal(code, UDPTUN_E_NOMEM);
        else
            assert_int_equal(code, UDPTUN_OK);
        for (int i = 0; i < 5; i++)
            pass(loops, -1, 1);
        udptun_engine_free(local.engine);
        udptun_engine_free(server.engine);
    }
}

static void table_that_is_not_complete_is_refused(void **state)
{
    (void)state;
    struct udptun_loop table = {.size = sizeof table};
    struct udptun_engine_config config;
    struct udptun_error err = {0};
    udptun_engine_config_init(&config);
    config.loop_table = &table;
    assert_null(udptun_engine_new(&config, &err));
    assert_int_equal(err.code, UDPTUN_E_INVALID);
    table.size = 8;
    table.watch = on_watch;
    table.change = on_change;
    table.unwatch = on_unwatch;
    table.timer = on_timer;
    assert_null(udptun_engine_new(&config, &err));
    assert_int_equal(err.code, UDPTUN_E_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(datagrams_go_there_and_back_on_a_loop_of_the_app),
        cmocka_unit_test(call_from_outside_of_a_pass_asks_for_one),
        cmocka_unit_test(loop_that_cannot_watch_is_survived),
        cmocka_unit_test(table_that_is_not_complete_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop-uv.c - the engine on a libuv loop of the program's own.
 *
 *     cc loop-uv.c $(pkg-config --cflags --libs udptun libuv) -o loop-uv
 *     ./loop-uv 127.0.0.1:13456 192.0.2.53:53          SERVER TARGET
 *
 * A udp-local on a free port, which is printed. Runs until it is killed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

#include <udptun/engine.h>

static udptun_engine *engine; /* a program's own; the library has no such thing */

static uv_timer_t due;
static uv_prepare_t before_wait;

static void on_poll(uv_poll_t *poll, int status, int events)
{
    bool failed = status < 0;
    udptun_engine_ready(engine, poll->data,
                        (events & UV_READABLE || failed ? UDPTUN_LOOP_READ : 0) |
                            (events & UV_WRITABLE || failed ? UDPTUN_LOOP_WRITE : 0));
}

static void on_due(uv_timer_t *timer)
{
    (void)timer;
    udptun_engine_due(engine);
}

/* The end of a pass: what came of it is sent before the loop waits. */
static void on_before_wait(uv_prepare_t *prepare)
{
    (void)prepare;
    udptun_engine_turn(engine);
}

static void change(void *arg, void *watch, unsigned events)
{
    (void)arg;
    uv_poll_t *poll = (uv_poll_t *)watch;
    if (!events)
        uv_poll_stop(poll);
    else
        uv_poll_start(poll,
                      (events & UDPTUN_LOOP_READ ? UV_READABLE : 0) |
                          (events & UDPTUN_LOOP_WRITE ? UV_WRITABLE : 0),
                      on_poll);
}

static void on_closed(uv_handle_t *handle)
{
    free(handle);
}

static void *watch(void *arg, udptun_socket socket, unsigned events, void *token)
{
    uv_poll_t *poll = (uv_poll_t *)malloc(sizeof *poll);
    if (poll && uv_poll_init_socket((uv_loop_t *)arg, poll, socket) < 0) {
        free(poll);
        poll = NULL;
    }
    if (!poll)
        return NULL;
    poll->data = token;
    change(arg, poll, events);
    return poll;
}

static void unwatch(void *arg, void *watch)
{
    (void)arg;
    uv_close((uv_handle_t *)watch, on_closed);
}

static void set_timer(void *arg, uint64_t after_us)
{
    (void)arg;
    if (after_us == UDPTUN_LOOP_NEVER) {
        uv_timer_stop(&due);
        return;
    }
    uv_update_time(due.loop);
    uv_timer_start(&due, on_due, (after_us + 999) / 1000, 0);
}

static void on_ready(void *arg, const char *name, const struct udptun_bound *bounds, size_t count)
{
    (void)arg;
    (void)name;
    if (count > 0)
        printf("%u\n", bounds[0].address->port);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    uv_loop_t *loop = uv_default_loop();
    const struct udptun_loop table = {sizeof table, loop, watch, change, unwatch, set_timer, NULL};
    struct udptun_error err = {0};
    struct udptun_engine_config config;
    struct udptun_tunnel_config tunnel;
    if (argc != 3)
        return 2;
    uv_timer_init(loop, &due);
    uv_prepare_init(loop, &before_wait);
    udptun_engine_config_init(&config);
    config.loop_table = &table;
    engine = udptun_engine_new(&config, &err);
    udptun_tunnel_config_init(&tunnel, UDPTUN_LOCAL);
    tunnel.name = "local";
    tunnel.listen = "udp://127.0.0.1:0";
    tunnel.server = argv[1];
    tunnel.target = argv[2];
    tunnel.callbacks.ready = on_ready;
    if (engine && udptun_configure(engine, &tunnel, NULL, &err) == UDPTUN_OK) {
        uv_prepare_start(&before_wait, on_before_wait);
        uv_run(loop, UV_RUN_DEFAULT);
    }
    fprintf(stderr, "%s\n", err.message);
    return 1;
}

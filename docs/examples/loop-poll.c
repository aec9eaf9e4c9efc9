/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop-poll.c - the engine on a bare poll() loop of the program's own: any POSIX system, few
 * sockets.
 *
 *     cc loop-poll.c $(pkg-config --cflags --libs udptun) -o loop-poll
 *     ./loop-poll 127.0.0.1:13456 192.0.2.53:53          SERVER TARGET
 *
 * A udp-local on a free port, which is printed. Runs until it is killed.
 */
#include <poll.h>
#include <stdio.h>
#include <time.h>

#include <udptun/engine.h>

enum { MOST = 256 };

/* A watch is a place in both arrays; one without a descriptor (-1) is free. */
struct loop {
    struct pollfd polled[MOST];
    void *tokens[MOST];
    uint64_t due_us; /* UDPTUN_LOOP_NEVER: no timer */
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

static void change(void *arg, void *watch, unsigned events)
{
    struct pollfd *at = (struct pollfd *)watch;
    int socket = at->fd < 0 ? -at->fd - 1 : at->fd;
    (void)arg;
    /* poll() tells errors and the end of a socket always: one that is watched for nothing is
     * hidden. */
    at->fd = events ? socket : -socket - 1;
    at->events = (short)((events & UDPTUN_LOOP_READ ? POLLIN : 0) |
                         (events & UDPTUN_LOOP_WRITE ? POLLOUT : 0));
    at->revents = 0;
}

static void *watch(void *arg, udptun_socket socket, unsigned events, void *token)
{
    struct loop *loop = (struct loop *)arg;
    for (int i = 0; i < MOST; i++) {
        if (loop->tokens[i])
            continue;
        loop->tokens[i] = token;
        loop->polled[i].fd = socket;
        change(arg, &loop->polled[i], events);
        return &loop->polled[i];
    }
    return NULL;
}

static void unwatch(void *arg, void *watch)
{
    struct loop *loop = (struct loop *)arg;
    struct pollfd *at = (struct pollfd *)watch;
    *at = (struct pollfd){.fd = -1};
    loop->tokens[at - loop->polled] = NULL;
}

static void timer(void *arg, uint64_t after_us)
{
    ((struct loop *)arg)->due_us =
        after_us == UDPTUN_LOOP_NEVER ? UDPTUN_LOOP_NEVER : now_us() + after_us;
}

static void run(struct loop *loop, udptun_engine *engine)
{
    for (;;) {
        uint64_t now = now_us(), left_us = loop->due_us > now ? loop->due_us - now : 0;
        int most_ms = loop->due_us == UDPTUN_LOOP_NEVER ? -1 : (int)((left_us + 999) / 1000);
        int count = poll(loop->polled, MOST, most_ms);
        for (int i = 0; i < MOST && count > 0; i++) {
            short was = loop->polled[i].revents;
            bool both = was & (POLLERR | POLLHUP);
            loop->polled[i].revents = 0;
            if (was)
                udptun_engine_ready(engine, loop->tokens[i],
                                    (was & POLLIN || both ? UDPTUN_LOOP_READ : 0) |
                                        (was & POLLOUT || both ? UDPTUN_LOOP_WRITE : 0));
        }
        if (loop->due_us <= now_us()) {
            loop->due_us = UDPTUN_LOOP_NEVER;
            udptun_engine_due(engine);
        }
        udptun_engine_turn(engine);
    }
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
    static struct loop loop = {.due_us = UDPTUN_LOOP_NEVER};
    const struct udptun_loop table = {sizeof table, &loop, watch, change, unwatch, timer, NULL};
    struct udptun_error err = {0};
    struct udptun_engine_config config;
    struct udptun_tunnel_config tunnel;
    if (argc != 3)
        return 2;
    for (int i = 0; i < MOST; i++)
        loop.polled[i].fd = -1;
    udptun_engine_config_init(&config);
    config.loop_table = &table;
    udptun_engine *engine = udptun_engine_new(&config, &err);
    udptun_tunnel_config_init(&tunnel, UDPTUN_LOCAL);
    tunnel.name = "local";
    tunnel.listen = "udp://127.0.0.1:0";
    tunnel.server = argv[1];
    tunnel.target = argv[2];
    tunnel.callbacks.ready = on_ready;
    if (engine && udptun_configure(engine, &tunnel, NULL, &err) == UDPTUN_OK)
        run(&loop, engine);
    fprintf(stderr, "%s\n", err.message);
    return 1;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop-epoll.c - the engine on an epoll loop of the program's own: no thread, no other library.
 *
 *     cc loop-epoll.c $(pkg-config --cflags --libs udptun) -o loop-epoll
 *     ./loop-epoll SERVER TARGET      a udp-local on a free port, which is printed; until it is
 * killed
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <time.h>

#include <udptun/engine.h>

struct watch {
    int fd;
    unsigned events;
    void *token;
};

struct loop {
    int epoll;
    uint64_t due_us;
};

static uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

/* The token is what an event brings back, not the watch: that may be gone by then. */
static void change(void *arg, void *watch, unsigned events)
{
    struct watch *w = (struct watch *)watch;
    struct epoll_event event = {.data.ptr = w->token};
    event.events =
        (events & UDPTUN_LOOP_READ ? EPOLLIN : 0u) | (events & UDPTUN_LOOP_WRITE ? EPOLLOUT : 0u);
    int what = !events ? EPOLL_CTL_DEL : w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (events || w->events)
        epoll_ctl(((struct loop *)arg)->epoll, what, w->fd, &event);
    w->events = events;
}

static void *watch(void *arg, udptun_socket socket, unsigned events, void *token)
{
    struct watch *w = (struct watch *)malloc(sizeof *w);
    if (!w)
        return NULL;
    *w = (struct watch){.fd = socket, .token = token};
    change(arg, w, events);
    return w;
}

static void unwatch(void *arg, void *w)
{
    change(arg, w, 0);
    free(w);
}

static void timer(void *arg, uint64_t after_us)
{
    ((struct loop *)arg)->due_us =
        after_us == UDPTUN_LOOP_NEVER ? UDPTUN_LOOP_NEVER : now_us() + after_us;
}

static void run(struct loop *loop, udptun_engine *engine)
{
    for (;;) {
        struct epoll_event events[64];
        uint64_t now = now_us(), left_us = loop->due_us > now ? loop->due_us - now : 0;
        int most_ms = loop->due_us == UDPTUN_LOOP_NEVER ? -1 : (int)((left_us + 999) / 1000);
        int count = epoll_wait(loop->epoll, events, 64, most_ms);
        for (int i = 0; i < count; i++) {
            unsigned was = events[i].events, both = was & (EPOLLERR | EPOLLHUP);
            udptun_engine_ready(engine, events[i].data.ptr,
                                (was & EPOLLIN || both ? UDPTUN_LOOP_READ : 0) |
                                    (was & EPOLLOUT || both ? UDPTUN_LOOP_WRITE : 0));
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
    (void)arg, (void)name, (void)count;
    printf("%u\n", bounds[0].address->port);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct loop loop = {.epoll = epoll_create1(EPOLL_CLOEXEC), .due_us = UDPTUN_LOOP_NEVER};
    const struct udptun_loop table = {sizeof table, &loop, watch, change, unwatch, timer, NULL};
    struct udptun_error err = {0};
    struct udptun_engine_config config;
    struct udptun_tunnel_config tunnel;
    if (argc != 3)
        return 2;
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

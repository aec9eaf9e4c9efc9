/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client_uv.h - a client of <udptun/client.h> in a libuv loop.
 *
 *     struct udptun_client_uv in_loop;
 *     udptun_client_uv_start(&in_loop, loop, client);
 *     udptun_client_call(client, ...);
 *     uv_run(loop, UV_RUN_DEFAULT);
 *
 * Header only: the library itself knows no libuv. Around each time the loop sleeps, prepare and
 * check handles ask the client for its descriptor, events and timeout, so calls may be made from
 * the callbacks of timers, sockets and the like without a word to the adapter; after a call made
 * elsewhere (in a close callback, or while uv_run() is not running) call udptun_client_uv_arm().
 * None of it keeps uv_run() from returning once the client waits for nothing: no connection is
 * open and no timeout runs.
 *
 * What libuv polls is a duplicate of the client's descriptor: libuv forbids that one is closed
 * while it is polled, and the client closes its own when the connection is lost.
 */
#ifndef UDPTUN_CLIENT_UV_H
#define UDPTUN_CLIENT_UV_H

#include <fcntl.h>
#include <unistd.h>

#include <udptun/client.h>
#include <uv.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Between two attempts to get a descriptor when the process has none left. */
#define UDPTUN_CLIENT_UV_PAUSE_MS 100

/* Owned by the app; it must live until `closed` is called. */
struct udptun_client_uv {
    udptun_client *client; /* NULL once stopped, or freed in a callback */
    uv_loop_t *loop;
    void *data; /* the app's */
    /* Called from the loop when all handles are closed and the struct may go; NULL: not told. */
    void (*closed)(struct udptun_client_uv *in_loop);
    uv_poll_t poll;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    int fd;              /* the duplicate in `poll`; -1: `poll` is not initialized or is closing */
    int closing_fd;      /* that of a `poll` that is closing, else -1 */
    int events;          /* what `poll` waits for, 0: it is not started */
    uint64_t generation; /* of the connection in `poll` */
    unsigned handles;    /* not closed yet */
};

static inline void udptun_client_uv_arm(struct udptun_client_uv *in_loop);

static inline void udptun_client_uv_on_closed(uv_handle_t *handle)
{
    struct udptun_client_uv *in_loop = (struct udptun_client_uv *)handle->data;
    in_loop->handles--;
    if (handle == (uv_handle_t *)&in_loop->poll) {
        close(in_loop->closing_fd);
        in_loop->closing_fd = -1;
    }
    if (in_loop->client)
        udptun_client_uv_arm(in_loop);
    else if (in_loop->handles == 0 && in_loop->closed)
        in_loop->closed(in_loop);
}

static inline void udptun_client_uv_close_poll(struct udptun_client_uv *in_loop)
{
    if (in_loop->fd < 0)
        return;
    in_loop->closing_fd = in_loop->fd;
    in_loop->fd = -1;
    uv_close((uv_handle_t *)&in_loop->poll, udptun_client_uv_on_closed);
}

/* Close the handles; `closed` is called when that is done, which takes a turn of the loop. Call
 * it before udptun_client_free(); only when a callback that this adapter fired frees the client
 * it stops by itself. Harmless when stopped already. */
static inline void udptun_client_uv_stop(struct udptun_client_uv *in_loop)
{
    if (!in_loop->client)
        return;
    in_loop->client = NULL;
    udptun_client_uv_close_poll(in_loop);
    uv_close((uv_handle_t *)&in_loop->timer, udptun_client_uv_on_closed);
    uv_close((uv_handle_t *)&in_loop->prepare, udptun_client_uv_on_closed);
    uv_close((uv_handle_t *)&in_loop->check, udptun_client_uv_on_closed);
}

static inline void udptun_client_uv_process(struct udptun_client_uv *in_loop)
{
    if (udptun_client_process(in_loop->client) == UDPTUN_E_CANCELLED)
        udptun_client_uv_stop(in_loop);
    else
        udptun_client_uv_arm(in_loop);
}

static inline void udptun_client_uv_on_io(uv_poll_t *poll, int status, int events)
{
    struct udptun_client_uv *in_loop = (struct udptun_client_uv *)poll->data;
    (void)events;
    if (status < 0)
        in_loop->events = 0; /* libuv has stopped the handle; the client finds out why */
    udptun_client_uv_process(in_loop);
}

static inline void udptun_client_uv_on_timer(uv_timer_t *timer)
{
    udptun_client_uv_process((struct udptun_client_uv *)timer->data);
}

static inline void udptun_client_uv_on_prepare(uv_prepare_t *prepare)
{
    udptun_client_uv_arm((struct udptun_client_uv *)prepare->data);
}

static inline void udptun_client_uv_on_check(uv_check_t *check)
{
    udptun_client_uv_arm((struct udptun_client_uv *)check->data);
}

/* A handle for the connection that the client has now. False: no descriptor is free. */
static inline bool udptun_client_uv_open_poll(struct udptun_client_uv *in_loop, int fd)
{
    int copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (copy < 0)
        return false;
    if (uv_poll_init(in_loop->loop, &in_loop->poll, copy) < 0) {
        close(copy);
        return false;
    }
    in_loop->poll.data = in_loop;
    in_loop->handles++;
    in_loop->fd = copy;
    in_loop->events = 0;
    in_loop->generation = udptun_client_get_generation(in_loop->client);
    return true;
}

/* Watch what the client wants watched now. */
static inline void udptun_client_uv_arm(struct udptun_client_uv *in_loop)
{
    if (!in_loop->client)
        return;
    int fd = udptun_client_get_fd(in_loop->client);
    unsigned wanted = udptun_client_get_events(in_loop->client);
    int events = (wanted & UDPTUN_CLIENT_READ ? UV_READABLE : 0) |
                 (wanted & UDPTUN_CLIENT_WRITE ? UV_WRITABLE : 0);
    int64_t timeout_ms = udptun_client_get_timeout_ms(in_loop->client);

    if (fd < 0 || in_loop->generation != udptun_client_get_generation(in_loop->client))
        udptun_client_uv_close_poll(in_loop);
    /* While the one before is closing, its callback will come here again. */
    if (fd >= 0 && in_loop->fd < 0 && in_loop->closing_fd < 0 &&
        !udptun_client_uv_open_poll(in_loop, fd) &&
        (timeout_ms < 0 || timeout_ms > UDPTUN_CLIENT_UV_PAUSE_MS))
        timeout_ms = UDPTUN_CLIENT_UV_PAUSE_MS;
    if (in_loop->fd >= 0 && events != in_loop->events &&
        uv_poll_start(&in_loop->poll, events, udptun_client_uv_on_io) == 0)
        in_loop->events = events;

    if (timeout_ms < 0) {
        uv_timer_stop(&in_loop->timer);
        return;
    }
    uv_update_time(in_loop->loop);
    uv_timer_start(&in_loop->timer, udptun_client_uv_on_timer, (uint64_t)timeout_ms, 0);
}

/* Have `loop` drive `client`. `in_loop->closed` and `in_loop->data` are set by the app after
 * this. */
static inline void udptun_client_uv_start(struct udptun_client_uv *in_loop, uv_loop_t *loop,
                                          udptun_client *client)
{
    in_loop->client = client;
    in_loop->loop = loop;
    in_loop->data = NULL;
    in_loop->closed = NULL;
    in_loop->fd = in_loop->closing_fd = -1;
    in_loop->events = 0;
    in_loop->generation = 0;
    in_loop->handles = 3;
    uv_timer_init(loop, &in_loop->timer);
    uv_prepare_init(loop, &in_loop->prepare);
    uv_check_init(loop, &in_loop->check);
    in_loop->timer.data = in_loop->prepare.data = in_loop->check.data = in_loop;
    uv_prepare_start(&in_loop->prepare, udptun_client_uv_on_prepare);
    uv_check_start(&in_loop->check, udptun_client_uv_on_check);
    uv_unref((uv_handle_t *)&in_loop->prepare);
    uv_unref((uv_handle_t *)&in_loop->check);
    /* A loop without an active handle would end before its first turn, and with it a call made
     * between this and uv_run(). */
    uv_timer_start(&in_loop->timer, udptun_client_uv_on_timer, 0, 0);
}

#ifdef __cplusplus
}
#endif

#endif

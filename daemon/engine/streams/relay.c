/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - the two directions of a relayed TCP connection. */
#include "daemon/engine/streams/relay.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_PIECE = 64 * 1024 };

/* One direction. */
struct half {
    struct relay *relay;
    ev_io readable; /* of where the bytes come from; active while nothing is held */
    ev_io writable; /* of where they go; active while something is */
    uint8_t *held;
    size_t held_at, held_size;
    bool ended;
};

struct relay {
    struct udptun_engine *engine;
    struct half halves[2];
    int fds[2];
    void (*done)(void *arg);
    void *arg;
};

void relay_stop(struct relay *r)
{
    if (!r)
        return;
    for (int i = 0; i < 2; i++) {
        ev_io_stop(r->engine->loop, &r->halves[i].readable);
        ev_io_stop(r->engine->loop, &r->halves[i].writable);
        free(r->halves[i].held);
        close(r->fds[i]);
    }
    free(r);
}

static void finish(struct relay *r)
{
    void (*done)(void *arg) = r->done;
    void *arg = r->arg;
    relay_stop(r);
    done(arg);
}

/* The end of one direction goes over as a FIN; the other one lives on. */
static void end_half(struct half *h)
{
    struct relay *r = h->relay;
    h->ended = true;
    ev_io_stop(r->engine->loop, &h->readable);
    shutdown(h->writable.fd, SHUT_WR);
    if (r->halves[0].ended && r->halves[1].ended)
        finish(r);
}

/* How much of it went out, or -1: the stream is broken. */
static ssize_t push(int fd, const uint8_t *data, size_t size)
{
    ssize_t sent = send(fd, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    return sent;
}

static bool hold(struct half *h, const uint8_t *data, size_t size)
{
    h->held = (uint8_t *)malloc(size);
    if (!h->held)
        return false;
    memcpy(h->held, data, size);
    h->held_at = 0;
    h->held_size = size;
    ev_io_stop(h->relay->engine->loop, &h->readable);
    ev_io_start(h->relay->engine->loop, &h->writable);
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct half *h = (struct half *)watcher->data;
    uint8_t *buffer = h->relay->engine->read_buffer;
    ssize_t got = recv(watcher->fd, buffer, MAX_PIECE, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got == 0) {
        end_half(h);
        return;
    }
    ssize_t sent = got < 0 ? -1 : push(h->writable.fd, buffer, (size_t)got);
    if (sent < 0 || (sent < got && !hold(h, buffer + sent, (size_t)(got - sent))))
        finish(h->relay);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct half *h = (struct half *)watcher->data;
    ssize_t sent = push(watcher->fd, h->held + h->held_at, h->held_size - h->held_at);
    if (sent < 0) {
        finish(h->relay);
        return;
    }
    h->held_at += (size_t)sent;
    if (h->held_at < h->held_size)
        return;
    free(h->held);
    h->held = NULL;
    ev_io_stop(loop, &h->writable);
    ev_io_start(loop, &h->readable);
}

static void init_half(struct relay *r, int index)
{
    struct half *h = &r->halves[index];
    h->relay = r;
    ev_io_init(&h->readable, on_readable, r->fds[index], EV_READ);
    ev_io_init(&h->writable, on_writable, r->fds[1 - index], EV_WRITE);
    h->readable.data = h;
    h->writable.data = h;
    ev_io_start(r->engine->loop, &h->readable);
}

struct relay *relay_start(struct udptun_engine *e, int a, int b, void (*done)(void *arg), void *arg)
{
    struct relay *r = (struct relay *)calloc(1, sizeof *r);
    if (!r) {
        close(a);
        close(b);
        return NULL;
    }
    r->engine = e;
    r->fds[0] = a;
    r->fds[1] = b;
    r->done = done;
    r->arg = arg;
    init_half(r, 0);
    init_half(r, 1);
    return r;
}

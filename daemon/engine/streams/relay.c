/* SPDX-License-Identifier: Apache-2.0 */
/* relay.c - the two directions of a relayed TCP connection. */
#include "daemon/engine/streams/relay.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_PIECE = 64 * 1024 };

/* One of the two sockets, and the bytes that come from it. */
struct relay_end {
    struct relay *relay;
    udptun_socket socket;
    struct io_watch watch;
    struct path_guard guard;
    uint8_t *held; /* read here, not yet taken by the other end; NULL: none */
    size_t held_at, held_size;
    bool ended; /* nothing more comes from here */
};

struct relay {
    struct udptun_engine *engine;
    struct relay_end ends[2];
    void (*done)(void *arg);
    void *arg;
};

static struct relay_end *other_of(struct relay_end *from)
{
    struct relay *r = from->relay;
    return from == &r->ends[0] ? &r->ends[1] : &r->ends[0];
}

/* Where the other end's bytes did not come to their end, a FIN would call them complete. */
static void close_end(struct relay_end *end)
{
    watch_stop(&end->watch);
    path_guard_stop(&end->guard);
    free(end->held);
    if (other_of(end)->ended)
        socket_close(end->socket);
    else
        socket_abort(end->socket);
}

void relay_stop(struct relay *r)
{
    if (!r)
        return;
    close_end(&r->ends[0]);
    close_end(&r->ends[1]);
    free(r);
}

static void relay_finish(struct relay *r)
{
    void (*done)(void *arg) = r->done;
    void *arg = r->arg;
    relay_stop(r);
    done(arg);
}

/* Read while nothing is held of it; write while the other end's bytes are held. */
static void watch_end(struct relay_end *end)
{
    bool reads = !end->ended && !end->held, writes = other_of(end)->held != NULL;
    watch_set(&end->watch, (reads ? LOOP_READ : 0u) | (writes ? LOOP_WRITE : 0u));
}

/* The end of one direction goes over as a FIN; the other one lives on. */
static void end_direction(struct relay_end *from)
{
    struct relay *r = from->relay;
    from->ended = true;
    watch_end(from);
    socket_end(other_of(from)->socket);
    if (r->ends[0].ended && r->ends[1].ended)
        relay_finish(r);
}

/* False: the stream is broken. */
static bool relay_push(struct relay_end *to, const uint8_t *data, size_t size, size_t *sent)
{
    int failure = socket_write(to->socket, data, size, sent);
    return failure == 0 || io_of(failure) == IO_AGAIN;
}

static bool relay_hold(struct relay_end *from, const uint8_t *data, size_t size)
{
    from->held = (uint8_t *)malloc(size);
    if (!from->held)
        return false;
    memcpy(from->held, data, size);
    from->held_at = 0;
    from->held_size = size;
    watch_end(from);
    watch_end(other_of(from));
    return true;
}

static void relay_read_some(struct relay_end *from, uint8_t *buffer)
{
    size_t got, sent;
    int failure = socket_read(from->socket, buffer, MAX_PIECE, &got);
    if (failure && io_of(failure) == IO_AGAIN)
        return;
    if (failure == 0 && got == 0) {
        end_direction(from);
        return;
    }
    if (failure || !relay_push(other_of(from), buffer, got, &sent) ||
        (sent < got && !relay_hold(from, buffer + sent, got - sent)))
        relay_finish(from->relay);
}

/* False: the relay is gone. */
static bool write_held(struct relay_end *to)
{
    struct relay_end *from = other_of(to);
    size_t sent;
    if (!relay_push(to, from->held + from->held_at, from->held_size - from->held_at, &sent)) {
        relay_finish(to->relay);
        return false;
    }
    from->held_at += sent;
    if (from->held_at < from->held_size)
        return true;
    free(from->held);
    from->held = NULL;
    watch_end(from);
    watch_end(to);
    return true;
}

static void on_ready(void *arg, unsigned events)
{
    struct relay_end *end = (struct relay_end *)arg;
    if ((events & LOOP_WRITE) && !write_held(end))
        return;
    if (events & LOOP_READ)
        relay_read_some(end, end->relay->engine->read_buffer);
}

static void on_address_gone(void *arg)
{
    relay_finish((struct relay *)arg);
}

static bool init_end(struct relay *r, int index, udptun_socket socket)
{
    struct relay_end *end = &r->ends[index];
    end->relay = r;
    end->socket = socket;
    watch_init(&end->watch, &r->engine->loop, on_ready, end);
    path_guard_start(&end->guard, &r->engine->paths, socket, on_address_gone, r);
    return watch_start(&end->watch, socket, LOOP_READ) == UDPTUN_OK;
}

struct relay *relay_start(struct udptun_engine *e, udptun_socket a, udptun_socket b,
                          void (*done)(void *arg), void *arg)
{
    struct relay *r = (struct relay *)calloc(1, sizeof *r);
    if (r) {
        *r = (struct relay){.engine = e, .done = done, .arg = arg};
        bool first = init_end(r, 0, a);
        if (init_end(r, 1, b) && first)
            return r;
        relay_stop(r);
        return NULL;
    }
    socket_close(a);
    socket_close(b);
    return NULL;
}

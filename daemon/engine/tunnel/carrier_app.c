/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier_app.c - a conn over a stream that the app supplies: `server` is "app:", or
 * udptun_stream_accept().
 *
 * The app may call back from anywhere, also from inside a callback while the machine is on the
 * stack. So `opened`, `writable` and `closed` only leave a mark, which the end of the turn acts
 * on, and bytes are handed on at once only when nothing of the engine is on the stack.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/tunnel/carrier.h"
#include "proto/error.h"

struct udptun_stream {
    struct carrier base;
    struct list deferred; /* udptun_engine.streams */
    void *arg;            /* the app's */
    bool asked;           /* local: callbacks.stream_open has been called */
    bool open;
    bool opened; /* marks */
    bool writable;
    bool closed;
    uint8_t *held; /* bytes that came while a callback of the app was on the stack */
    size_t held_size, held_capacity;
    char reason[128];
};

static struct udptun_stream *carrier_app_of(struct carrier *c)
{
    return (struct udptun_stream *)c;
}

static void defer(struct udptun_stream *s)
{
    if (list_empty(&s->deferred))
        list_append(&s->base.tunnel->engine->streams, &s->deferred);
    loop_turn_soon(&s->base.tunnel->engine->loop);
}

static long write_some(struct udptun_stream *s)
{
    struct tunnel *t = s->base.tunnel;
    struct udptun_span spans[2];
    if (udptun_conn_output(s->base.conn, spans) == 0)
        return 0;
    const struct udptun_callbacks *callbacks = tunnel_callbacks(t);
    if (!callbacks->stream_write)
        return UDPTUN_E_UNSUPPORTED;
    engine_enter_app(t->engine);
    t->engine->in_write++;
    long taken = callbacks->stream_write(callbacks->arg, s->arg, spans[0].data, spans[0].size);
    t->engine->in_write--;
    engine_leave_app(t->engine);
    return taken > 0 && (size_t)taken > spans[0].size ? UDPTUN_E_INVALID : taken;
}

static void carrier_app_flush(struct carrier *c)
{
    struct udptun_stream *s = carrier_app_of(c);
    if (!s->open)
        return;
    long taken;
    while ((taken = write_some(s)) > 0)
        udptun_conn_sent(c->conn, (size_t)taken, c->tunnel->engine->loop.now_us);
    if (taken == 0)
        return;
    s->closed = true;
    snprintf(s->reason, sizeof s->reason, "the app's stream is broken");
    defer(s);
}

static void carrier_app_close_stream(struct carrier *c)
{
    struct udptun_stream *s = carrier_app_of(c);
    struct tunnel *t = c->tunnel;
    const struct udptun_callbacks *callbacks = tunnel_callbacks(t);
    list_remove(&s->deferred);
    if (s->asked && callbacks->stream_close) {
        engine_enter_app(t->engine);
        callbacks->stream_close(callbacks->arg, s->arg);
        engine_leave_app(t->engine);
    }
    free(s->held);
    free(s);
}

static const struct carrier_ops stream_ops = {.flush = carrier_app_flush,
                                              .close = carrier_app_close_stream};

static struct udptun_stream *stream_new(struct tunnel *t, struct udptun_conn *conn)
{
    struct udptun_stream *s = (struct udptun_stream *)calloc(1, sizeof *s);
    if (!s)
        return NULL;
    list_init(&s->deferred);
    carrier_init(&s->base, &stream_ops, t, conn);
    return s;
}

/* ---- the end of the turn ------------------------------------------------------------------------
 */

static void ask_app(struct udptun_stream *s)
{
    struct tunnel *t = s->base.tunnel;
    const struct udptun_callbacks *callbacks = tunnel_callbacks(t);
    engine_enter_app(t->engine);
    int code = callbacks->stream_open(callbacks->arg, tunnel_name(t), s, &s->arg);
    engine_leave_app(t->engine);
    if (code == 0) {
        s->asked = true;
        return;
    }
    s->opened = false;
    s->closed = true;
    snprintf(s->reason, sizeof s->reason, "the app has no stream: %s", error_text(code));
}

/* Hand on what was held; false: the stream is gone. */
static bool input_held(struct udptun_stream *s)
{
    uint8_t *held = s->held;
    size_t size = s->held_size;
    s->held = NULL;
    s->held_size = s->held_capacity = 0;
    bool alive = size == 0 || carrier_input(&s->base, held, size);
    free(held);
    return alive;
}

static void act(struct udptun_stream *s)
{
    struct tunnel *t = s->base.tunnel;
    struct udptun_engine *e = t->engine;
    bool is_local = t->config->given.role == UDPTUN_LOCAL;
    if (is_local && !s->asked && !s->closed)
        ask_app(s);
    if (s->opened && !s->open) {
        s->open = true;
        if (is_local)
            udptun_conn_opened(s->base.conn, e->loop.now_us);
    }
    s->opened = false;
    tunnel_touch(t);
    if (s->open && !input_held(s))
        return;
    if (s->closed) {
        if (is_local)
            tunnel_note_error(t, s->reason);
        udptun_conn_lost(s->base.conn, s->reason, e->loop.now_us);
        return;
    }
    if (s->writable) {
        s->writable = false;
        carrier_app_flush(&s->base);
    }
}

void carrier_app_settle(struct udptun_engine *e)
{
    struct list now;
    list_init(&now);
    while (!list_empty(&e->streams))
        list_move(&now, e->streams.next);
    while (!list_empty(&now)) {
        struct udptun_stream *s = list_entry(now.next, struct udptun_stream, deferred);
        list_remove(&s->deferred);
        act(s);
    }
}

void carrier_app_dial(struct tunnel *t, struct udptun_conn *conn)
{
    /* Without memory for this, the machine's handshake timeout ends the conn. */
    struct udptun_stream *s = stream_new(t, conn);
    if (s)
        defer(s);
}

/* ---- what the app says --------------------------------------------------------------------------
 */

struct stream_call {
    struct udptun_engine *engine;
    struct udptun_stream *stream;
    const void *data;
    size_t size;
    const char *text;
    const char *name;
    void *stream_arg;
    struct udptun_error *err;
};

static void run_opened(void *arg)
{
    struct udptun_stream *s = ((struct stream_call *)arg)->stream;
    s->opened = true;
    defer(s);
}

void udptun_stream_opened(udptun_stream *stream)
{
    struct stream_call call = {.stream = stream};
    engine_call(stream->base.tunnel->engine, run_opened, &call);
}

static void run_writable(void *arg)
{
    struct udptun_stream *s = ((struct stream_call *)arg)->stream;
    s->writable = true;
    defer(s);
}

void udptun_stream_writable(udptun_stream *stream)
{
    struct stream_call call = {.stream = stream};
    engine_call(stream->base.tunnel->engine, run_writable, &call);
}

static void run_closed(void *arg)
{
    struct stream_call *call = (struct stream_call *)arg;
    struct udptun_stream *s = call->stream;
    s->closed = true;
    snprintf(s->reason, sizeof s->reason, "%s", call->text ? call->text : "closed by the app");
    defer(s);
}

void udptun_stream_closed(udptun_stream *stream, const char *reason)
{
    struct stream_call call = {.stream = stream, .text = reason};
    engine_call(stream->base.tunnel->engine, run_closed, &call);
}

static void carrier_app_hold(struct udptun_stream *s, const void *data, size_t size)
{
    if (s->held_size + size > s->held_capacity) {
        size_t capacity = 2 * (s->held_size + size);
        uint8_t *held = (uint8_t *)realloc(s->held, capacity);
        if (!held) {
            s->closed = true;
            snprintf(s->reason, sizeof s->reason, "out of memory");
            defer(s);
            return;
        }
        s->held = held;
        s->held_capacity = capacity;
    }
    memcpy(s->held + s->held_size, data, size);
    s->held_size += size;
    defer(s);
}

static void run_input(void *arg)
{
    struct stream_call *call = (struct stream_call *)arg;
    struct udptun_stream *s = call->stream;
    struct udptun_engine *e = s->base.tunnel->engine;
    if (call->size == 0 || s->closed)
        return;
    engine_refresh(e);
    if (e->in_app > 0 || !s->open || s->held_size > 0) {
        carrier_app_hold(s, call->data, call->size);
        return;
    }
    carrier_input(&s->base, (const uint8_t *)call->data, call->size);
    engine_settle(e);
}

void udptun_stream_input(udptun_stream *stream, const void *data, size_t size)
{
    struct stream_call call = {.stream = stream, .data = data, .size = size};
    engine_call(stream->base.tunnel->engine, run_input, &call);
}

static void accept_stream(struct stream_call *call)
{
    struct udptun_engine *e = call->engine;
    struct tunnel *t = tunnel_find(e, call->name);
    if (!t) {
        error_set(call->err, UDPTUN_E_NOT_FOUND, NULL, "no tunnel '%s'", call->name);
        return;
    }
    if (!t->server) {
        error_set(call->err, UDPTUN_E_INVALID, NULL, "'%s' is not a running udp-server",
                  call->name);
        return;
    }
    if (!tunnel_callbacks(t)->stream_write) {
        error_set(call->err, UDPTUN_E_INVALID, NULL, "'%s' has no stream_write", call->name);
        return;
    }
    struct udptun_conn *conn =
        udptun_machine_accept(t->machine, call->text ? call->text : "app", e->loop.now_us);
    struct udptun_stream *s = conn ? stream_new(t, conn) : NULL;
    tunnel_touch(t); /* an older handshake may have given way */
    if (!s) {
        if (conn)
            udptun_conn_lost(conn, "out of memory", e->loop.now_us);
        error_set(call->err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return;
    }
    s->arg = call->stream_arg;
    s->asked = true;
    s->open = true;
    call->stream = s;
}

static void run_accept(void *arg)
{
    struct stream_call *call = (struct stream_call *)arg;
    engine_refresh(call->engine);
    accept_stream(call);
}

udptun_stream *udptun_stream_accept(udptun_engine *engine, const char *name, void *stream_arg,
                                    const char *peer, struct udptun_error *err)
{
    struct stream_call call = {
        .engine = engine, .name = name, .stream_arg = stream_arg, .text = peer, .err = err};
    engine_call(engine, run_accept, &call);
    return call.stream;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream.c - byte streams with delay, bandwidth, loss, Nagle, limited buffers, ends and cuts.
 *
 * A stream behaves as TCP does through a proxy: connecting may succeed though nobody is at the
 * far end, what was written before an end still arrives, an abrupt end takes with it what was on
 * its way, and a path that broke silently swallows bytes until the buffer is full. A lost segment
 * shows as a stall of all that comes after it, for a retransmission timeout that doubles. With
 * Nagle's algorithm on the way, what does not fill a segment waits until the small one before it
 * is acknowledged: with data of the other direction, or late.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

#define SEGMENT_SIZE   1448
#define LATE_ACK_US    40000  /* Linux's delayed acknowledgement */
#define REPAIR_US      10000  /* until three more segments tell of a loss */
#define TIMEOUT_MIN_US 200000 /* Linux's least retransmission timeout, above the round trip */

static struct side *other_side(struct side *side)
{
    return side == &side->stream->local ? &side->stream->server : &side->stream->local;
}

static void drop_chunks(struct side *side)
{
    while (side->head) {
        struct chunk *c = side->head;
        side->head = c->next;
        free(c);
    }
    side->tail = &side->head;
    side->queued = side->held_size = 0;
}

static void side_free(struct side *side)
{
    drop_chunks(side);
    free(side->held);
}

static void side_init(struct side *side, struct stream *s, struct node *node)
{
    *side = (struct side){.node = node, .stream = s};
    side->tail = &side->head;
}

struct stream *stream_dial(struct node *local, struct node *server, struct udptun_conn *conn)
{
    struct world *w = local->world;
    struct stream *s = calloc(1, sizeof *s);
    if (!s)
        abort();
    s->number = w->next_stream++;
    side_init(&s->local, s, local);
    side_init(&s->server, s, server);
    s->local.conn = conn;
    s->delay_us = w->delay_us;
    s->bytes_per_s = w->bytes_per_s;
    s->capacity = w->capacity;
    s->largest_chunk = w->largest_chunk;
    /* Behind a proxy the connection is up after a hop, and reaches the server a little later. */
    s->opens_us = w->now_us + (w->proxied ? 100 : 2 * s->delay_us) + rng_between(&w->rng, 0, 500);
    s->accepts_us = s->opens_us + (w->proxied ? s->delay_us : 0);
    s->next = w->streams;
    w->streams = s;
    return s;
}

struct node *stream_server(const struct udptun_conn *conn)
{
    const struct side *side = udptun_conn_host(conn);
    return side->stream->server.node;
}

static void push_held(struct world *w, struct side *to, bool all);

static void end_towards(struct world *w, struct side *side, bool abruptly)
{
    if (side->stream->half_open || side->ended)
        return;
    if (abruptly)
        drop_chunks(side);
    else
        push_held(w, side, true);
    side->ended = true;
    side->end_due_us = w->now_us + side->stream->delay_us;
    if (side->last_due_us > side->end_due_us && !abruptly)
        side->end_due_us = side->last_due_us;
}

void stream_hangup(struct world *w, struct side *side, bool abruptly)
{
    side->conn = NULL;
    side->wants_write = false;
    drop_chunks(side);
    end_towards(w, other_side(side), abruptly);
}

void stream_cut(struct world *w, struct stream *s)
{
    end_towards(w, &s->local, true);
    end_towards(w, &s->server, true);
}

/* How long a segment's retransmissions take. */
static uint64_t loss_stall_us(struct world *w, const struct stream *s)
{
    uint64_t stall_us = 0, timeout_us = TIMEOUT_MIN_US + 2 * s->delay_us;
    if (w->fast_repair)
        timeout_us = REPAIR_US + 2 * s->delay_us;
    while (w->lost_once_in != 0 && rng_once_in(&w->rng, w->lost_once_in)) {
        stall_us += timeout_us;
        timeout_us *= 2;
    }
    return stall_us;
}

/* When `size` bytes that leave now for `to` arrive. */
static uint64_t arrival_us(struct world *w, struct side *to, size_t size)
{
    struct stream *s = to->stream;
    struct node *local = s->local.node;
    uint64_t *free_us = w->narrow ? &local->line_free_us[to == &s->local] : &to->line_free_us;
    if (*free_us < w->now_us)
        *free_us = w->now_us;
    *free_us += size * SECOND_US / s->bytes_per_s;
    uint64_t due_us = *free_us + s->delay_us + loss_stall_us(w, s);
    return due_us > to->last_due_us ? due_us : to->last_due_us;
}

static void send_segment(struct world *w, struct side *to, const uint8_t *data, size_t size)
{
    struct chunk *c = malloc(sizeof *c + size);
    if (!c)
        abort();
    c->next = NULL;
    c->due_us = to->last_due_us = arrival_us(w, to, size);
    c->size = size;
    memcpy(c->bytes, data, size);
    *to->tail = c;
    to->tail = &c->next;
    if (size < SEGMENT_SIZE) {
        to->small_due_us = c->due_us;
        to->small_acked_us = c->due_us + LATE_ACK_US + to->stream->delay_us;
    }
    /* An acknowledgement of the other direction rides along. */
    struct side *from = other_side(to);
    if (from->small_due_us <= w->now_us && from->small_acked_us > c->due_us)
        from->small_acked_us = c->due_us;
}

/* How many of the held bytes may leave now, in one segment. */
static size_t segment_size(struct world *w, const struct side *to, bool all)
{
    if (!w->nagle) {
        size_t size = (size_t)rng_between(&w->rng, 1, to->stream->largest_chunk);
        return size < to->held_size ? size : to->held_size;
    }
    if (to->held_size >= SEGMENT_SIZE)
        return SEGMENT_SIZE;
    return all || to->small_acked_us <= w->now_us ? to->held_size : 0;
}

static void push_held(struct world *w, struct side *to, bool all)
{
    size_t sent = 0, size;
    const uint8_t *held = to->held;
    size_t total = to->held_size;
    while (to->held_size > 0 && (size = segment_size(w, to, all)) > 0) {
        send_segment(w, to, held + sent, size);
        sent += size;
        to->held_size = total - sent;
    }
    if (sent > 0 && to->held_size > 0)
        memmove(to->held, to->held + sent, to->held_size);
}

/* `size` bytes leave for `to`. */
static void transmit(struct world *w, struct side *to, const uint8_t *data, size_t size)
{
    if (size == 0)
        return;
    if (to->held_size + size > to->held_capacity) {
        to->held_capacity = 2 * (to->held_size + size);
        to->held = realloc(to->held, to->held_capacity);
        if (!to->held)
            abort();
    }
    memcpy(to->held + to->held_size, data, size);
    to->held_size += size;
    to->queued += size;
    push_held(w, to, false);
}

/* Take up to `room` bytes of the output; returns how many. */
static size_t take_output(struct world *w, struct side *side, const struct udptun_span spans[2],
                          int count, size_t room)
{
    struct side *to = other_side(side);
    size_t taken = 0;
    for (int i = 0; i < count; i++) {
        if (spans[i].size == 0)
            broken(w, "an empty span of output");
        size_t size = spans[i].size < room - taken ? spans[i].size : room - taken;
        if (to->ended) /* the far end has closed: TCP takes it and throws it away */
            ;
        else if (side->stream->half_open)
            to->queued += size;
        else
            transmit(w, to, spans[i].data, size);
        taken += size;
    }
    return taken;
}

void stream_write(struct world *w, struct side *side)
{
    side->wants_write = false;
    for (;;) {
        struct udptun_span spans[2];
        int count = udptun_conn_output(side->conn, spans);
        if (count == 0)
            return;
        struct side *to = other_side(side);
        size_t room = side->stream->capacity > to->queued ? side->stream->capacity - to->queued : 0;
        if (room == 0) {
            side->wants_write = true;
            return;
        }
        if (rng_once_in(&w->rng, 8)) /* the kernel takes what it likes */
            room = (size_t)rng_between(&w->rng, 1, room);
        udptun_conn_sent(side->conn, take_output(w, side, spans, count, room), w->now_us);
    }
}

/* ---- time passes --------------------------------------------------------------------------------
 */

static uint64_t side_next_us(const struct world *w, const struct side *side)
{
    if (!side->conn)
        return UDPTUN_MACHINE_NEVER;
    uint64_t due_us = side->head ? side->head->due_us : UDPTUN_MACHINE_NEVER;
    if (!side->head && side->ended)
        due_us = side->end_due_us;
    if (due_us == UDPTUN_MACHINE_NEVER || side->stream->half_open)
        return UDPTUN_MACHINE_NEVER;
    if (due_us < side->stream->stalled_until_us)
        due_us = side->stream->stalled_until_us;
    return due_us > w->now_us ? due_us : w->now_us;
}

static uint64_t held_next_us(const struct side *side)
{
    return side->held_size == 0 || side->stream->half_open ? UDPTUN_MACHINE_NEVER
                                                           : side->small_acked_us;
}

static uint64_t stream_next_us(const struct world *w, const struct stream *s)
{
    if (s->local.conn && !s->opened)
        return s->opens_us;
    uint64_t next_us = UDPTUN_MACHINE_NEVER,
             dues[] = {side_next_us(w, &s->local), side_next_us(w, &s->server),
                       held_next_us(&s->local), held_next_us(&s->server)};
    for (size_t i = 0; i < sizeof dues / sizeof dues[0]; i++)
        if (dues[i] < next_us)
            next_us = dues[i];
    if (s->opened && !s->accepted && !s->half_open && s->accepts_us < next_us)
        next_us = s->accepts_us;
    return next_us;
}

uint64_t streams_next_us(const struct world *w)
{
    uint64_t next_us = UDPTUN_MACHINE_NEVER;
    for (const struct stream *s = w->streams; s; s = s->next) {
        uint64_t us = stream_next_us(w, s);
        if (us < next_us)
            next_us = us;
    }
    return next_us;
}

static void open_or_refuse(struct world *w, struct stream *s)
{
    if (!w->proxied && !s->server.node->machine) {
        say(w, "stream %u refused", s->number);
        udptun_conn_lost(s->local.conn, "connection refused", w->now_us);
        return;
    }
    s->opened = true;
    udptun_conn_opened(s->local.conn, w->now_us);
}

static void accept_or_end(struct world *w, struct stream *s)
{
    s->accepted = true;
    if (!s->local.conn || s->server.ended || !s->server.node->machine) {
        end_towards(w, &s->local, true);
        return;
    }
    struct udptun_conn *conn =
        udptun_machine_accept(s->server.node->machine, "192.0.2.200:40000", w->now_us);
    if (!conn) {
        end_towards(w, &s->local, true);
        return;
    }
    s->server.conn = conn;
    s->server.node->conns++;
    udptun_conn_set_host(conn, &s->server);
}

/* Hand over the chunks that are due; the conn may go away under our hands. */
static void deliver(struct world *w, struct side *side)
{
    while (side->conn && side_next_us(w, side) <= w->now_us) {
        struct chunk *c = side->head;
        if (!c) {
            udptun_conn_lost(side->conn, "end of stream", w->now_us);
            if (side->conn)
                broken(w, "udptun_conn_lost() returned without ops.hangup");
            return;
        }
        side->head = c->next;
        if (!side->head)
            side->tail = &side->head;
        side->queued -= c->size;
        /* A copy of its own size lets AddressSanitizer see a read past the end. */
        bool alive = udptun_conn_input(side->conn, c->bytes, c->size, w->now_us);
        free(c);
        if (alive != (side->conn != NULL))
            broken(w, "udptun_conn_input() and ops.hangup disagree");
        if (side->conn && other_side(side)->conn && other_side(side)->wants_write)
            stream_write(w, other_side(side));
    }
}

static void run_one(struct world *w, struct stream *s)
{
    if (s->local.conn && !s->opened && s->opens_us <= w->now_us)
        open_or_refuse(w, s);
    if (s->opened && !s->accepted && !s->half_open && s->accepts_us <= w->now_us)
        accept_or_end(w, s);
    if (held_next_us(&s->local) <= w->now_us)
        push_held(w, &s->local, false);
    if (held_next_us(&s->server) <= w->now_us)
        push_held(w, &s->server, false);
    deliver(w, &s->local);
    deliver(w, &s->server);
}

void streams_run(struct world *w)
{
    /* Dialling puts new streams in front of the list, never behind. */
    for (struct stream *s = w->streams; s; s = s->next)
        run_one(w, s);
    for (struct stream **at = &w->streams; *at;) {
        struct stream *s = *at;
        bool may_be_accepted = s->opened && !s->accepted && !s->half_open;
        if (s->local.conn || s->server.conn || may_be_accepted) {
            at = &s->next;
            continue;
        }
        *at = s->next;
        side_free(&s->local);
        side_free(&s->server);
        free(s);
    }
}

void stream_free_all(struct world *w)
{
    while (w->streams) {
        struct stream *s = w->streams;
        w->streams = s->next;
        side_free(&s->local);
        side_free(&s->server);
        free(s);
    }
}

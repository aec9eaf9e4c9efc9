/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_conn.c - one command connection: bytes in, messages to the dispatcher, answers out.
 *
 * A message is taken when the call before it was answered and less than OUT_HIGH bytes of answers
 * wait. While a call is under way up to IN_HIGH bytes are read ahead, so that a client that goes
 * away is noticed and does not hold its place. A message that was begun has COMMAND_MESSAGE_TIME_S
 * to end. When framing is lost (too large, garbage) the error is sent, what still comes is read and
 * thrown away for LINGER_TIME_US, so that a client that writes before it reads finds the error and
 * not a broken pipe, and the connection is closed. A client that closed its sending side still gets
 * the answers to what it sent (in the middle of a message: the error), and the events that it asked
 * for, as long as it can read them.
 */
#include "daemon/control/socket/command_conn.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/control/socket/command_socket.h"
#include "daemon/control/socket/dispatch.h"
#include "daemon/control/store/state.h"
#include "daemon/platform/clock.h"
#include "daemon/platform/local.h"
#include "daemon/service/command_slots.h"

#define READ_SIZE      ((size_t)16 << 10)
#define OUT_HIGH       ((size_t)64 << 10)
#define IN_HIGH        ((size_t)64 << 10)
#define LINGER_TIME_US UINT64_C(2000000)

#define US_PER_S UINT64_C(1000000)

/* Of the loop's time, which datagrams share. Messages are taken for SLICE_US, then everything else
 * has its turn. After one that was refused, the connection waits PAUSE_FACTOR times as long as it
 * took: a client that sends such for ever has little of the loop. */
#define SLICE_US     UINT64_C(200)
#define PAUSE_FACTOR 20
#define PAUSE_MIN_US UINT64_C(5000)
#define PAUSE_MAX_US US_PER_S
/* Of a user's next connections, which may be those of another program. */
#define DEBT_MAX_US UINT64_C(100000)

static size_t out_waiting(const struct command_conn *c)
{
    return c->out_size - c->out_at;
}

size_t command_conn_waiting(const struct command_conn *c)
{
    return out_waiting(c);
}

static bool may_take(const struct command_conn *c)
{
    return !c->call && !c->closing && !c->ended && !timer_is_on(&c->pause) &&
           out_waiting(c) < OUT_HIGH;
}

static bool may_read(const struct command_conn *c)
{
    if (c->half_closed || c->ended || (timer_is_on(&c->pause) && (c->closing || c->is_late)))
        return false;
    return c->closing || may_take(c) || (c->call && c->in_size < IN_HIGH);
}

/* Room for `more` bytes behind `*size`. */
static bool command_conn_grow(uint8_t **data, size_t *room, size_t size, size_t more)
{
    if (*room - size >= more)
        return true;
    size_t wanted = *room ? *room : 4096;
    while (wanted - size < more)
        wanted *= 2;
    uint8_t *moved = realloc(*data, wanted);
    if (!moved)
        return false;
    *data = moved;
    *room = wanted;
    return true;
}

static void command_conn_free(struct command_conn *c)
{
    list_remove(&c->node);
    c->server->count--;
    fds_in_close(&c->fds);
    free(c->in);
    free(c->out);
    free(c);
}

void command_conn_end(struct command_conn *c)
{
    if (!c->ended) {
        c->ended = true;
        watch_stop(&c->io);
        timer_stop(&c->deadline);
        timer_stop(&c->lookout);
        timer_stop(&c->pause);
        socket_close(c->io.socket);
        accepting_refill(&c->server->accepting);
        if (c->call)
            call_abandon(c->call);
        c->call = NULL;
        while (!list_empty(&c->aside))
            call_abandon(list_entry(c->aside.next, struct call, aside));
    }
    if (!c->busy)
        command_conn_free(c);
}

static void command_conn_flush(struct command_conn *c)
{
    while (out_waiting(c) > 0 && !c->ended) {
        size_t sent;
        int failure = socket_write(c->io.socket, c->out + c->out_at, out_waiting(c), &sent);
        if (io_of(failure) == IO_AGAIN)
            break;
        if (failure) {
            command_conn_end(c);
            return;
        }
        c->out_at += sent;
        timer_stop(&c->lookout); /* it reads: command_conn_settle() looks again */
    }
    c->server->room(c);
    if (out_waiting(c) > 0)
        return;
    free(c->out);
    c->out = NULL;
    c->out_size = c->out_room = c->out_at = 0;
    if (c->closing)
        socket_end(c->io.socket);
}

/* Takes over `bytes`. */
static void queue(struct command_conn *c, struct envelope_bytes bytes)
{
    if (!bytes.data || !command_conn_grow(&c->out, &c->out_room, c->out_size, bytes.size)) {
        command_conn_end(c); /* an answer cannot be left out: the next would be taken for it */
    } else {
        memcpy(c->out + c->out_size, bytes.data, bytes.size);
        c->out_size += bytes.size;
        command_conn_flush(c);
    }
    free(bytes.data);
}

/* Have the lookout run while there is something to look out for. */
static void look_out(struct command_conn *c)
{
    if (!c->half_closed && !(c->watch.topics && out_waiting(c) > 0))
        timer_stop(&c->lookout);
    else if (!timer_is_on(&c->lookout))
        timer_start(&c->lookout, WATCHER_TIME_US);
}

bool command_conn_queue_event(struct command_conn *c, struct envelope_bytes bytes)
{
    /* What was sent leaves its room to what comes. */
    if (c->out_at > 0) {
        memmove(c->out, c->out + c->out_at, out_waiting(c));
        c->out_size -= c->out_at;
        c->out_at = 0;
    }
    bool room = command_conn_grow(&c->out, &c->out_room, c->out_size, bytes.size);
    if (room) {
        memcpy(c->out + c->out_size, bytes.data, bytes.size);
        c->out_size += bytes.size;
        watch_set(&c->io, c->io.events | LOOP_WRITE);
        look_out(c);
    }
    free(bytes.data);
    return room;
}

static uint64_t pause_for(uint64_t spent_us, uint64_t most_us)
{
    uint64_t pause_us = PAUSE_FACTOR * spent_us;
    return pause_us < PAUSE_MIN_US ? PAUSE_MIN_US : pause_us < most_us ? pause_us : most_us;
}

static void lose_framing(struct command_conn *c, int code, const char *why)
{
    c->closing = true;
    command_socket_note_debt(c->server, c->peer.uid, pause_for(c->spent_us, DEBT_MAX_US));
    free(c->in);
    c->in = NULL;
    c->in_size = c->in_room = c->scanned = 0;
    fds_in_close(&c->fds);
    queue(c, dispatch_error(c, code, why));
    if (!c->ended)
        timer_start(&c->deadline, LINGER_TIME_US);
}

/* The message from `start` on is whole; `refused` (NULL: not so) is why it is not read. */
static void take_one(struct command_conn *c, size_t start, const char *refused)
{
    struct fds fds = {0};
    fds_take(&c->fds, c->in, start, c->scanned, c->scan.encoding == ENCODING_JSON, &fds);
    if (!refused) {
        dispatch_message(c, c->in + start, c->scanned - start, &fds);
        return;
    }
    fds_close(&fds);
    queue(c, dispatch_error(c, UDPTUN_E_BAD_REQUEST, refused));
}

static void start_pause(struct command_conn *c, uint64_t pause_us)
{
    if (!c->ended && !c->closing)
        timer_start(&c->pause, pause_us);
}

/* A message was taken, and `since_us` is when this turn began. */
static void share_time(struct command_conn *c, uint64_t since_us)
{
    uint64_t turn_us = clock_us() - since_us;
    if (c->refused) {
        start_pause(c, pause_for(c->spent_us + turn_us, PAUSE_MAX_US));
    } else if (turn_us > SLICE_US && !c->call) {
        start_pause(c, 0);
    }
    c->refused = false;
    c->spent_us = 0;
}

/* The messages that stand whole in `in`, as many as may be taken now. */
static void take_messages(struct command_conn *c)
{
    size_t start = 0; /* of the message being scanned */
    uint64_t since_us = clock_us();
    while (may_take(c) && c->scanned < c->in_size) {
        size_t used, skipped;
        bool begun = scan_inside(&c->scan);
        enum scan_result result =
            scan_feed(&c->scan, c->in + c->scanned, c->in_size - c->scanned, &used, &skipped);
        c->scanned += used;
        if (!begun)
            start += skipped;
        switch (result) {
        case SCAN_MORE:
            break;
        case SCAN_MESSAGE:
            take_one(c, start, NULL);
            start = c->scanned;
            share_time(c, since_us);
            break;
        case SCAN_TOO_DEEP:
            take_one(c, start, "nested deeper than 16");
            start = c->scanned;
            c->refused = true;
            share_time(c, since_us);
            break;
        case SCAN_TOO_LARGE:
            lose_framing(c, UDPTUN_E_BAD_REQUEST, "message is larger than 1 MiB");
            return;
        case SCAN_GARBAGE:
            lose_framing(c, UDPTUN_E_BAD_REQUEST, "a message begins with { or a length");
            return;
        }
    }
    if (c->ended || c->closing)
        return;
    c->spent_us += clock_us() - since_us;
    c->in_size -= start;
    c->scanned -= start;
    fds_shift(&c->fds, start);
    if (c->in_size > 0) {
        memmove(c->in, c->in + start, c->in_size);
    } else {
        free(c->in);
        c->in = NULL;
        c->in_room = 0;
    }
    if (start > 0 || !scan_inside(&c->scan))
        timer_stop(&c->deadline);
    if (scan_inside(&c->scan) && !timer_is_on(&c->deadline))
        timer_start(&c->deadline, COMMAND_MESSAGE_TIME_S * US_PER_S);
}

/* Watch for what can be done now, take messages that can be taken, free it when it ended. */
static void command_conn_settle(struct command_conn *c)
{
    if (may_take(c) && c->in_size > c->scanned)
        take_messages(c);
    if (c->half_closed && may_take(c) && scan_inside(&c->scan))
        lose_framing(c, UDPTUN_E_BAD_REQUEST, "the message ends in the middle");
    if (c->half_closed && !c->call && list_empty(&c->aside) && !timer_is_on(&c->pause) &&
        !c->watch.topics && out_waiting(c) == 0)
        command_conn_end(c);
    c->busy = false;
    if (c->ended) {
        command_conn_free(c);
        return;
    }
    watch_set(&c->io, (may_read(c) ? LOOP_READ : 0u) | (out_waiting(c) > 0 ? LOOP_WRITE : 0u));
    look_out(c);
}

/* False when the connection is broken. */
static bool command_conn_receive(struct command_conn *c)
{
    uint8_t waste[READ_SIZE];
    uint8_t *to = waste;
    if (!c->closing) {
        if (!command_conn_grow(&c->in, &c->in_room, c->in_size, READ_SIZE))
            return false;
        to = c->in + c->in_size;
    }
    size_t got;
    int failure = fds_receive(&c->fds, c->io.socket, to, READ_SIZE, c->in_size, &got);
    if (c->closing) { /* what is thrown away is read slowly */
        fds_in_close(&c->fds);
        timer_start(&c->pause, PAUSE_MIN_US);
    }
    if (failure)
        return io_of(failure) == IO_AGAIN;
    if (!c->closing)
        c->in_size += got;
    if (got == 0) {
        c->half_closed = true;
        return !local_is_gone(c->io.socket);
    }
    return true;
}

static void on_ready(void *arg, unsigned events)
{
    struct command_conn *c = arg;
    c->busy = true;
    if (events & LOOP_READ && !command_conn_receive(c))
        command_conn_end(c);
    if (events & LOOP_WRITE && !c->ended)
        command_conn_flush(c);
    command_conn_settle(c);
}

static void on_pause(void *arg)
{
    struct command_conn *c = arg;
    c->busy = true;
    c->is_late = false;
    command_conn_settle(c);
}

static void on_deadline(void *arg)
{
    struct command_conn *c = arg;
    c->busy = true;
    if (c->closing)
        command_conn_end(c);
    else
        lose_framing(c, UDPTUN_E_TIMEOUT, "message not finished within 10 s");
    command_conn_settle(c);
}

/* Nothing was sent since it was started, or nothing can be read any more. */
static void on_lookout(void *arg)
{
    struct command_conn *c = arg;
    bool stuck = c->watch.topics && out_waiting(c) > 0;
    c->busy = true;
    if (stuck)
        log_write(c->server->control->log, UDPTUN_LOG_WARN, "control",
                  "a watcher of user %u does not read and is cut off", (unsigned)c->peer.uid);
    if (stuck || local_is_gone(c->io.socket))
        command_conn_end(c);
    command_conn_settle(c);
}

void command_conn_reply_aside(struct command_conn *c, struct envelope_bytes bytes)
{
    bool nested = c->busy; /* answered while take_messages() is at work: it goes on by itself */
    c->busy = true;
    queue(c, bytes);
    if (!nested)
        command_conn_settle(c);
}

void command_conn_reply(struct command_conn *c, struct envelope_bytes bytes)
{
    c->call = NULL;
    command_conn_reply_aside(c, bytes);
}

void command_conn_go_on(struct command_conn *c)
{
    c->call = NULL;
    if (c->busy)
        return;
    c->busy = true;
    command_conn_settle(c);
}

void command_conn_send_and_end(struct command_conn *c)
{
    c->busy = true;
    command_conn_flush(c);
    c->busy = false;
    command_conn_end(c);
}

int command_conn_open(struct command_socket *server, udptun_socket socket,
                      const struct command_peer *peer)
{
    struct loop *loop = server->control->loop;
    struct command_conn *c = calloc(1, sizeof *c);
    if (!c)
        return UDPTUN_E_NOMEM;
    c->server = server;
    c->peer = *peer;
    list_init(&c->aside);
    scan_init(&c->scan);
    watch_init(&c->io, loop, on_ready, c);
    timer_init(&c->deadline, loop, on_deadline, c);
    timer_init(&c->lookout, loop, on_lookout, c);
    timer_init(&c->pause, loop, on_pause, c);
    uint64_t debt_us = command_socket_debt_us(server, peer->uid);
    c->is_late = debt_us > 0;
    int rc = watch_start(&c->io, socket, c->is_late ? 0 : LOOP_READ);
    if (rc < 0) {
        free(c);
        return rc;
    }
    if (c->is_late)
        timer_start(&c->pause, debt_us);
    list_append(&server->connections, &c->node);
    server->count++;
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_conn.c - one command connection: bytes in, messages to the dispatcher, answers out.
 *
 * A message is taken when the call before it was answered and less than OUT_HIGH bytes of answers
 * wait. While a call is under way up to IN_HIGH bytes are read ahead, so that a client that goes
 * away is noticed and does not hold its place. A message that was begun has COMMAND_MESSAGE_TIME_S
 * to end. When framing is lost (too large, garbage) the error is sent, what still comes is read and
 * thrown away for LINGER_TIME_S, so that a client that writes before it reads finds the error and
 * not a broken pipe, and the connection is closed. A client that closed its sending side still gets
 * the answers to what it sent (in the middle of a message: the error), and the events that it asked
 * for, as long as it can read them.
 */
#include "daemon/control/socket/command_conn.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control/socket/command_socket.h"
#include "daemon/control/socket/dispatch.h"
#include "daemon/control/store/state.h"
#include "daemon/service/command_slots.h"

#define READ_SIZE     ((size_t)16 << 10)
#define OUT_HIGH      ((size_t)64 << 10)
#define IN_HIGH       ((size_t)64 << 10)
#define LINGER_TIME_S 2.

/* Of the loop's time, which datagrams share. Messages are taken for SLICE_S, then everything else
 * has its turn. After one that was refused, the connection waits PAUSE_FACTOR times as long as it
 * took: a client that sends such for ever has little of the loop. */
#define SLICE_S      0.0002
#define PAUSE_FACTOR 20.
#define PAUSE_MIN_S  0.005
#define PAUSE_MAX_S  1.

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
    return !c->call && !c->closing && !c->ended && !ev_is_active(&c->pause) &&
           out_waiting(c) < OUT_HIGH;
}

static bool may_read(const struct command_conn *c)
{
    if (c->half_closed || c->ended)
        return false;
    return c->closing || may_take(c) || (c->call && c->in_size < IN_HIGH);
}

/* Room for `more` bytes behind `*size`. */
static bool grow(uint8_t **data, size_t *room, size_t size, size_t more)
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
        struct ev_loop *loop = c->server->control->loop;
        c->ended = true;
        ev_io_stop(loop, &c->readable);
        ev_io_stop(loop, &c->writable);
        ev_timer_stop(loop, &c->deadline);
        ev_timer_stop(loop, &c->lookout);
        ev_timer_stop(loop, &c->pause);
        close(c->readable.fd);
        command_socket_keep_spares(c->server);
        if (c->call)
            call_abandon(c->call);
        c->call = NULL;
    }
    if (!c->busy)
        command_conn_free(c);
}

static void set_deadline(struct command_conn *c, double seconds)
{
    struct ev_loop *loop = c->server->control->loop;
    ev_timer_stop(loop, &c->deadline);
    ev_timer_set(&c->deadline, seconds, 0.);
    ev_timer_start(loop, &c->deadline);
}

static void flush(struct command_conn *c)
{
    while (out_waiting(c) > 0 && !c->ended) {
        ssize_t n = send(c->writable.fd, c->out + c->out_at, out_waiting(c), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            command_conn_end(c);
            return;
        }
        c->out_at += (size_t)n;
        ev_timer_stop(c->server->control->loop, &c->lookout); /* it reads: settle() looks anew */
    }
    c->server->room(c);
    if (out_waiting(c) > 0)
        return;
    free(c->out);
    c->out = NULL;
    c->out_size = c->out_room = c->out_at = 0;
    if (c->closing)
        shutdown(c->writable.fd, SHUT_WR);
}

/* Takes over `bytes`. */
static void queue(struct command_conn *c, struct envelope_bytes bytes)
{
    if (!bytes.data || !grow(&c->out, &c->out_room, c->out_size, bytes.size)) {
        command_conn_end(c); /* an answer cannot be left out: the next would be taken for it */
    } else {
        memcpy(c->out + c->out_size, bytes.data, bytes.size);
        c->out_size += bytes.size;
        flush(c);
    }
    free(bytes.data);
}

/* Have the lookout run while there is something to look out for. */
static void look_out(struct command_conn *c)
{
    struct ev_loop *loop = c->server->control->loop;
    if (!c->half_closed && !(c->watch.topics && out_waiting(c) > 0)) {
        ev_timer_stop(loop, &c->lookout);
    } else if (!ev_is_active(&c->lookout)) {
        ev_timer_set(&c->lookout, WATCHER_TIME_S, 0.);
        ev_timer_start(loop, &c->lookout);
    }
}

bool command_conn_queue_event(struct command_conn *c, struct envelope_bytes bytes)
{
    /* What was sent leaves its room to what comes. */
    if (c->out_at > 0) {
        memmove(c->out, c->out + c->out_at, out_waiting(c));
        c->out_size -= c->out_at;
        c->out_at = 0;
    }
    bool room = grow(&c->out, &c->out_room, c->out_size, bytes.size);
    if (room) {
        memcpy(c->out + c->out_size, bytes.data, bytes.size);
        c->out_size += bytes.size;
        ev_io_start(c->server->control->loop, &c->writable);
        look_out(c);
    }
    free(bytes.data);
    return room;
}

static void lose_framing(struct command_conn *c, int code, const char *why)
{
    c->closing = true;
    free(c->in);
    c->in = NULL;
    c->in_size = c->in_room = c->scanned = 0;
    fds_in_close(&c->fds);
    queue(c, dispatch_error(c, code, why));
    if (!c->ended)
        set_deadline(c, LINGER_TIME_S);
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

static void start_pause(struct command_conn *c, double seconds)
{
    struct ev_loop *loop = c->server->control->loop;
    if (c->ended || c->closing)
        return;
    ev_timer_set(&c->pause, seconds, 0.);
    ev_timer_start(loop, &c->pause);
}

/* A message was taken, and `since` is when this turn began. */
static void share_time(struct command_conn *c, double since)
{
    double turn_s = ev_time() - since;
    if (c->refused) {
        double pause_s = PAUSE_FACTOR * (c->spent_s + turn_s);
        start_pause(c, pause_s < PAUSE_MIN_S ? PAUSE_MIN_S : fmin(pause_s, PAUSE_MAX_S));
    } else if (turn_s > SLICE_S && !c->call) {
        start_pause(c, 0.);
    }
    c->refused = false;
    c->spent_s = 0.;
}

/* The messages that stand whole in `in`, as many as may be taken now. */
static void take_messages(struct command_conn *c)
{
    size_t start = 0; /* of the message being scanned */
    double since = ev_time();
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
            share_time(c, since);
            break;
        case SCAN_TOO_DEEP:
            take_one(c, start, "nested deeper than 16");
            start = c->scanned;
            c->refused = true;
            share_time(c, since);
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
    c->spent_s += ev_time() - since;
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
        ev_timer_stop(c->server->control->loop, &c->deadline);
    if (scan_inside(&c->scan) && !ev_is_active(&c->deadline))
        set_deadline(c, COMMAND_MESSAGE_TIME_S);
}

/* Watch for what can be done now, take messages that can be taken, free it when it ended. */
static void settle(struct command_conn *c)
{
    struct ev_loop *loop = c->server->control->loop;
    if (may_take(c) && c->in_size > c->scanned)
        take_messages(c);
    if (c->half_closed && may_take(c) && scan_inside(&c->scan))
        lose_framing(c, UDPTUN_E_BAD_REQUEST, "the message ends in the middle");
    if (c->half_closed && !c->call && !ev_is_active(&c->pause) && !c->watch.topics &&
        out_waiting(c) == 0)
        command_conn_end(c);
    c->busy = false;
    if (c->ended) {
        command_conn_free(c);
        return;
    }
    if (may_read(c))
        ev_io_start(loop, &c->readable);
    else
        ev_io_stop(loop, &c->readable);
    if (out_waiting(c) > 0)
        ev_io_start(loop, &c->writable);
    else
        ev_io_stop(loop, &c->writable);
    look_out(c);
}

/* Nobody is left to be answered when the other direction is closed as well. */
static bool is_gone(const struct command_conn *c)
{
    struct pollfd gone = {.fd = c->readable.fd};
    return poll(&gone, 1, 0) != 0;
}

/* False when the connection is broken. */
static bool receive(struct command_conn *c)
{
    uint8_t waste[READ_SIZE];
    uint8_t *to = waste;
    if (!c->closing) {
        if (!grow(&c->in, &c->in_room, c->in_size, READ_SIZE))
            return false;
        to = c->in + c->in_size;
    }
    size_t got;
    int failure = fds_receive(&c->fds, c->readable.fd, to, READ_SIZE, c->in_size, &got);
    if (c->closing)
        fds_in_close(&c->fds);
    if (failure)
        return io_of(failure) == IO_AGAIN;
    if (!c->closing)
        c->in_size += got;
    if (got == 0) {
        c->half_closed = true;
        return !is_gone(c);
    }
    return true;
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct command_conn *c = watcher->data;
    c->busy = true;
    if (!receive(c))
        command_conn_end(c);
    settle(c);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct command_conn *c = watcher->data;
    c->busy = true;
    flush(c);
    settle(c);
}

static void on_pause(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct command_conn *c = timer->data;
    c->busy = true;
    settle(c);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct command_conn *c = timer->data;
    c->busy = true;
    if (c->closing)
        command_conn_end(c);
    else
        lose_framing(c, UDPTUN_E_TIMEOUT, "message not finished within 10 s");
    settle(c);
}

/* Nothing was sent since it was started, or nothing can be read any more. */
static void on_lookout(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    struct command_conn *c = timer->data;
    bool stuck = c->watch.topics && out_waiting(c) > 0;
    c->busy = true;
    if (stuck)
        log_write(c->server->control->log, UDPTUN_LOG_WARN, "control",
                  "a watcher of user %u does not read and is cut off", (unsigned)c->peer.uid);
    if (stuck || is_gone(c))
        command_conn_end(c);
    settle(c);
}

void command_conn_reply(struct command_conn *c, struct envelope_bytes bytes)
{
    bool nested = c->busy; /* answered while take_messages() is at work: it goes on by itself */
    c->call = NULL;
    c->busy = true;
    queue(c, bytes);
    if (!nested)
        settle(c);
}

void command_conn_send_and_end(struct command_conn *c)
{
    c->busy = true;
    flush(c);
    c->busy = false;
    command_conn_end(c);
}

int command_conn_open(struct command_socket *server, int fd, const struct command_peer *peer)
{
    struct command_conn *c = calloc(1, sizeof *c);
    if (!c)
        return UDPTUN_E_NOMEM;
    c->server = server;
    c->peer = *peer;
    scan_init(&c->scan);
    ev_io_init(&c->readable, on_readable, fd, EV_READ);
    ev_io_init(&c->writable, on_writable, fd, EV_WRITE);
    ev_init(&c->deadline, on_deadline);
    ev_init(&c->lookout, on_lookout);
    ev_init(&c->pause, on_pause);
    c->pause.data = c;
    c->readable.data = c->writable.data = c->deadline.data = c->lookout.data = c;
    list_append(&server->connections, &c->node);
    server->count++;
    ev_io_start(server->control->loop, &c->readable);
    return 0;
}

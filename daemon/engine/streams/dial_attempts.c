/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial_attempts.c - a TCP connection to the first of several addresses that answers.
 *
 * The next address is tried 250 ms after the one before, or at once when that failed; the first
 * connection wins and the others are dropped.
 */
#include "daemon/engine/streams/dial_attempts.h"

#include <errno.h>
#include <unistd.h>

#define STAGGER_S 0.25 /* RFC 8305 section 5, "Connection Attempt Delay" */

static void attempt_close(struct dial_attempt *t)
{
    if (t->fd < 0)
        return;
    ev_io_stop(t->owner->loop, &t->io);
    close(t->fd);
    t->fd = -1;
}

void dial_attempts_stop(struct dial_attempts *a)
{
    if (!a->loop)
        return;
    ev_timer_stop(a->loop, &a->stagger);
    for (size_t i = 0; i < a->started; i++)
        attempt_close(&a->list[i]);
    a->started = a->count = 0;
}

/* How much a failure says: that this host has no such family or route, the least; then silence. */
static int weight(int sys_errno)
{
    switch (sys_errno) {
    case 0:
        return 0;
    case EAFNOSUPPORT:
    case EADDRNOTAVAIL:
    case ENETUNREACH:
        return 1;
    case ETIMEDOUT:
        return 2;
    }
    return 3;
}

static void start_next(struct dial_attempts *a);

static void attempt_failed(struct dial_attempt *t, int sys_errno)
{
    struct dial_attempts *a = t->owner;
    attempt_close(t);
    a->failed++;
    if (weight(sys_errno) > weight(a->best_errno)) {
        a->best_errno = sys_errno;
        a->best_to = t->to;
    }
}

/* Tries the next address now, or ends when none is left and none is under way. May free `a`. */
static void go_on(struct dial_attempts *a)
{
    ev_timer_stop(a->loop, &a->stagger);
    if (a->started < a->count) {
        start_next(a);
        return;
    }
    if (a->failed < a->count)
        return;
    dial_attempts_done *done = a->done;
    void *arg = a->arg;
    struct endpoint to = a->best_to;
    int sys_errno = a->best_errno;
    dial_attempts_stop(a);
    done(arg, -1, &to, sys_errno);
}

/* Linux connects a socket to itself when the kernel picks the port that it is to connect to. */
static bool is_connected_to_itself(int fd)
{
    struct endpoint local = socket_local(fd), remote = socket_remote(fd);
    return local.family != ENDPOINT_NONE && endpoint_equal(&local, &remote);
}

static void attempt_event(struct ev_loop *loop, ev_io *io, int events)
{
    struct dial_attempt *t = (struct dial_attempt *)io->data;
    struct dial_attempts *a = t->owner;
    (void)events;
    int sys_errno = socket_take_error(t->fd);
    if (sys_errno == 0 && is_connected_to_itself(t->fd))
        sys_errno = ECONNREFUSED;
    if (sys_errno) {
        attempt_failed(t, sys_errno);
        go_on(a);
        return;
    }
    int fd = t->fd;
    struct endpoint to = t->to;
    dial_attempts_done *done = a->done;
    void *arg = a->arg;
    ev_io_stop(loop, &t->io);
    t->fd = -1;
    dial_attempts_stop(a);
    done(arg, fd, &to, 0);
}

/* 0: under way, or a positive errno. */
static int attempt_start(struct dial_attempt *t)
{
    union socket_address sa;
    struct dial_attempts *a = t->owner;
    socklen_t size = sockaddr_from_endpoint(&sa, &t->to);
    int fd = size ? socket_open(sa.any.sa_family, SOCK_STREAM, a->rules) : -EAFNOSUPPORT;
    if (fd < 0)
        return -fd;
    t->fd = fd;
    if (connect(fd, &sa.any, size) < 0 && errno != EINPROGRESS && errno != EINTR)
        return errno;
    if (a->rules->opened)
        a->rules->opened(a->rules->opened_arg, fd);
    ev_io_init(&t->io, attempt_event, fd, EV_WRITE);
    t->io.data = t;
    ev_io_start(a->loop, &t->io);
    return 0;
}

static void start_next(struct dial_attempts *a)
{
    while (a->started < a->count) {
        struct dial_attempt *t = &a->list[a->started++];
        int sys_errno = attempt_start(t);
        if (sys_errno == 0)
            break;
        attempt_failed(t, sys_errno);
    }
    if (a->started < a->count) {
        ev_timer_set(&a->stagger, STAGGER_S, 0.0);
        ev_timer_start(a->loop, &a->stagger);
    } else if (a->failed == a->count) {
        go_on(a);
    }
}

static void on_stagger(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    start_next((struct dial_attempts *)timer->data);
}

void dial_attempts_start(struct dial_attempts *a, struct ev_loop *loop, const struct endpoint *eps,
                         size_t count, const struct socket_rules *rules, dial_attempts_done *done,
                         void *arg)
{
    *a = (struct dial_attempts){
        .loop = loop, .rules = rules, .done = done, .arg = arg, .count = count};
    for (size_t i = 0; i < count; i++)
        a->list[i] = (struct dial_attempt){.owner = a, .fd = -1, .to = eps[i]};
    ev_timer_init(&a->stagger, on_stagger, 0.0, 0.0);
    a->stagger.data = a;
    ev_timer_start(loop, &a->stagger);
}

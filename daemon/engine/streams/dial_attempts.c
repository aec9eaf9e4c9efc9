/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial_attempts.c - a TCP connection to the first of several addresses that answers.
 *
 * The next address is tried 250 ms after the one before, or at once when that failed; the first
 * connection wins and the others are dropped.
 */
#include "daemon/engine/streams/dial_attempts.h"

#define STAGGER_US 250000 /* RFC 8305 section 5, "Connection Attempt Delay" */

static void attempt_close(struct dial_attempt *t)
{
    if (t->socket == NO_SOCKET)
        return;
    watch_stop(&t->watch);
    socket_close(t->socket);
    t->socket = NO_SOCKET;
}

void dial_attempts_stop(struct dial_attempts *a)
{
    if (!a->loop)
        return;
    timer_stop(&a->stagger);
    for (size_t i = 0; i < a->started; i++)
        attempt_close(&a->list[i]);
    a->started = a->count = 0;
}

/* How much a failure says: that this host has no such family or route, the least; then silence. */
static int weight(int failure)
{
    enum io what = io_of(failure);
    if (what == IO_OK)
        return 0;
    if (what == IO_NO_FAMILY || what == IO_NO_ADDRESS || what == IO_NET_UNREACHABLE)
        return 1;
    return what == IO_TIMED_OUT ? 2 : 3;
}

static void start_next(struct dial_attempts *a);

static void attempt_failed(struct dial_attempt *t, int failure)
{
    struct dial_attempts *a = t->owner;
    attempt_close(t);
    a->failed++;
    if (weight(failure) > weight(a->best_failure)) {
        a->best_failure = failure;
        a->best_to = t->to;
    }
}

/* Tries the next address now, or ends when none is left and none is under way. May free `a`. */
static void go_on(struct dial_attempts *a)
{
    timer_stop(&a->stagger);
    if (a->started < a->count) {
        start_next(a);
        return;
    }
    if (a->failed < a->count)
        return;
    dial_attempts_done *done = a->done;
    void *arg = a->arg;
    struct udptun_endpoint to = a->best_to;
    int failure = a->best_failure;
    dial_attempts_stop(a);
    done(arg, NO_SOCKET, &to, failure);
}

static void attempt_event(void *arg, unsigned events)
{
    struct dial_attempt *t = (struct dial_attempt *)arg;
    struct dial_attempts *a = t->owner;
    (void)events;
    int failure = socket_connected(t->socket);
    if (failure) {
        attempt_failed(t, failure);
        go_on(a);
        return;
    }
    udptun_socket socket = t->socket;
    struct udptun_endpoint to = t->to;
    dial_attempts_done *done = a->done;
    void *done_arg = a->arg;
    watch_stop(&t->watch);
    t->socket = NO_SOCKET;
    dial_attempts_stop(a);
    done(done_arg, socket, &to, 0);
}

/* 0: under way, or the failure. */
static int attempt_start(struct dial_attempt *t)
{
    struct dial_attempts *a = t->owner;
    int failure = socket_connect(&t->to, a->rules, &t->socket);
    if (failure)
        return failure;
    watch_init(&t->watch, a->loop, attempt_event, t);
    return watch_start(&t->watch, t->socket, LOOP_WRITE) < 0 ? io_error(IO_NO_MEMORY) : 0;
}

static void start_next(struct dial_attempts *a)
{
    while (a->started < a->count) {
        struct dial_attempt *t = &a->list[a->started++];
        int failure = attempt_start(t);
        if (failure == 0)
            break;
        attempt_failed(t, failure);
    }
    if (a->started < a->count) {
        timer_start(&a->stagger, STAGGER_US);
    } else if (a->failed == a->count) {
        go_on(a);
    }
}

static void on_stagger(void *arg)
{
    start_next((struct dial_attempts *)arg);
}

void dial_attempts_start(struct dial_attempts *a, struct loop *loop,
                         const struct udptun_endpoint *eps, size_t count,
                         const struct socket_rules *rules, dial_attempts_done *done, void *arg)
{
    *a = (struct dial_attempts){
        .loop = loop, .rules = rules, .done = done, .arg = arg, .count = count};
    for (size_t i = 0; i < count; i++)
        a->list[i] = (struct dial_attempt){.owner = a, .socket = NO_SOCKET, .to = eps[i]};
    timer_init(&a->stagger, loop, on_stagger, a);
    timer_start(&a->stagger, 0);
}

static bool dial_attempts_is_listed(const struct dial_attempts *a, const struct udptun_endpoint *ep)
{
    for (size_t i = 0; i < a->count; i++)
        if (endpoint_equal(&a->list[i].to, ep))
            return true;
    return false;
}

void dial_attempts_add(struct dial_attempts *a, const struct udptun_endpoint *eps, size_t count)
{
    bool is_waiting = a->count > 0 && a->started == a->count;
    for (size_t i = 0; i < count && a->count > 0 && a->count < RESOLVER_MAX_ADDRESSES; i++)
        if (!dial_attempts_is_listed(a, &eps[i]))
            a->list[a->count++] =
                (struct dial_attempt){.owner = a, .socket = NO_SOCKET, .to = eps[i]};
    if (is_waiting && a->started < a->count)
        timer_start(&a->stagger, 0);
}

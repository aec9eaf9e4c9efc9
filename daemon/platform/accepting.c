/* SPDX-License-Identifier: Apache-2.0 */
/* accepting.c - see accepting.h. */
#include "daemon/platform/accepting.h"

enum { REST_US = 1000000 };

/* ---- spares -------------------------------------------------------------------------------- */

void accepting_refill(struct accepting *a)
{
    for (unsigned i = 0; a->has_spares && i < ACCEPTING_SPARES; i++)
        if (a->spares[i] == NO_SOCKET && socket_copy(a->listening, &a->spares[i]) != 0)
            a->spares[i] = NO_SOCKET;
}

static bool give_up_spare(struct accepting *a)
{
    for (unsigned i = 0; a->has_spares && i < ACCEPTING_SPARES; i++) {
        if (a->spares[i] != NO_SOCKET) {
            socket_close(a->spares[i]);
            a->spares[i] = NO_SOCKET;
            return true;
        }
    }
    return false;
}

void accepting_keep_spares(struct accepting *a)
{
    for (unsigned i = 0; i < ACCEPTING_SPARES; i++)
        a->spares[i] = NO_SOCKET;
    a->has_spares = true;
    accepting_refill(a);
}

/* ---- accepting ----------------------------------------------------------------------------- */

static void accepting_rest(struct accepting *a, int failure)
{
    if (a->ops->shortage)
        a->ops->shortage(a->arg, failure);
    watch_set(&a->readable, 0);
    timer_start(&a->again, REST_US);
}

/* The next stream, for which a spare is given up if need be. 0 or the system's error number. */
static int accept_one(struct accepting *a)
{
    struct udptun_endpoint from = {0};
    udptun_socket socket;
    int failure;
    do
        failure = socket_accept(a->listening, &from, &socket);
    while (io_of(failure) == IO_FULL && give_up_spare(a));
    if (failure == 0)
        a->ops->taken(a->arg, socket, &from);
    return failure;
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct accepting *a = (struct accepting *)arg;
    for (unsigned i = 0; i < a->most && watch_is_on(&a->readable); i++) {
        int failure = accept_one(a);
        enum io what = io_of(failure);
        if (io_is_shortage(what))
            accepting_rest(a, failure);
        if (what != IO_OK && what != IO_ABORTED)
            break;
    }
    /* The system wants a free number even to say that nobody waits. */
    accepting_refill(a);
}

static void on_again(void *arg)
{
    struct accepting *a = (struct accepting *)arg;
    watch_set(&a->readable, LOOP_READ);
}

void accepting_init(struct accepting *a, struct loop *loop, const struct accepting_ops *ops,
                    void *arg, unsigned most)
{
    *a = (struct accepting){.ops = ops, .arg = arg, .most = most, .listening = NO_SOCKET};
    watch_init(&a->readable, loop, on_readable, a);
    timer_init(&a->again, loop, on_again, a);
}

int accepting_start(struct accepting *a, udptun_socket listening)
{
    a->listening = listening;
    return watch_start(&a->readable, listening, LOOP_READ);
}

void accepting_stop(struct accepting *a)
{
    watch_stop(&a->readable);
    timer_stop(&a->again);
    while (give_up_spare(a))
        continue;
    a->has_spares = false;
}

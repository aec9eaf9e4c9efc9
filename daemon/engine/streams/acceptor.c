/* SPDX-License-Identifier: Apache-2.0 */
/* acceptor.c - accept, and rest when there are no descriptors. */
#include "daemon/engine/streams/acceptor.h"

enum {
    MAX_ACCEPTS = 64, /* per turn */
    REST_US = 1000000,
};

static void rest(struct acceptor *a, int failure)
{
    char text[IO_TEXT_SIZE];
    engine_log_gated(a->engine, &a->gate, UDPTUN_LOG_ERROR, a->module,
                     "%s: cannot accept: %s; trying again in a second", a->name,
                     io_text(failure, text));
    watch_set(&a->readable, 0);
    timer_start(&a->again, REST_US);
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct acceptor *a = (struct acceptor *)arg;
    for (int i = 0; i < MAX_ACCEPTS; i++) {
        struct udptun_endpoint from = {0};
        udptun_socket socket;
        int failure = socket_accept(a->listening, &from, &socket);
        enum io what = io_of(failure);
        if (what == IO_OK) {
            a->taken(a->arg, socket, &from);
            continue;
        }
        if (io_is_shortage(what))
            rest(a, failure);
        if (what != IO_ABORTED)
            break;
    }
}

static void on_again(void *arg)
{
    struct acceptor *a = (struct acceptor *)arg;
    watch_set(&a->readable, LOOP_READ);
}

void acceptor_init(struct acceptor *a, struct udptun_engine *e, const char *module,
                   const char *name, acceptor_taken *taken, void *arg)
{
    struct loop *loop = &e->loop;
    *a = (struct acceptor){.engine = e,
                           .module = module,
                           .name = name,
                           .taken = taken,
                           .arg = arg,
                           .listening = NO_SOCKET};
    watch_init(&a->readable, loop, on_readable, a);
    timer_init(&a->again, loop, on_again, a);
}

int acceptor_start(struct acceptor *a, udptun_socket listening)
{
    a->listening = listening;
    return watch_start(&a->readable, listening, LOOP_READ);
}

void acceptor_stop(struct acceptor *a)
{
    watch_stop(&a->readable);
    timer_stop(&a->again);
}

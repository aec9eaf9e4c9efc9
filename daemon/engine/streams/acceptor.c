/* SPDX-License-Identifier: Apache-2.0 */
/* acceptor.c - see acceptor.h; accepting.c of the platform does the work. */
#include "daemon/engine/streams/acceptor.h"

enum { MAX_ACCEPTS = 64 }; /* per turn */

static void on_shortage(void *arg, int failure)
{
    struct acceptor *a = (struct acceptor *)arg;
    char text[IO_TEXT_SIZE];
    if (io_of(failure) == IO_FULL)
        cap_descriptors(a->engine, a->cap, a->module, a->name, "a new connection");
    else
        cap_reached(a->engine, a->cap, a->module, a->name,
                    "cannot accept: %s; trying again every second", io_text(failure, text));
}

static void on_taken(void *arg, udptun_socket socket, const struct udptun_endpoint *from)
{
    const struct acceptor *a = (const struct acceptor *)arg;
    a->taken(a->arg, socket, from);
}

static const struct accepting_ops ops = {.taken = on_taken, .shortage = on_shortage};

void acceptor_init(struct acceptor *a, struct udptun_engine *e, const char *module,
                   const char *name, struct cap_note *cap, acceptor_taken *taken, void *arg)
{
    *a = (struct acceptor){
        .engine = e, .module = module, .name = name, .cap = cap, .taken = taken, .arg = arg};
    accepting_init(&a->accepting, &e->loop, &ops, a, MAX_ACCEPTS);
}

int acceptor_start(struct acceptor *a, udptun_socket listening)
{
    return accepting_start(&a->accepting, listening);
}

void acceptor_stop(struct acceptor *a)
{
    accepting_stop(&a->accepting);
}

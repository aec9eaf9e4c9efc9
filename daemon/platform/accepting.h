/* SPDX-License-Identifier: Apache-2.0 */
/*
 * accepting.h - takes streams from a listening socket: the one place that knows what to do when
 * descriptors run out.
 *
 * The listening socket stays readable for ever then, so it is left alone for a second; the streams
 * wait in the kernel. A socket whose clients must get in even so (the command socket: its users
 * come to see why there are no descriptors left) keeps a few spares: descriptors held for nothing
 * but their numbers, given up to accept, and taken again before anything else gets them.
 */
#ifndef PLATFORM_ACCEPTING_H
#define PLATFORM_ACCEPTING_H

#include "daemon/platform/loop.h"
#include "daemon/platform/socket.h"

#define ACCEPTING_SPARES 4

struct accepting_ops {
    /* A stream from `from` (family NONE: a local socket); `socket` is the callee's. */
    void (*taken)(void *arg, udptun_socket socket, const struct udptun_endpoint *from);
    /* No descriptor or memory is left; it goes on in a second. `failure` is the system's error
     * number. May be NULL. */
    void (*shortage)(void *arg, int failure);
};

struct accepting {
    const struct accepting_ops *ops;
    void *arg;
    unsigned most; /* streams a turn of the loop */
    udptun_socket listening;
    struct io_watch readable;
    struct timer again;
    bool has_spares;
    udptun_socket spares[ACCEPTING_SPARES]; /* NO_SOCKET: given up */
};

/* `ops` stays the caller's. */
void accepting_init(struct accepting *a, struct loop *loop, const struct accepting_ops *ops,
                    void *arg, unsigned most);
/* UDPTUN_OK or UDPTUN_E_NOMEM. `listening` stays the caller's, and open until accepting_stop(). */
int accepting_start(struct accepting *a, udptun_socket listening);
/* Harmless when it does not run, or is all zero. */
void accepting_stop(struct accepting *a);

/* Keep spares from now on, while it runs. */
void accepting_keep_spares(struct accepting *a);
/* A descriptor was closed: spares that were given up are taken again. */
void accepting_refill(struct accepting *a);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial_attempts.h - a TCP connection to the first of several addresses that answers
 * (RFC 8305, happy eyeballs). Private to the dialer.
 */
#ifndef ENGINE_DIAL_ATTEMPTS_H
#define ENGINE_DIAL_ATTEMPTS_H

#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/loop.h"
#include "daemon/platform/socket.h"

struct dial_attempts;

struct dial_attempt {
    struct dial_attempts *owner;
    struct io_watch watch;
    udptun_socket socket; /* NO_SOCKET: not started, or failed */
    struct udptun_endpoint to;
};

/* `socket` is the callee's; or NO_SOCKET, and `failure` (the system's number) and `to` are those of
 * the failure that says most. Never from inside dial_attempts_start(). */
typedef void dial_attempts_done(void *arg, udptun_socket socket, const struct udptun_endpoint *to,
                                int failure);

struct dial_attempts {
    struct loop *loop;
    const struct socket_rules *rules;
    dial_attempts_done *done;
    void *arg;
    struct timer stagger; /* until the next address is tried */
    size_t count, started, failed;
    int best_failure; /* of the failure that says most so far, 0: none */
    struct udptun_endpoint best_to;
    struct dial_attempt list[RESOLVER_MAX_ADDRESSES];
};

/* `count` from 1 to RESOLVER_MAX_ADDRESSES; `rules` must stay. */
void dial_attempts_start(struct dial_attempts *a, struct loop *loop,
                         const struct udptun_endpoint *eps, size_t count,
                         const struct socket_rules *rules, dial_attempts_done *done, void *arg);

/* More addresses became known: those that are new are tried as well. Harmless when the attempts
 * have ended. */
void dial_attempts_add(struct dial_attempts *a, const struct udptun_endpoint *eps, size_t count);

/* Ends every attempt; harmless on one that was zeroed or has ended. */
void dial_attempts_stop(struct dial_attempts *a);

#endif

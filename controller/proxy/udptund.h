/* SPDX-License-Identifier: Apache-2.0 */
/*
 * udptund.h - the connection to udptund, through libclient.
 *
 * ProxyController may be root, its clients are not: every connection begins with `hello` and an
 * operator's role, and nothing is sent before that is granted. A connection is made when a call
 * needs one, or kept as long as udptund_keep() wants it: then it is made again when it is lost.
 */
#ifndef PROXY_UDPTUND_H
#define PROXY_UDPTUND_H

#include <jansson.h>
#include <stdbool.h>
#include <udptun/client.h>
#include <udptun/client_ev.h>

#include "daemon/platform/loop.h"
#include "daemon/platform/socket.h"
#include "proto/list.h"

struct udptund_ops {
    /* The role was granted on a new connection: whatever we set may be gone. */
    void (*connected)(void *arg);
    /* An event of topic "state", as JSON text. NULL: they are not subscribed to. */
    void (*event)(void *arg, const char *json);
    /* A connection that was kept is lost. */
    void (*lost)(void *arg, const struct udptun_error *why);
};

struct udptund {
    struct loop *loop;
    const char *path; /* of its socket, as given to udptund_open() */
    udptun_client *client;
    struct udptun_client_ev in_loop;
    struct timer retry;
    uint64_t pause_us;
    bool kept;
    bool greeting;    /* hello is under way */
    uint64_t granted; /* generation of the connection that has the role; 0: none */
    struct list waiting;
    const struct udptund_ops *ops;
    void *arg;
};

/* `path` NULL: where libclient looks. */
int udptund_open(struct udptund *u, struct loop *loop, const char *path,
                 const struct udptund_ops *ops, void *arg, struct udptun_error *err);
/* Calls under way fail. */
void udptund_close(struct udptund *u);

/* Stay connected from now on, or only as long as a call needs it. */
void udptund_keep(struct udptund *u, bool kept);

/* As udptun_client_call(), `fd` (NO_SOCKET: none) passed along as "fd:0", `timeout_s` 0: the usual.
 * `done` is called exactly once, possibly before this returns. */
void udptund_call(struct udptund *u, const char *action, const json_t *parameters, udptun_socket fd,
                  double timeout_s, udptun_client_reply_fn done, void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server.h - the connections of the command socket.
 *
 * Knows bytes, limits and order, not what a message means: each whole message goes to
 * dispatch_message(), which answers through conn_reply(), at once or later. A connection takes
 * its next message when the one before was answered, so that replies come in order.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <ev.h>

#include "daemon/control/conn_fds.h"
#include "daemon/control/events.h"
#include "daemon/control/listener.h"
#include "daemon/control/peer.h"
#include "proto/control/envelope.h"
#include "proto/list.h"

#define SERVER_MAX_CONNECTIONS 256
#define SERVER_MAX_PER_USER    64 /* root and the daemon's own user apart */
#define SERVER_KEPT_FOR_ROOT   8
#define SERVER_REFUSED         8 /* refused connections that are still open for a moment */
#define SERVER_SPARES          4 /* connections that can still come when descriptors ran out */

struct control;
struct call;

struct server {
    struct control *control;
    struct listener listener;
    struct list connections;
    unsigned count;
    ev_io accepting;
    ev_timer pause;              /* accepting goes on after it when descriptors ran out */
    ev_tstamp refusal_logged;    /* a user who insists does not fill the log */
    int refused[SERVER_REFUSED]; /* the latest, in a ring; -1: none */
    unsigned next_refused;
    ev_timer forget; /* closes them */
    /* Descriptors held for nothing but their numbers: given up to accept somebody who comes to see
     * why there are none left, had again before anything else gets them. -1: given up. */
    int spares[SERVER_SPARES];
};

struct conn {
    struct list node;
    struct server *server;
    struct peer peer;  /* `role` is what is in force, after a step down in `hello` */
    struct call *call; /* taken and not yet answered; NULL: none */
    struct scan scan;
    uint8_t *in; /* received, from the message being scanned on */
    size_t in_size, in_room;
    size_t scanned; /* of `in` */
    uint8_t *out;   /* to be sent, from out_at on */
    size_t out_size, out_room, out_at;
    struct fds_in fds; /* of messages that were not taken yet */
    struct watch watch;
    bool busy;        /* a function of server.c is using it: end it later */
    bool ended;       /* to be freed as soon as it is not busy */
    bool half_closed; /* the client sends no more */
    bool closing;     /* framing is lost: send what waits, take nothing more */
    ev_io readable, writable;
    ev_timer deadline; /* for a message to end, or a closing connection to be closed */
    ev_timer lookout;  /* for a watcher to read, or a half-closed client to be gone */
};

/* Takes over `listener`. */
void server_start(struct server *server, struct control *control, struct listener *listener);

/* Ends every connection; calls under way lose theirs. */
void server_stop(struct server *server);

/* A descriptor was closed: spares that were given up are had again. */
void server_keep_spares(struct server *server);

/* Send the answer to the connection's call, which is over with this; takes over `bytes`. The
 * connection may be gone afterwards. */
void conn_reply(struct conn *conn, struct envelope_bytes bytes);

#endif

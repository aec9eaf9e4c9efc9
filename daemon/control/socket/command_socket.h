/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_socket.h - the connections of the command socket.
 *
 * Knows bytes, limits and order, not what a message means: each whole message goes to
 * dispatch_message(), which answers through command_conn_reply(), at once or later. A connection
 * takes its next message when the one before was answered, so that replies come in order. A call
 * with an id whose answer takes long may step aside: the next ones do not wait for it.
 */
#ifndef CONTROL_COMMAND_SOCKET_H
#define CONTROL_COMMAND_SOCKET_H

#include "daemon/control/socket/command_fds.h"
#include "daemon/control/socket/peer.h"
#include "daemon/platform/accepting.h"
#include "daemon/platform/process/command_listener.h"
#include "daemon/service/command_slots.h"
#include "proto/control/envelope.h"
#include "proto/list.h"

#define COMMAND_SOCKET_MAX_CONNECTIONS 256
#define COMMAND_SOCKET_REFUSED         8 /* refused connections that are still open for a moment */
#define COMMAND_SOCKET_DEBTS           8 /* users whose next connections wait */

struct control;
struct call;
struct command_conn;

#define WATCHER_TIME_US (COMMAND_READER_TIME_S * UINT64_C(1000000)) /* to read something */

/* What a connection watches; part of struct command_conn. */
struct watcher {
    unsigned topics;      /* bit n: topic n of control.proto */
    unsigned lost_topics; /* of which events were left out, and the watcher was not told */
    uint64_t lost;
    uint64_t seq; /* of the last event */
};

/* A connection of that user was closed for what it sent: the next ones are not read before then, or
 * a client that connects again each time would have more of the loop than one that stays. */
struct command_debt {
    uint32_t uid;
    uint64_t until_us; /* by clock_us() */
};

struct command_socket {
    struct control *control;
    void (*room)(struct command_conn *conn); /* its output was sent: events have room again */
    struct command_listener listener;
    struct list connections;
    unsigned count;
    struct accepting accepting; /* with spares, for who comes to see why no descriptors are left */
    uint64_t refusal_logged_us; /* a user who insists does not fill the log */
    udptun_socket refused[COMMAND_SOCKET_REFUSED]; /* the latest, in a ring; NO_SOCKET: none */
    unsigned next_refused;
    struct timer forget;                             /* closes them */
    struct command_debt debts[COMMAND_SOCKET_DEBTS]; /* the latest, in a ring */
    unsigned next_debt;
};

struct command_conn {
    struct list node;
    struct command_socket *server;
    struct command_peer peer; /* `role` is what is in force, after a step down in `hello` */
    struct call *call;        /* taken and not yet answered; NULL: none */
    struct list aside;        /* calls that stepped aside, not yet answered */
    struct scan scan;
    uint8_t *in; /* received, from the message being scanned on */
    size_t in_size, in_room;
    size_t scanned; /* of `in` */
    uint8_t *out;   /* to be sent, from out_at on */
    size_t out_size, out_room, out_at;
    struct fds_in fds; /* of messages that were not taken yet */
    struct watcher watch;
    bool busy;             /* a function of command_socket.c is using it: end it later */
    bool ended;            /* to be freed as soon as it is not busy */
    bool half_closed;      /* the client sends no more */
    bool closing;          /* framing is lost: send what waits, take nothing more */
    bool refused;          /* the latest call failed */
    bool is_late;          /* nothing is read before `pause` ends: struct command_debt */
    uint64_t spent_us;     /* on the message that is being received, so far */
    struct timer pause;    /* messages are taken again when it ends */
    struct io_watch io;    /* its socket is the connection's */
    struct timer deadline; /* for a message to end, or a closing connection to be closed */
    struct timer lookout;  /* for a watcher to read, or a half-closed client to be gone */
};

/* Takes over `listener`. `room` as in the struct. UDPTUN_OK or UDPTUN_E_NOMEM;
 * command_socket_stop() in either case. */
int command_socket_start(struct command_socket *server, struct control *control,
                         struct command_listener *listener,
                         void (*room)(struct command_conn *conn));

/* The next connections of that user wait for `for_us` from now. */
void command_socket_note_debt(struct command_socket *server, uint32_t uid, uint64_t for_us);
/* How long a new connection of that user waits. */
uint64_t command_socket_debt_us(const struct command_socket *server, uint32_t uid);

/* Ends every connection; calls under way lose theirs. */
void command_socket_stop(struct command_socket *server);

/* Send the answer to the connection's call, which is over with this; takes over `bytes`. The
 * connection may be gone afterwards. */
void command_conn_reply(struct command_conn *conn, struct envelope_bytes bytes);

/* The same for a call that stepped aside. */
void command_conn_reply_aside(struct command_conn *conn, struct envelope_bytes bytes);

/* The connection's call stepped aside: take the next message. The connection may be gone
 * afterwards. */
void command_conn_go_on(struct command_conn *conn);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * internal.h - what the files of libclient share; client.c has the theory of operation.
 *
 *   client.c       the handle: life, what a loop asks, process()
 *   connection.c   connecting, losing and retrying; bytes out and in
 *   greeting.c     what the daemon can do: hello, deadlines
 *   request.c      the queue of calls; accepting, completing, timing out
 *   reply.c        what came: replies to their requests, events to the app
 *   inbox.c        bytes in, whole JSON objects out
 *   socket_path.c  where the daemon's socket is
 *   sync.c         waiting for a call
 *   actions.c      a function for each action
 *   value.c        reading and making JSON for apps without a library for it
 */
#ifndef LIBCLIENT_INTERNAL_H
#define LIBCLIENT_INTERNAL_H

#include <jansson.h>
#include <udptun/client.h>

#include "daemon/platform/socket.h"
#include "libclient/inbox.h"
#include "proto/control/json.h"
#include "proto/list.h"

/* A longer message is refused by the daemon. */
#define MAX_REQUEST_BYTES ((size_t)1 << 20)

#define MAX_SOCKET_PATHS 2

/* Room for `,"deadline":N` in a message. */
#define DEADLINE_ROOM 48

enum request_kind {
    REQUEST_APP,
    REQUEST_GREETING, /* hello, see greeting.c */
    REQUEST_RENEWAL,  /* of a subscription, after a reconnection */
    REQUEST_CANCEL,   /* withdraws one that was given up */
};

enum greeting {
    GREETING_NONE,
    GREETING_SENT,
    GREETING_ANSWERED, /* or there was no memory to ask */
};

struct request {
    enum request_kind kind; /* all but REQUEST_APP are the library's own */
    struct list node;       /* in client->requests, in the order of sending */
    uint64_t id;
    char *text; /* the message with its newline, and room for a deadline behind it */
    size_t size;
    size_t sent; /* bytes of `text` that the kernel has */
    udptun_socket fds[UDPTUN_CLIENT_MAX_FDS];
    size_t fd_count;     /* 0 once they went with the first byte */
    int64_t deadline_ms; /* monotonic; -1: none */
    udptun_client_reply_fn done;
    void *arg;
    bool abandoned;     /* completed, but the rest of `text` must go out to keep the framing */
    char *subscription; /* parameters to renew once this one succeeded, or NULL */
};

struct udptun_client {
    struct udptun_client_config config;
    char *paths[MAX_SOCKET_PATHS]; /* in the order in which they are tried */
    size_t path_count;
    size_t path_at;         /* the one connected to, or to be tried first */
    udptun_socket fd;       /* NO_SOCKET: none */
    uint64_t generation;    /* connections made so far */
    enum greeting greeting; /* on this connection; the next three follow from it */
    bool can_cancel;        /* the daemon knows "cancel" */
    bool has_deadlines;     /* the daemon knows "deadline" */
    int64_t clock_ahead_ms; /* the daemon's clock less ours */
    struct inbox inbox;
    struct list requests;
    uint64_t last_id;
    char *subscription;             /* parameters of the subscription to renew, or NULL */
    int64_t pause_ms;               /* before the attempt after the next failure */
    int64_t retry_at_ms;            /* no attempt before this */
    struct udptun_error last_error; /* why there is no connection; code 0: none was tried */
    struct udptun_error parting;    /* what the daemon said to nobody before it closed */
    unsigned depth;                 /* calls of this library on the stack that may fire callbacks */
    bool freed;                     /* the app's handle is gone; memory goes at depth 0 */
};

/* client.c */
int64_t client_now_ms(void);
void client_enter(struct udptun_client *client);
/* Returns false when this was the last use of a freed client: the memory is gone. */
bool client_leave(struct udptun_client *client);

/* socket_path.c: fill paths and path_count. 0, UDPTUN_E_INVALID, UDPTUN_E_NOMEM. */
int socket_paths_find(struct udptun_client *client, const char *given, struct udptun_error *err);

/* connection.c */
bool connection_wanted(const struct udptun_client *client);
/* Try every path once. 0, or the code left in last_error. */
int connection_open(struct udptun_client *client);
/* Send and receive what is possible now; a loss is handled inside. */
void connection_work(struct udptun_client *client);
void connection_close(struct udptun_client *client);

/* greeting.c */
/* Whether `request` cannot be sent before the daemon has answered hello. */
bool greeting_holds(const struct udptun_client *client, const struct request *request);
/* Put hello into the queue before that one. */
void greeting_send(struct udptun_client *client, struct request *before);
void greeting_answered(struct udptun_client *client, const json_t *reply);
/* The connection is gone. */
void greeting_forget(struct udptun_client *client);
/* Before the first byte of `request` is sent: give it its deadline. False: the daemon does not know
 * such requests. */
bool greeting_allows(struct udptun_client *client, struct request *request);

/* request.c */
int request_accept(struct udptun_client *client, const struct udptun_client_request *given,
                   udptun_client_reply_fn done, void *arg, struct request **out,
                   struct udptun_error *err);
/* The subscription again, ahead of everything else. 0 or UDPTUN_E_NOMEM. */
int request_renew_subscription(struct udptun_client *client);
struct request *request_find(struct udptun_client *client, uint64_t id);
struct request *request_oldest(struct udptun_client *client);
/* The first one with bytes to send, or NULL: none, or it waits for the daemon. */
struct request *request_to_send(const struct udptun_client *client);
/* Its copies of descriptors are no longer needed. */
void request_close_fds(struct request *request);
/* Forget one that was not sent, without a word. */
void request_drop(struct request *request);
/* All of `request` is with the kernel. */
void request_was_sent(struct request *request);
/* Fire the callback and forget the request. */
void request_complete(struct udptun_client *client, struct request *request,
                      const struct udptun_client_reply *reply);
void request_fail(struct udptun_client *client, struct request *request,
                  const struct udptun_error *err);
/* Fail those of which a byte was sent, or all. Calls made meanwhile are spared. */
void requests_fail(struct udptun_client *client, bool sent_only, const struct udptun_error *err);
void requests_time_out(struct udptun_client *client);
/* The earliest deadline, -1: none. */
int64_t requests_deadline_ms(const struct udptun_client *client);

/* reply.c: one whole object, `text` ends in NUL. 0, or a code that ends the connection. */
int reply_dispatch(struct udptun_client *client, const char *text, size_t size,
                   struct udptun_error *err);

#endif

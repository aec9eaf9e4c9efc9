/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dispatch.h - from a message to the handler of its action, and back with the answer.
 *
 * A *call* is one request that was taken. Its handler answers it exactly once, by call_return()
 * or call_fail(), before it returns or later; the call is freed by that. The client may be gone
 * by then: the answer is then dropped.
 */
#ifndef CONTROL_DISPATCH_H
#define CONTROL_DISPATCH_H

#include "daemon/control/socket/command_fds.h"
#include "daemon/control/socket/peer.h"
#include "proto/control/envelope.h"
#include "proto/list.h"

#define DISPATCH_ID_SIZE 64 /* most bytes of an `id` that is a string */

/* What one message may have in it: members of objects and items of lists; objects and lists. */
#define DISPATCH_MAX_VALUES     65792 /* 65,536 targets, and the other fields */
#define DISPATCH_MAX_CONTAINERS 8192

struct command_conn;
struct control;
struct call;

/* How much the parameters of an action can be. A message with more is refused before anything is
 * built of it, so that it costs no more than reading it. */
enum load {
    LOAD_SMALL,
    LOAD_OBJECT,  /* one object, whose lists may be long */
    LOAD_OBJECTS, /* all objects */
};

/* One row of the action table (actions.c). */
struct action {
    const char *name;
    enum role role; /* the least that may call it */
    enum load load;
    const ProtobufCMessageDescriptor *parameters;
    const char *required[2];           /* parameters that must be there, by their JSON names */
    void (*handle)(struct call *call); /* NULL: answered UNSUPPORTED */
    const char *help;                  /* one line */
};

struct call {
    struct control *control;
    struct command_conn *conn; /* NULL: the client has gone */
    struct list aside;         /* in conn->aside after call_step_aside() */
    /* Ends the work and the call at once when its client goes or cancels it (then `conn` is still
     * there); NULL: the call goes on to its end, and the answer to a client that went is dropped.
     */
    void (*give_up)(struct call *call, void *arg);
    void *give_up_arg;
    const struct action *action;
    enum role role; /* the caller's */
    envelope_msg *request;
    const ProtobufCMessage *parameters; /* of kind action->parameters; belongs to the call */
    struct fds fds;                     /* that came with it; what is left is closed at the end */
    ProtobufCMessage *none;             /* stands in where the request has no parameters */
};

/* One whole message of `conn`, delimited by the scanner. The descriptors that came with it are
 * taken over. */
void dispatch_message(struct command_conn *conn, const uint8_t *data, size_t size, struct fds *fds);

/* Answer `call`; `value` (NULL: none) stays the caller's. */
void call_return(struct call *call, const return_msg *value);
void call_fail(struct call *call, const struct udptun_error *err);

/* Whether `call` may not be begun any more: its client gave it a deadline, and this has passed or
 * the client has gone. Asked before each step that changes something. */
bool call_is_void(const struct call *call);
/* The error to answer it with; returns its code. */
int call_void_error(const struct call *call, struct udptun_error *err);

/* The answer takes long: let the next requests of the connection be served. Only the answer to a
 * request with an id can be told from theirs; one without keeps its place. The call, and more of
 * the connection's, may be over when this returns. */
void call_step_aside(struct call *call);

/* The connection ended before the answer. */
void call_abandon(struct call *call);

/* The answer to what is no request, in the encoding of `conn`; to whom nothing was asked by. */
struct envelope_bytes dispatch_error(const struct command_conn *conn, int code, const char *why);
struct envelope_bytes dispatch_refusal(int code, const char *why);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the control plane of udptund: command socket, configured objects, state.
 *
 * Theory of operation. One libev loop, main.c's, runs the engine and the command socket; what
 * may block (writing state) is done by one worker thread.
 *
 *     command_socket.c, command_conn.c    connections: bytes, limits, order
 *         | a whole message                              ^ an answer
 *     dispatch.c          Envelope -> row of the action table -> handler -> Envelope
 *         |
 *     actions.c           the table;  action_*.c  the handlers
 *         |                    |
 *     change.c            one change after another: store.c (disk), engine, objects.c (memory)
 *
 * The engine is reached through <udptun/engine.h> only. Everything here runs on the loop's
 * thread, but for the two functions of store.h that say otherwise.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <ev.h>

#include <udptun/engine.h>

#include "daemon/control/actions/wait.h"
#include "daemon/control/change/change.h"
#include "daemon/control/report/watchers.h"
#include "daemon/control/socket/command_socket.h"
#include "daemon/control/store/objects.h"
#include "daemon/control/store/store.h"
#include "daemon/control/store/worker.h"
#include "daemon/service/log.h"

struct control_config {
    struct ev_loop *loop;
    struct log *log;
    const char *socket_path;
    mode_t socket_mode;
    const char *socket_group;    /* NULL: as command_listener_open() says */
    int socket_fd;               /* handed over by a service manager; -1: none, it is made */
    const char *state_dir;       /* NULL: nothing is kept */
    const char *config_path;     /* the config file, absolute; stays the caller's. NULL: none */
    const config_msg *file;      /* what is in it, checked; stays the caller's. NULL: none */
    const char *metrics;         /* where to serve them by HTTP; NULL: nowhere */
    void (*shutdown)(void *arg); /* a client asked for an orderly stop; called on the loop */
    /* The config file is being read again; or (false) that is over. */
    void (*reloading)(void *arg, bool begun);
    void *arg;
};

struct control {
    struct ev_loop *loop;
    struct log *log;
    udptun_engine *engine;
    struct command_socket socket;
    struct objects objects;
    struct store store;
    struct worker *worker;
    struct changes changes;
    struct waits waits;
    struct watchers watchers;
    struct metrics_http *metrics; /* NULL: none */
    const char *config_path;      /* NULL: no config file */
    uint64_t started_s;           /* by the monotonic clock */
    bool stopping;
    void (*shutdown)(void *arg);
    void (*reloading)(void *arg, bool begun);
    void *arg;
};

/*
 * Start everything; connections are taken when the loop runs. NULL and `err`:
 * UDPTUN_E_BAD_REQUEST, UDPTUN_E_INVALID and UDPTUN_E_UNSUPPORTED mean a bad configuration or
 * state, any other code a failure.
 */
struct control *control_new(const struct control_config *config, struct udptun_error *err);

/* Orderly stop: calls under way are answered, peers told, the socket removed. */
void control_free(struct control *control);

/* Seconds since the start. */
uint64_t control_uptime_s(const struct control *control);

/* ---- apply.c: objects of either kind and the engine; `path` goes before the field of an error -
 */

/* Whether the engine would take it. Without its `means` (NULL: none) a key file is read here. Any
 * thread. */
int control_check(ProtobufCMessage *message, const struct means *means, const char *path,
                  struct udptun_error *err);

/* `message` (NULL is accepted) is a local whose session may be kept on the disk, and nothing that
 * runs knows it better. */
bool control_needs_identity(const struct control *control, ProtobufCMessage *message);

/* Make what runs be as `message` says. */
int control_apply(struct control *control, ProtobufCMessage *message, const struct means *means,
                  const char *path, bool *changed, struct udptun_error *err);

/* End what runs under that name; that nothing does is no error. */
int control_remove(struct control *control, const char *name, const char *path,
                   struct udptun_error *err);

/* Log that others may read the key of `message`. */
void control_warn_exposed(struct control *control, ProtobufCMessage *message);

/* ---- reload.c ---------------------------------------------------------------------------------
 */

/* Read the config file again and make what is its own be as it says. `call` (NULL: nobody asked)
 * is answered at the end. */
void control_reload(struct control *control, struct call *call);

#endif

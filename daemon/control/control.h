/* SPDX-License-Identifier: Apache-2.0 */
/*
 * control.h - the control plane of udptund: command socket, configured objects, state.
 *
 * Theory of operation. One loop, main.c's, runs the engine and the command socket; what
 * may block (writing state) is done by one worker thread.
 *
 *     socket/   command_socket.c, command_conn.c: connections, bytes, limits, order
 *                   | a whole message                              ^ an answer
 *               dispatch.c: Envelope -> row of the action table -> handler -> Envelope
 *                   |
 *     actions/  actions.c: the table;  action_*.c: the handlers
 *                   |
 *     change/   change.c: one change after another; apply.c: the engine
 *     report/   status, metrics, events to watchers
 *     store/    objects.c: what is configured; store.c: the disk; state.h: what all share
 *
 * The engine is reached through <udptun/engine.h> only. Everything here runs on the loop's
 * thread, but for the two functions of store.h that say otherwise.
 */
#ifndef CONTROL_CONTROL_H
#define CONTROL_CONTROL_H

#include <udptun/error.h>

#include "daemon/platform/loop.h"
#include "daemon/platform/socket.h"
#include "daemon/service/log.h"
#include "proto/control/messages.h"

struct control_config {
    int64_t max_buffer_bytes; /* of the engine's config */
    struct loop *loop;        /* of loop_init_own() or loop_init_ev() */
    struct log *log;
    const char *socket_path;
    unsigned socket_mode;        /* permissions, as 0660 */
    const char *socket_group;    /* NULL: as command_listener_open() says */
    udptun_socket listening;     /* handed over by a service manager; NO_SOCKET: it is made */
    const char *state_dir;       /* NULL: nothing is kept */
    const char *config_path;     /* the config file, absolute; stays the caller's. NULL: none */
    const config_msg *file;      /* what is in it, checked; stays the caller's. NULL: none */
    const char *metrics;         /* where to serve them by HTTP; NULL: nowhere */
    void (*shutdown)(void *arg); /* a client asked for an orderly stop; called on the loop */
    /* The config file is being read again; or (false) that is over. */
    void (*reloading)(void *arg, bool begun);
    void *arg;
};

struct control;

/*
 * Start everything; connections are taken when the loop runs. NULL and `err`:
 * UDPTUN_E_BAD_REQUEST, UDPTUN_E_INVALID and UDPTUN_E_UNSUPPORTED mean a bad configuration, any
 * other code a failure. A state that is damaged or newer is set aside (store/store.h).
 */
struct control *control_new(const struct control_config *config, struct udptun_error *err);

/* The end of a batch of the loop, which is asked for when there is one. */
void control_turn(struct control *control);

/* Orderly stop: calls under way are answered, peers told, the socket removed. */
void control_free(struct control *control);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.h - making one configured object be otherwise, durably or not at all.
 *
 * Changes run one after another. Each goes
 *
 *     checked -> state prepared on disk -> engine configured -> state committed -> answered
 *                     (worker)                                     (worker)
 *
 * so that a disk that is full is found before anything that runs is touched, and a tunnel that
 * cannot be had leaves the state as it was. When the very last step fails the engine is put back.
 */
#ifndef CONTROL_CHANGE_H
#define CONTROL_CHANGE_H

#include "daemon/control/dispatch.h"
#include "daemon/control/worker.h"
#include "proto/list.h"

struct changes {
    struct list queue; /* the first one is under way, or about to be */
    bool running;      /* the queue is being worked on up the stack */
};

struct change {
    struct list node;
    struct worker_job job;
    struct control *control;
    struct call *call; /* answered at the end */
    char name[65];
    tunnel_msg *wanted; /* NULL: to be removed */
    char *text;         /* of the new state; NULL: it stays as it is */
    bool under_way;
    bool changed;
    int rc; /* of what the worker did */
    struct udptun_error err;
};

void changes_init(struct changes *c);

/* Queue what `call` (configureUdpTunnel, removeUdpTunnel) asks for; answers it. */
void change_start(struct call *call);

/* Calls whose change has not begun fail; those under way are finished by worker_free(). */
void changes_stop(struct control *control);

#endif

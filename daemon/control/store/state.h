/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state.h - what the files of the control plane share: the loop, the engine, the configured
 * objects, and one pointer to each part above.
 *
 * Everything here is touched on the loop's thread alone, but for the functions of store.h that say
 * otherwise.
 */
#ifndef CONTROL_STATE_H
#define CONTROL_STATE_H

#include <udptun/engine.h>

#include "daemon/control/store/identities.h"
#include "daemon/control/store/objects.h"
#include "daemon/control/store/store.h"
#include "daemon/control/store/unwritten.h"
#include "daemon/control/store/worker.h"
#include "daemon/platform/loop.h"
#include "daemon/service/log.h"

struct action;
struct changes;
struct command_socket;
struct metrics_http;
struct recovery;
struct waits;
struct watchers;

struct control {
    struct loop *loop;
    struct log *log;
    udptun_engine *engine;
    struct objects objects;
    struct store store;
    struct worker *worker;
    struct identities identities;
    struct unwritten unwritten;
    /* What the rooms above have of it; control.c makes them. */
    struct command_socket *socket;
    struct watchers *watchers;
    struct changes *changes;
    struct waits *waits;
    struct recovery *recovery;
    struct metrics_http *metrics;                          /* NULL: none */
    const struct action *(*find_action)(const char *name); /* NULL: there is none */
    const char *config_path;                               /* NULL: no config file */
    uint64_t started_us;                                   /* by clock_us() */
    bool stopping;
    void (*shutdown)(void *arg);
    void (*reloading)(void *arg, bool begun);
    void *arg;
};

/* The start is now; seconds since then, which no change of the clock moves. */
void control_start_clock(struct control *control);
uint64_t control_uptime_s(const struct control *control);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * signals.h - what the user or a service manager asks of a whole process.
 *
 * signals_ev.c takes signals from libev. On Windows the events of the console and of the service
 * control manager take their place.
 */
#ifndef PLATFORM_SIGNALS_H
#define PLATFORM_SIGNALS_H

#include "daemon/platform/loop.h"

struct signals;

/* Called on the loop. */
struct signals_ops {
    void (*stop)(void *arg, int number); /* an orderly stop: SIGTERM or SIGINT is `number` */
    void (*reload)(void *arg);           /* read again what is in files: SIGHUP */
};

/* One at a time in a process; the loop is one of loop_init_own() or loop_init_ev(). `ops` stays the
 * caller's. NULL: out of memory. */
struct signals *signals_new(struct loop *loop, const struct signals_ops *ops, void *arg);
/* Before the loop is. NULL is accepted. */
void signals_free(struct signals *signals);

#endif

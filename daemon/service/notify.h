/* SPDX-License-Identifier: Apache-2.0 */
/* notify.h - what a service manager is told and hands over: the protocols of sd_notify(3) and
 * sd_listen_fds(3), spoken directly. Without such a manager nothing of this does anything. */
#ifndef SERVICE_NOTIFY_H
#define SERVICE_NOTIFY_H

#include <ev.h>

struct notify {
    int fd; /* -1: nobody listens */
    ev_timer watchdog;
};

/* Connect to $NOTIFY_SOCKET. The environment is left as it is. */
void notify_open(struct notify *n);

/* "READY=1\nSTATUS=..."; never waits. */
void notify_send(const struct notify *n, const char *state);

/* RELOADING=1 with the time that goes with it. */
void notify_reloading(const struct notify *n);

/* Send a sign of life from the loop, twice in each $WATCHDOG_USEC. */
void notify_watchdog(struct notify *n, struct ev_loop *loop);

void notify_close(struct notify *n, struct ev_loop *loop);

/* The listening socket that was handed over, or -1. To be asked before any fork. */
int notify_listen_fd(void);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify.h - what a service manager is told and hands over.
 *
 * posix/ speaks the protocols of sd_notify(3) and sd_listen_fds(3) directly; on Windows it is the
 * service control manager, which hands nothing over. Without a manager nothing of this does
 * anything.
 */
#ifndef PLATFORM_NOTIFY_H
#define PLATFORM_NOTIFY_H

#include "daemon/platform/loop.h"
#include "daemon/platform/socket.h"

struct notify {
    udptun_socket socket; /* NO_SOCKET: nobody listens */
    uint64_t interval_us; /* between two signs of life */
    struct timer watchdog;
};

/* Connect to the manager. The environment is left as it is. */
void notify_open(struct notify *n);

/* "READY=1\nSTATUS=..."; never waits. */
void notify_send(const struct notify *n, const char *state);

/* RELOADING=1 with the time that goes with it. */
void notify_reloading(const struct notify *n);

/* Send a sign of life from the loop, twice in the time that the manager set, if it set one. */
void notify_watchdog(struct notify *n, struct loop *loop);

/* Harmless when notify_open() was not called on a struct with NO_SOCKET. */
void notify_close(struct notify *n);

/* The listening socket that was handed over, or NO_SOCKET. To be asked before any fork. */
udptun_socket notify_listening(void);

#endif

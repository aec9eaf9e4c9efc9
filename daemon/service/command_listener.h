/* SPDX-License-Identifier: Apache-2.0 */
/* command_listener.h - the command socket in the file system. */
#ifndef SERVICE_COMMAND_LISTENER_H
#define SERVICE_COMMAND_LISTENER_H

#include <sys/types.h>

#include "proto/error.h"

struct command_listener {
    int fd; /* -1: closed */
    char *path;
    gid_t group; /* whose members are operators */
    dev_t device;
    ino_t inode;
};

/*
 * Create the folder where it is absent, replace a stale socket, refuse a live one, bind with
 * `mode` and `group` in force before anyone can connect. `group` NULL: "udptun" where that
 * exists, else the process's own. UDPTUN_E_CONFLICT (another daemon answers there),
 * UDPTUN_E_NOT_FOUND (no such group), UDPTUN_E_SYSTEM, UDPTUN_E_NOMEM.
 */
int command_listener_open(struct command_listener *l, const char *path, mode_t mode,
                          const char *group, struct udptun_error *err);

/*
 * Take over a Unix socket that listens already, handed over by a service manager; its file stays
 * the manager's. `group` NULL: that of the file. UDPTUN_E_SYSTEM: no such socket.
 */
int command_listener_adopt(struct command_listener *l, int fd, const char *group,
                           struct udptun_error *err);

/* Closes it and removes the socket, unless another took its place. */
void command_listener_close(struct command_listener *l);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * command_listener.h - the command socket under its name: who may connect, and one daemon a name.
 *
 * posix/ makes a socket in the file system. On Windows it is one as well (Windows 10 has them), or
 * a named pipe whose security descriptor is made of the same members.
 */
#ifndef PLATFORM_COMMAND_LISTENER_H
#define PLATFORM_COMMAND_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/platform/socket.h"
#include "proto/error.h"

struct command_listener {
    udptun_socket socket; /* NO_SOCKET: closed */
    char *path;
    uint32_t group;   /* whose members are operators */
    uint64_t file[2]; /* which file it is; of the platform's own use */
};

/* Who may connect. */
struct command_access {
    bool parents;        /* make what leads to the folder, too */
    unsigned mode;       /* permissions of the owner, the group and everybody, as 0660 */
    uint32_t owner;      /* NO_OWNER: this process's user */
    const char *group;   /* a name or a number. NULL: "udptun" where that exists, else our own */
    bool own_group;      /* neither of these: our own */
    const char *program; /* who else could be there already, for an error: "udptund" */
};

#define NO_OWNER UINT32_MAX

/*
 * Create the folder where it is absent, replace a stale socket, refuse a live one, bind with
 * `access` in force before anyone can connect. UDPTUN_E_CONFLICT (another daemon answers there),
 * UDPTUN_E_NOT_FOUND (no such group), UDPTUN_E_PERMISSION, UDPTUN_E_SYSTEM, UDPTUN_E_NOMEM.
 */
int command_listener_open(struct command_listener *l, const char *path,
                          const struct command_access *access, struct udptun_error *err);

/*
 * Take over a Unix socket that listens already, handed over by a service manager; its file stays
 * the manager's. `group` NULL: that of the file. UDPTUN_E_SYSTEM: no such socket.
 */
int command_listener_adopt(struct command_listener *l, udptun_socket fd, const char *group,
                           struct udptun_error *err);

/* Closes it and removes the socket, unless another took its place. */
void command_listener_close(struct command_listener *l);

#endif

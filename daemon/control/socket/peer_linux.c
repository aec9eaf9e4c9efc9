/* SPDX-License-Identifier: Apache-2.0 */
/* peer_linux.c - peer.h by SO_PEERCRED and SO_PEERGROUPS (unix(7)). */
#include "daemon/control/socket/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static bool in_group(int fd, gid_t group)
{
    gid_t few[64];
    gid_t *groups = few;
    socklen_t size = sizeof few;
    bool found = false;
    int rc = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
    if (rc < 0 && errno == ERANGE) { /* `size` now tells how much is needed */
        groups = malloc(size);
        rc = groups ? getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) : -1;
    }
    for (size_t i = 0; rc == 0 && i < size / sizeof *groups; i++)
        found = found || groups[i] == group;
    if (groups != few)
        free(groups);
    return found;
}

bool peer_identify(int fd, gid_t group, struct command_peer *peer)
{
    struct ucred cred;
    socklen_t size = sizeof cred;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return false;
    peer->uid = cred.uid;
    peer->exempt = cred.uid == 0 || cred.uid == geteuid();
    if (peer->exempt)
        peer->role = ROLE_ADMIN;
    else if (cred.gid == group || in_group(fd, group))
        peer->role = ROLE_OPERATOR;
    else
        peer->role = ROLE_OBSERVER;
    return true;
}

const char *role_name(enum role role)
{
    switch (role) {
    case ROLE_OBSERVER:
        return "observer";
    case ROLE_OPERATOR:
        return "operator";
    case ROLE_ADMIN:
        return "admin";
    }
    return "none";
}

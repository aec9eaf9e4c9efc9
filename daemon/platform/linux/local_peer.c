/* SPDX-License-Identifier: Apache-2.0 */
/* local_peer.c - the user of a peer by SO_PEERCRED and SO_PEERGROUPS (unix(7)). */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/platform/local.h"

int local_peer(udptun_socket s, struct local_user *user)
{
    struct ucred cred;
    socklen_t size = sizeof cred;
    if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return errno;
    *user = (struct local_user){.id = cred.uid,
                                .group = cred.gid,
                                .is_root = cred.uid == 0,
                                .is_self = cred.uid == geteuid()};
    return 0;
}

bool local_peer_in(udptun_socket s, const struct local_user *user, uint32_t group)
{
    gid_t few[64];
    gid_t *groups = few;
    socklen_t size = sizeof few;
    bool found = user->group == group;
    int failed = getsockopt(s, SOL_SOCKET, SO_PEERGROUPS, groups, &size);
    if (failed && errno == ERANGE) { /* `size` now tells how much is needed */
        groups = (gid_t *)malloc(size);
        failed = groups ? getsockopt(s, SOL_SOCKET, SO_PEERGROUPS, groups, &size) : -1;
    }
    for (size_t i = 0; !failed && i < size / sizeof *groups; i++)
        found = found || groups[i] == group;
    if (groups != few)
        free(groups);
    return found;
}

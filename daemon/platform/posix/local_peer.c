/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local_peer.c - the user of a peer: SO_PEERCRED and SO_PEERGROUPS where the system has them
 * (unix(7)), else getpeereid() of the BSDs and Darwin, which tells of one group.
 */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/platform/local.h"

#ifdef SO_PEERCRED
static int local_peer_ask(udptun_socket s, uid_t *uid, gid_t *gid, int64_t *process)
{
    struct ucred cred;
    socklen_t size = sizeof cred;
    if (getsockopt(s, SOL_SOCKET, SO_PEERCRED, &cred, &size) < 0)
        return errno;
    *uid = cred.uid;
    *gid = cred.gid;
    *process = cred.pid;
    return 0;
}
#else
static int local_peer_ask(udptun_socket s, uid_t *uid, gid_t *gid, int64_t *process)
{
    *process = 0;
    return getpeereid(s, uid, gid) < 0 ? errno : 0;
}
#endif

int local_peer(udptun_socket s, struct local_user *user)
{
    uid_t uid = 0;
    gid_t gid = 0;
    int64_t process = 0;
    int failure = local_peer_ask(s, &uid, &gid, &process);
    if (failure)
        return failure;
    *user = (struct local_user){.id = uid,
                                .group = gid,
                                .process = process,
                                .is_root = uid == 0,
                                .is_self = uid == geteuid()};
    return 0;
}

bool local_is_root(void)
{
    return geteuid() == 0;
}

#ifdef SO_PEERGROUPS
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
#else
bool local_peer_in(udptun_socket s, const struct local_user *user, uint32_t group)
{
    (void)s;
    return user->group == group;
}
#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* peer.c - see peer.h. */
#include "daemon/control/socket/peer.h"

bool peer_identify(udptun_socket socket, uint32_t group, struct command_peer *peer)
{
    struct local_user user;
    if (local_peer(socket, &user) != 0)
        return false;
    peer->uid = user.id;
    peer->exempt = user.is_root || user.is_self;
    if (peer->exempt)
        peer->role = ROLE_ADMIN;
    else if (local_peer_in(socket, &user, group))
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

/* SPDX-License-Identifier: Apache-2.0 */
/* peer.h - who is at the other end of a command connection, and what that allows. */
#ifndef CONTROL_PEER_H
#define CONTROL_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/platform/local.h"
#include "proto/control/messages.h"

/* Ordered: a higher role may do all that a lower one may. */
enum role {
    ROLE_OBSERVER = UDPTUN__CONTROL__ACCESS_ROLE__OBSERVER,
    ROLE_OPERATOR = UDPTUN__CONTROL__ACCESS_ROLE__OPERATOR,
    ROLE_ADMIN = UDPTUN__CONTROL__ACCESS_ROLE__ADMIN,
};

struct command_peer {
    uint32_t uid;
    enum role role;
    bool exempt; /* root or the daemon's own user: no cap per user */
};

/* The credentials that the system vouches for, taken when the peer connected. Members of
 * `group`, supplementary groups included, are operators. False when the system does not tell. */
bool peer_identify(udptun_socket socket, uint32_t group, struct command_peer *peer);

/* "operator". */
const char *role_name(enum role role);

#endif

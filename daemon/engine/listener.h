/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listener.h - the socket that a tunnel listens on, whatever its kind.
 *
 * It is a value that can be handed from a tunnel to its successor, so that a reconfiguration
 * does not lose the port. Who watches the descriptor is the role's business.
 */
#ifndef ENGINE_LISTENER_H
#define ENGINE_LISTENER_H

#include "daemon/engine/url.h"

#include <udptun/error.h>

struct listener {
    enum url_kind kind;          /* URL_NONE: not open */
    int fd;                      /* -1: not open */
    struct endpoint bound;       /* the real address and port; family NONE for a path */
    char path[SOCKET_PATH_SIZE]; /* a Unix socket's, unlinked at close; else "" */
    char url[URL_TEXT_SIZE];     /* as status shows it */
};

void listener_init(struct listener *l);

/* Open what `url` names (URL_UDP: a datagram socket, else a listening one). UDPTUN_E_PORT_IN_USE,
 * UDPTUN_E_PERMISSION, UDPTUN_E_INVALID (no such address), UDPTUN_E_SYSTEM. */
int listener_open(struct listener *l, const struct url *url, struct udptun_error *err);
void listener_close(struct listener *l);

/* `to` takes over what `from` has, which is closed from then on. */
void listener_move(struct listener *to, struct listener *from);

#endif

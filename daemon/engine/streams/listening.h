/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listening.h - the socket that a tunnel listens on, whatever its kind.
 *
 * It is a value that can be handed from a tunnel to its successor, so that a reconfiguration
 * does not lose the port. Who watches the socket is the role's business.
 */
#ifndef ENGINE_LISTENING_H
#define ENGINE_LISTENING_H

#include "daemon/engine/settings/url.h"

#include <udptun/error.h>

struct listening {
    enum url_kind kind;           /* URL_NONE: not open */
    udptun_socket socket;         /* NO_SOCKET: not open */
    struct udptun_endpoint bound; /* the real address and port; family NONE for a path */
    char path[SOCKET_PATH_SIZE];  /* a Unix socket's, unlinked at close; else "" */
    char url[URL_TEXT_SIZE];      /* as status shows it */
};

void listening_init(struct listening *l);

/* Open what `url` names (URL_UDP: a datagram socket, else a listening one). UDPTUN_E_PORT_IN_USE,
 * UDPTUN_E_PERMISSION, UDPTUN_E_INVALID (no such address), UDPTUN_E_SYSTEM. */
int listening_open(struct listening *l, const struct url *url, struct udptun_error *err);
void listening_close(struct listening *l);

/* `to` takes over what `from` has, which is closed from then on. */
void listening_move(struct listening *to, struct listening *from);

#endif

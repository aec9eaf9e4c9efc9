/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - the life of one command connection, for server.c. */
#ifndef CONTROL_CONN_H
#define CONTROL_CONN_H

#include "daemon/control/server.h"

/* Takes over `fd` unless it fails: 0 or UDPTUN_E_NOMEM. */
int conn_open(struct server *server, int fd, const struct peer *peer);

/* Closes it and frees it, at once or when the function that is using it returns. */
void conn_end(struct conn *conn);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* conn.h - the life of one command connection, for server.c. */
#ifndef CONTROL_CONN_H
#define CONTROL_CONN_H

#include "daemon/control/server.h"

/* Takes over `fd` unless it fails: 0 or UDPTUN_E_NOMEM. */
int conn_open(struct server *server, int fd, const struct peer *peer);

/* Closes it and frees it, at once or when the function that is using it returns. */
void conn_end(struct conn *conn);

/* The same after one more try to send what waits. */
void conn_send_and_end(struct conn *conn);

/* Bytes that wait to be sent. */
size_t conn_waiting(const struct conn *conn);

/* Put an event behind them, to be sent when the loop turns; takes over `bytes`. False: there was
 * no memory for it. */
bool conn_queue_event(struct conn *conn, struct envelope_bytes bytes);

#endif

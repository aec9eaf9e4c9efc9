/* SPDX-License-Identifier: Apache-2.0 */
/* command_conn.h - the life of one command connection, for command_socket.c. */
#ifndef CONTROL_COMMAND_CONN_H
#define CONTROL_COMMAND_CONN_H

#include "daemon/control/socket/command_socket.h"

/* Takes over `socket` unless it fails: 0 or UDPTUN_E_NOMEM. */
int command_conn_open(struct command_socket *server, udptun_socket socket,
                      const struct command_peer *peer);

/* Closes it and frees it, at once or when the function that is using it returns. */
void command_conn_end(struct command_conn *conn);

/* The same after one more try to send what waits. */
void command_conn_send_and_end(struct command_conn *conn);

/* Bytes that wait to be sent. */
size_t command_conn_waiting(const struct command_conn *conn);

/* Put an event behind them, to be sent when the loop turns; takes over `bytes`. False: there was
 * no memory for it. */
bool command_conn_queue_event(struct command_conn *conn, struct envelope_bytes bytes);

#endif

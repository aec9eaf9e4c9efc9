/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carrier.h - what carries a conn of the machine: a socket, or a stream of the app's own.
 *
 * The machine sees one kind. A carrier is made when the machine wants a stream or one came in,
 * is the conn's host pointer, and goes when the machine hangs up; every other end of it (an
 * error, the end of the stream) is told to the machine, which hangs up in turn.
 */
#ifndef ENGINE_CARRIER_H
#define ENGINE_CARRIER_H

#include "daemon/engine/tunnel/tunnel.h"
#include "proto/udpt/machine.h"

struct carrier;

struct carrier_ops {
    /* Write what the conn has, as far as the stream takes it, then wait to be writable. */
    void (*flush)(struct carrier *c);
    /* The machine hung up: close the stream and free the carrier. */
    void (*close)(struct carrier *c);
};

struct carrier {
    const struct carrier_ops *ops;
    struct list node; /* tunnel.carriers */
    struct tunnel *tunnel;
    struct udptun_conn *conn;
};

/* Put a carrier behind `conn`. */
void carrier_init(struct carrier *c, const struct carrier_ops *ops, struct tunnel *t,
                  struct udptun_conn *conn);

/* ops.hangup of either role. */
void carrier_hangup(struct udptun_conn *conn);

/* Bytes came in: hand them to the machine, then send the datagrams that came of it. False: the
 * carrier is gone. */
bool carrier_input(struct carrier *c, const uint8_t *data, size_t size);

/* ---- a socket (carrier_socket.c)
 * ------------------------------------------------------------------
 */

/* A carrier over a connected, tuned socket, which becomes its own. False: out of memory, and the
 * socket is closed. */
bool carrier_attach_socket(struct tunnel *t, struct udptun_conn *conn, udptun_socket socket);

/* ---- a stream of the app's (carrier_app.c)
 * -----------------------------------------------------------
 */

/* ops.dial of a local whose server is "app:". */
void carrier_app_dial(struct tunnel *t, struct udptun_conn *conn);

/* End of the turn: what the app said while a machine was on the stack. */
void carrier_app_settle(struct udptun_engine *e);

#endif

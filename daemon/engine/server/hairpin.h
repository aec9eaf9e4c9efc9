/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hairpin.h - datagrams from one flow of a server to the external address of another (RFC 4787
 * REQ-9).
 *
 * They do not leave the process: so a policy that keeps clients off the host's own addresses, as it
 * does by default, is neither asked nor opened. The receiving flow gets them from the sender's
 * external address, and its filtering applies.
 */
#ifndef ENGINE_HAIRPIN_H
#define ENGINE_HAIRPIN_H

#include "daemon/engine/server/egress.h"

/* A socket that is reached from outside came to be, or is closed. */
void hairpin_add(struct egress_socket *s);
void hairpin_remove(struct egress_socket *s);

/* True: `to` is the external address of a flow of this server, which has got the datagram, or
 * dropped and counted it. */
bool hairpin_send(struct egress *egress, const struct udptun_endpoint *to, const uint8_t *data,
                  size_t size);

#endif

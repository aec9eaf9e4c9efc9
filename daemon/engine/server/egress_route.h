/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_route.h - which of the host's addresses datagrams leave from, and how large they may be.
 *
 * RFC 4787 REQ-2: a client's flows have one source address, so all flows of a server have one for
 * each family and realm (private networks, and the rest). It is the one that the system chose
 * first, kept as long as the host has it, and used wherever the system would choose another address
 * of the same interface. Where a route leads to another interface the system's choice stands: an
 * address of one network seldom works in another. A host with one address of a family is left
 * alone.
 */
#ifndef ENGINE_EGRESS_ROUTE_H
#define ENGINE_EGRESS_ROUTE_H

#include "daemon/engine/tunnel/tunnel.h"

struct egress_routes;

/* NULL: out of memory. */
struct egress_routes *egress_routes_new(struct tunnel *t);
void egress_routes_free(struct egress_routes *r);
/* A datagram could not be sent as we thought, or a router said so: look again. */
void egress_routes_forget(struct egress_routes *r);

/* Where a datagram to `to` leaves from; NULL: as routes have it. Valid until the next call. */
const struct udptun_endpoint *egress_route_source(struct egress_routes *r,
                                                  const struct udptun_endpoint *to);
/* The largest IP packet that passes to `to` whole, as far as this host knows; 0: not known. */
uint32_t egress_route_mtu(struct egress_routes *r, const struct udptun_endpoint *to);
/* Whether `to` is a unicast address of this host. */
bool egress_route_is_own(struct egress_routes *r, const struct udptun_endpoint *to);
/* The address that flows to the realm of `to` have had so far; NULL: none yet. */
const struct udptun_endpoint *egress_route_external(const struct egress_routes *r,
                                                    const struct udptun_endpoint *to);

#endif

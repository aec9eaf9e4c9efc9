/* SPDX-License-Identifier: Apache-2.0 */
/* front_socks5_udp.h - a SOCKS5 UDP ASSOCIATE: a UDP socket for one client, for as long as its TCP
 * connection stands. */
#ifndef ENGINE_FRONT_SOCKS5_UDP_H
#define ENGINE_FRONT_SOCKS5_UDP_H

#include "daemon/engine/local/udp_local.h"
#include "proto/socks5/socks5.h"

struct association;

/*
 * Open one for the client at `client` that reached us at `own`. Where it says that its datagrams
 * will come from is not asked: its address is known, and any port is served. `*bound` is what to
 * answer. NULL and `*failure`.
 */
struct association *association_open(struct tunnel *t, const struct udptun_endpoint *client,
                                     const struct udptun_endpoint *own,
                                     struct udptun_endpoint *bound, int *failure);
/* When its last datagram passed, or when it was opened. */
uint64_t association_active_us(const struct association *a);
/* A datagram has passed, in either direction. */
bool association_is_used(const struct association *a);
/* NULL is accepted. */
void association_close(struct association *a);

#endif

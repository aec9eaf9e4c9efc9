/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_packets.h - a server's datagrams as IP packets, to a tun2socks instance of this engine
 * (egress "tun2socks:NAME", device pipe) or of another process (egress "unix:PATH").
 */
#ifndef ENGINE_EGRESS_PACKETS_H
#define ENGINE_EGRESS_PACKETS_H

#include "daemon/engine/server/egress.h"

/* NULL: out of memory. The way is found when the first packet goes, and again when it was lost. */
struct egress_packets *egress_packets_new(struct tunnel *t);
/* After the machine is gone. NULL is accepted. */
void egress_packets_free(struct egress_packets *p);

/* The client wants to know where its flow leaves: tell the machine. */
void egress_packets_opened(struct egress_packets *p, struct egress *egress);
void egress_packets_closed(struct egress_packets *p, struct egress *egress);

/* `to` is not mapped, and allowed. */
void egress_packets_send(struct egress_packets *p, struct egress *egress,
                         const struct udptun_endpoint *to, const struct udptun_dest *asked,
                         const uint8_t *data, size_t size);

#endif

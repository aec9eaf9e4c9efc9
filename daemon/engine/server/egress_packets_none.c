/* SPDX-License-Identifier: Apache-2.0 */
/* egress_packets_none.c - a library that was built without tun2socks. */
#include "daemon/engine/server/egress_packets.h"

struct egress_packets *egress_packets_new(struct tunnel *t)
{
    (void)t;
    return NULL;
}

void egress_packets_free(struct egress_packets *p)
{
    (void)p;
}

void egress_packets_opened(struct egress_packets *p, struct egress *egress)
{
    (void)p;
    (void)egress;
}

void egress_packets_closed(struct egress_packets *p, struct egress *egress)
{
    (void)p;
    (void)egress;
}

void egress_packets_send(struct egress_packets *p, struct egress *egress,
                         const struct udptun_endpoint *to, const struct udptun_dest *asked,
                         const uint8_t *data, size_t size)
{
    (void)p;
    (void)egress;
    (void)to;
    (void)asked;
    (void)data;
    (void)size;
}

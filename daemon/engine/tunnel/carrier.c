/* SPDX-License-Identifier: Apache-2.0 */
/* carrier.c - what both kinds of carriers have in common. */
#include "daemon/engine/tunnel/carrier.h"

#include "daemon/platform/datagram.h"

void carrier_init(struct carrier *c, const struct carrier_ops *ops, struct tunnel *t,
                  struct udptun_conn *conn)
{
    c->ops = ops;
    c->tunnel = t;
    c->conn = conn;
    list_init(&c->node);
    list_append(&t->carriers, &c->node);
    udptun_conn_set_host(conn, c);
}

void carrier_hangup(struct udptun_conn *conn)
{
    struct carrier *c = (struct carrier *)udptun_conn_host(conn);
    if (!c)
        return;
    udptun_conn_set_host(conn, NULL);
    list_remove(&c->node);
    c->ops->close(c);
}

bool carrier_input(struct carrier *c, const uint8_t *data, size_t size)
{
    struct tunnel *t = c->tunnel;
    bool alive = udptun_conn_input(c->conn, data, size, t->engine->loop.now_us);
    udp_sender_flush(t->engine->sender);
    tunnel_touch(t);
    return alive;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* hairpin.c - datagrams from one flow of a server to the external address of another. */
#include "daemon/engine/server/hairpin.h"

#include "daemon/engine/server/egress_route.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/engine/settings/filter.h"

/* A flow's socket is open on every address of the host, so port and family name it. */
struct port_key {
    uint16_t port;
    uint16_t family;
};

static struct port_key hairpin_key_of(uint8_t family, uint16_t port)
{
    return (struct port_key){.port = port, .family = family};
}

/* Each pair is there once at most, so nobody can make them collide, and no key is needed: this is
 * looked up for each datagram. */
static uint64_t hairpin_hash_of(const struct port_key *key)
{
    return (uint64_t)key->port * 2 + (key->family == UDPTUN_ENDPOINT_IP6);
}

static bool hairpin_matches(const struct table_node *node, const void *key)
{
    const struct egress_socket *s = table_entry(node, const struct egress_socket, by_port);
    const struct port_key *wanted = (const struct port_key *)key;
    return s->port == wanted->port && s->family == wanted->family;
}

void hairpin_add(struct egress_socket *s)
{
    struct tunnel *t = s->egress->head.tunnel;
    struct port_key key = hairpin_key_of(s->family, s->port);
    s->is_external =
        table_insert(&t->server->by_port, &s->by_port, hairpin_hash_of(&key)) == UDPTUN_OK;
}

void hairpin_remove(struct egress_socket *s)
{
    if (s->is_external)
        table_remove(&s->egress->head.tunnel->server->by_port, &s->by_port);
    s->is_external = false;
}

static struct egress_socket *hairpin_find(struct tunnel *t, const struct udptun_endpoint *to)
{
    struct port_key key = hairpin_key_of(to->family, to->port);
    struct table_node *node =
        table_find(&t->server->by_port, hairpin_hash_of(&key), hairpin_matches, &key);
    return node ? table_entry(node, struct egress_socket, by_port) : NULL;
}

bool hairpin_send(struct egress *egress, const struct udptun_endpoint *to, const uint8_t *data,
                  size_t size)
{
    struct tunnel *t = egress->head.tunnel;
    struct egress_socket *far = hairpin_find(t, to);
    int failure;
    if (!far || !egress_route_is_own(t->server->routes, to))
        return false;
    const struct egress_socket *own = egress_socket_to(egress, to, &failure);
    if (!own)
        return false; /* which is told the way it always is */
    const struct udptun_endpoint *external = egress_route_external(t->server->routes, to);
    struct udptun_endpoint from = external ? *external : *to;
    from.port = own->port;
    struct udptun_dest source = udptun_dest_of(&from);
    if (t->config->filtering != FILTER_NONE)
        filter_note(&egress->filter, t->config->filtering, to);
    if (filter_passes(far->egress->filter, t->config->filtering, &from))
        udptun_binding_send(far->egress->head.binding, &source, data, size, t->engine->loop.now_us);
    else
        udptun_machine_count_drop(t->machine, far->egress->head.binding,
                                  UDPTUN_MACHINE_DROP_POLICY);
    tunnel_touch(t);
    return true;
}

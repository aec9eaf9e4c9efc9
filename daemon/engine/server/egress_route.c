/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_route.c - which of the host's addresses datagrams leave from, and how large they may be.
 *
 * The addresses are read again when they are ADDRESSES_US old. The system's choice for a
 * destination costs a socket, so it is kept for ROUTE_US, and asked only where it matters.
 */
#include "daemon/engine/server/egress_route.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/platform/datagram.h"
#include "daemon/platform/network.h"

enum {
    ADDRESSES_US = 3000000,
    ROUTE_US = 1000000,
    ROUTES = 256,
    MAX_ADDRESSES = 64, /* of more the rest is not known: routes decide there */
};

enum realm { PUBLIC, PRIVATE, REALMS };

struct own_address {
    struct udptun_endpoint ep;
    unsigned interface;
};

struct cached_route {
    struct udptun_endpoint to; /* port 0; family NONE: free */
    struct udp_route route;    /* source of family NONE: there is none */
    uint64_t until_us;
};

struct egress_routes {
    struct tunnel *tunnel;
    uint64_t read_us; /* 0: to be read */
    size_t count;
    struct own_address own[MAX_ADDRESSES];
    size_t usable[2]; /* of each family */
    struct udptun_endpoint external[2][REALMS];
    struct cached_route cache[ROUTES];
};

static unsigned family_index(const struct udptun_endpoint *ep)
{
    return ep->family == UDPTUN_ENDPOINT_IP6;
}

/* Networks that several places may have (RFC 1918, RFC 4193, RFC 6598). */
static enum realm realm_of(const struct udptun_endpoint *ep)
{
    const uint8_t *ip = ep->ip;
    bool is_private = ep->family == UDPTUN_ENDPOINT_IP6
                          ? (ip[0] & 0xfe) == 0xfc
                          : ip[0] == 10 || (ip[0] == 172 && (ip[1] & 0xf0) == 16) ||
                                (ip[0] == 192 && ip[1] == 168) ||
                                (ip[0] == 100 && (ip[1] & 0xc0) == 64);
    return is_private ? PRIVATE : PUBLIC;
}

/* Whether more than the link or this host may have it. */
static bool is_routable(const struct udptun_endpoint *ep)
{
    return !endpoint_is_loopback(ep) && !endpoint_is_link_local(ep) && !endpoint_is_multicast(ep) &&
           !endpoint_is_broadcast(ep) && !endpoint_is_unspecified(ep);
}

/* ---- the host's addresses -----------------------------------------------------------------------
 */

static void egress_route_add_own(void *arg, const struct udptun_endpoint *address,
                                 unsigned interface)
{
    struct egress_routes *r = (struct egress_routes *)arg;
    if (r->count == MAX_ADDRESSES || !is_routable(address))
        return;
    r->own[r->count++] = (struct own_address){.ep = *address, .interface = interface};
    r->usable[family_index(address)]++;
}

static void refresh(struct egress_routes *r)
{
    uint64_t now_us = r->tunnel->engine->loop.now_us;
    if (r->read_us && now_us - r->read_us < ADDRESSES_US)
        return;
    r->read_us = now_us;
    r->count = r->usable[0] = r->usable[1] = 0;
    network_interface_addresses(egress_route_add_own, r); /* without them routes decide */
}

/* The interface that has the address; 0: none. */
static unsigned interface_of(const struct egress_routes *r, const struct udptun_endpoint *ep)
{
    for (size_t i = 0; i < r->count; i++)
        if (endpoint_same_ip(&r->own[i].ep, ep))
            return r->own[i].interface;
    return 0;
}

bool egress_route_is_own(struct egress_routes *r, const struct udptun_endpoint *to)
{
    refresh(r);
    return endpoint_is_loopback(to) || interface_of(r, to) != 0;
}

/* ---- routes -------------------------------------------------------------------------------------
 */

static const struct udp_route *route_to(struct egress_routes *r, const struct udptun_endpoint *to)
{
    struct tunnel *t = r->tunnel;
    struct udptun_endpoint key = *to;
    key.port = 0;
    struct cached_route *c = &r->cache[engine_hash(t->engine, &key, sizeof key) % ROUTES];
    if (endpoint_equal(&c->to, &key) && t->engine->loop.now_us < c->until_us)
        return &c->route;
    struct socket_rules rules = tunnel_rules(t);
    *c = (struct cached_route){.to = key, .until_us = t->engine->loop.now_us + ROUTE_US};
    key.port = to->port ? to->port : 9; /* any port: nothing is sent */
    if (udp_route_to(&key, &rules, &c->route) != 0)
        c->route = (struct udp_route){0};
    return &c->route;
}

const struct udptun_endpoint *egress_route_source(struct egress_routes *r,
                                                  const struct udptun_endpoint *to)
{
    refresh(r);
    if (r->usable[family_index(to)] < 2 || !is_routable(to))
        return NULL;
    const struct udptun_endpoint *chosen = &route_to(r, to)->source;
    struct udptun_endpoint *external = &r->external[family_index(to)][realm_of(to)];
    unsigned interface = interface_of(r, chosen);
    if (interface == 0)
        return NULL;
    if (interface_of(r, external) == 0)
        *external = *chosen;
    return interface_of(r, external) == interface ? external : NULL;
}

const struct udptun_endpoint *egress_route_external(const struct egress_routes *r,
                                                    const struct udptun_endpoint *to)
{
    const struct udptun_endpoint *external = &r->external[family_index(to)][realm_of(to)];
    return is_routable(to) && interface_of(r, external) ? external : NULL;
}

uint32_t egress_route_mtu(struct egress_routes *r, const struct udptun_endpoint *to)
{
    return route_to(r, to)->mtu;
}

/* ---- life ---------------------------------------------------------------------------------------
 */

void egress_routes_forget(struct egress_routes *r)
{
    r->read_us = 0;
    for (size_t i = 0; i < ROUTES; i++)
        r->cache[i].until_us = 0;
}

struct egress_routes *egress_routes_new(struct tunnel *t)
{
    struct egress_routes *r = (struct egress_routes *)calloc(1, sizeof *r);
    if (r)
        r->tunnel = t;
    return r;
}

void egress_routes_free(struct egress_routes *r)
{
    free(r);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway_udp_tunnel.c - UDP of a tun2socks instance into a udp-local of the same engine, in
 * memory.
 *
 * The instance is a guest of that udp-local, by name: the tunnel may be replaced, or be absent for
 * a while. A tunnel that ends says so, and the next datagram looks for one of that name again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/gateway/gateway.h"

struct guest_binding {
    struct udptun_endpoint source;
};

void gateway_udp_tunnel_state(struct gateway *t, enum udptun_state state, const char *reason)
{
    char text[sizeof t->far_error[0]];
    switch (state) {
    case UDPTUN_RECONNECTING:
    case UDPTUN_FAILED:
    case UDPTUN_DISABLED:
        snprintf(text, sizeof text, "tunnel %s is %s%s%s", t->config->tunnel,
                 udptun_state_name(state), *reason ? ": " : "", reason);
        gateway_far_end(t, GATEWAY_SIDE_UDP, text);
        break;
    case UDPTUN_STARTING:
    case UDPTUN_CONNECTING: /* nothing speaks against it yet */
    case UDPTUN_ESTABLISHED:
    case UDPTUN_LISTENING:
    case UDPTUN_DEGRADED:
        gateway_far_end(t, GATEWAY_SIDE_UDP, NULL);
        break;
    }
}

/* False: there is no such udp-local, or it is disabled. */
static bool join_tunnel(struct gateway *t)
{
    if (t->front.tunnel)
        return true;
    struct tunnel *tunnel = tunnel_find(t->engine, t->config->tunnel);
    if (!tunnel || !tunnel->local || !tunnel->machine)
        return false;
    udp_local_join(tunnel, &t->front);
    return true;
}

static void gateway_udp_tunnel_datagram(struct gateway *t, void **binding,
                                        const struct udptun_endpoint *source,
                                        const struct udptun_endpoint *destination, const void *data,
                                        size_t size)
{
    if (!join_tunnel(t)) {
        tun2socks_lost(t->stack);
        gateway_udp_unreachable(t, source, destination, TUN2SOCKS_HOST_UNREACHABLE, 0);
        return;
    }
    if (!*binding) {
        struct guest_binding *b = (struct guest_binding *)malloc(sizeof *b);
        if (!b) {
            tun2socks_lost(t->stack);
            return;
        }
        b->source = *source;
        *binding = b;
    }
    const struct host_port *dns = &t->config->dns;
    struct udptun_dest dest = destination->family == UDPTUN_ENDPOINT_NAME
                                  ? udptun_dest_of_name(dns->host, strlen(dns->host), dns->port)
                                  : udptun_dest_of(destination);
    dest.dont_fragment = tun2socks_dont_fragment(t->stack) && udp_local_may_be_whole(&dest, size);
    udp_local_send(&t->front, source, &dest, (const uint8_t *)data, size);
    tunnel_touch(t->front.tunnel);
}

static void gateway_udp_tunnel_binding_close(struct gateway *t, void *binding)
{
    struct guest_binding *b = (struct guest_binding *)binding;
    if (t->front.tunnel) { /* else its flow ended with the tunnel */
        udp_local_close_flow(&t->front, &b->source);
        tunnel_touch(t->front.tunnel);
    }
    free(b);
}

const struct gateway_udp_ops gateway_udp_tunnel_ops = {
    .datagram = gateway_udp_tunnel_datagram, .binding_close = gateway_udp_tunnel_binding_close};

/* ---- as a front */

static void gateway_udp_tunnel_deliver(struct front *front, struct flow *flow,
                                       const struct udptun_dest *peer, const uint8_t *data,
                                       size_t size)
{
    struct gateway *t = list_entry(front, struct gateway, front);
    struct udptun_endpoint from = endpoint_unmapped(&peer->ep);
    gateway_udp_deliver(t, &flow->source, &from, data, size);
}

static void gateway_udp_tunnel_failed(struct front *front, struct flow *flow,
                                      const struct udptun_dest *peer,
                                      enum udptun_machine_error code, uint32_t value)
{
    struct gateway *t = list_entry(front, struct gateway, front);
    enum tun2socks_unreachable why = TUN2SOCKS_HOST_UNREACHABLE;
    switch (code) {
    case UDPTUN_MACHINE_PORT_UNREACHABLE:
        why = TUN2SOCKS_PORT_UNREACHABLE;
        break;
    case UDPTUN_MACHINE_HOST_UNREACHABLE:
        break;
    case UDPTUN_MACHINE_TOO_BIG:
        why = TUN2SOCKS_TOO_BIG;
        break;
    case UDPTUN_MACHINE_POLICY:
        why = TUN2SOCKS_PROHIBITED;
        break;
    case UDPTUN_MACHINE_LIMIT:
        return; /* may pass */
    }
    gateway_udp_unreachable(t, &flow->source, &peer->ep, why, value);
}

static const struct front_ops gateway_front_ops = {.deliver = gateway_udp_tunnel_deliver,
                                                   .failed = gateway_udp_tunnel_failed};

void gateway_udp_tunnel_init(struct gateway *t)
{
    /* Other fronts count from 0: no address is that small. */
    front_init(&t->front, &gateway_front_ops, NULL, (uint64_t)(uintptr_t)t);
}

void gateway_udp_tunnel_leave(struct gateway *t)
{
    udp_local_leave(&t->front);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress.c - full-cone UDP sockets at the server.
 *
 * A binding has one unconnected socket per family (and for loopback, see egress.h), opened by the
 * first datagram that needs it and receiving from anyone from then on. Out: the machine's callback
 * gathers datagrams in the engine's sender, which is flushed when the bytes that they lie in go
 * away. In: batches, handed to the machine one by one. ICMP errors are taken from the socket's
 * error queue.
 */
#include "daemon/engine/server/egress.h"

#include <string.h>

#include "daemon/engine/server/egress_packets.h"
#include "daemon/engine/server/egress_route.h"
#include "daemon/engine/server/hairpin.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/engine/settings/filter.h"
#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/datagram.h"
#include "proto/error.h"

/* System calls per socket and turn; each takes a batch. */
enum { MAX_RECEIVES = 4 };

/* ---- in -----------------------------------------------------------------------------------------
 */

static bool received(void *arg, const struct udp_run *run)
{
    struct egress *egress = (struct egress *)arg;
    struct tunnel *t = egress->head.tunnel;
    uint64_t now_us = t->engine->loop.now_us;
    struct udptun_dest from = udptun_dest_of(&run->source);
    bool passes = filter_passes(egress->filter, t->config->filtering, &run->source);
    const uint8_t *data;
    size_t at = 0, size;
    /* What cannot be sent is counted where it is dropped. */
    while (udp_run_next(run, &at, &data, &size)) {
        if (passes)
            udptun_binding_send(egress->head.binding, &from, data, size, now_us);
        else
            udptun_machine_count_drop(t->machine, egress->head.binding, UDPTUN_MACHINE_DROP_POLICY);
    }
    return true;
}

static void report(struct egress *egress, const struct udptun_dest *dest, enum io why, uint32_t mtu)
{
    enum udptun_machine_error code = UDPTUN_MACHINE_HOST_UNREACHABLE;
    if (why == IO_REFUSED)
        code = UDPTUN_MACHINE_PORT_UNREACHABLE;
    else if (why == IO_TOO_BIG)
        code = UDPTUN_MACHINE_TOO_BIG;
    udptun_binding_error(egress->head.binding, dest, code, mtu,
                         egress->head.tunnel->engine->loop.now_us);
}

static void egress_failed(void *arg, const struct udptun_endpoint *to, enum io why, uint32_t mtu)
{
    struct egress *egress = (struct egress *)arg;
    struct udptun_dest dest = udptun_dest_of(to);
    if (why == IO_TOO_BIG)
        egress_routes_forget(egress->head.tunnel->server->routes);
    report(egress, &dest, why, mtu);
}

static void read_socket(struct egress *egress, udptun_socket socket)
{
    struct tunnel *t = egress->head.tunnel;
    struct udptun_engine *e = t->engine;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++) {
        if (udp_receive(e->batch, socket, received, egress) <= 0) {
            udp_errors(socket, egress_failed, egress);
            break;
        }
        if (!udp_batch_was_full(e->batch)) /* an error that waits makes it readable again */
            break;
    }
    tunnel_touch(t);
}

void egress_on_readable(void *arg, unsigned events)
{
    (void)events;
    struct egress_socket *s = (struct egress_socket *)arg;
    read_socket(s->egress, s->socket);
}

/* ---- out ----------------------------------------------------------------------------------------
 */

static bool refused(struct egress *egress, const struct udptun_endpoint *to,
                    const struct udptun_dest *asked)
{
    struct tunnel *t = egress->head.tunnel;
    uint64_t now_us = t->engine->loop.now_us;
    if (policy_allows(t->server->policy, to, now_us))
        return false;
    char text[ENDPOINT_TEXT_SIZE];
    engine_log_gated(t->engine, &t->server->policy_gate, UDPTUN_LOG_WARN, "policy",
                     "%s: target %s is not allowed", tunnel_name(t), endpoint_format(to, text));
    udptun_binding_error(egress->head.binding, asked, UDPTUN_MACHINE_POLICY, 0, now_us);
    return true;
}

/*
 * A client that asked for it learns that a datagram is too big for its path (RFC 4787 REQ-13).
 * True: so it is not sent. Linux sets DF on whatever its device takes, on a TUN device packets of
 * any size, and no network carries more than ETHERNET_MTU on any path: those are answered, and sent
 * in fragments as well, or an app that never asked would lose them.
 */
static bool is_too_big(struct egress *egress, const struct udptun_endpoint *to,
                       const struct udptun_dest *asked, size_t size)
{
    enum { UDP_HEADER = 8, IP4_HEADER = 20, IP6_HEADER = 40, ETHERNET_MTU = 1500 };
    struct tunnel *t = egress->head.tunnel;
    size_t header = to->family == UDPTUN_ENDPOINT_IP6 ? IP6_HEADER : IP4_HEADER;
    size_t packet = header + UDP_HEADER + size;
    uint32_t mtu = egress_route_mtu(t->server->routes, to);
    if (mtu == 0 || packet <= mtu)
        return false;
    if (packet > ETHERNET_MTU) {
        udptun_binding_warn(egress->head.binding, asked, UDPTUN_MACHINE_TOO_BIG, mtu,
                            t->engine->loop.now_us);
        return false;
    }
    udptun_binding_error(egress->head.binding, asked, UDPTUN_MACHINE_TOO_BIG, mtu,
                         t->engine->loop.now_us);
    return true;
}

/* Addresses of this host, which neither the policy nor hairpinning passes over, may change. */
enum { PASSED_US = 1000000 };

static bool has_passed(const struct egress *egress, const struct udptun_endpoint *to)
{
    const struct tunnel *t = egress->head.tunnel;
    return endpoint_equal(&egress->passed, to) &&
           t->engine->loop.now_us < egress->passed_until_us &&
           egress->passed_serial == t->server->policy_serial;
}

static void note_passed(struct egress *egress, const struct udptun_endpoint *to)
{
    const struct tunnel *t = egress->head.tunnel;
    egress->passed = *to;
    egress->passed_until_us = t->engine->loop.now_us + PASSED_US;
    egress->passed_serial = t->server->policy_serial;
}

/* False: it is refused, and the client is told, or another flow has it. */
static bool passes(struct egress *egress, const struct udptun_endpoint *to,
                   const struct udptun_dest *asked, const uint8_t *data, size_t size)
{
    if (has_passed(egress, to))
        return true;
    if (!egress->head.tunnel->server->packets && hairpin_send(egress, to, data, size))
        return false;
    if (refused(egress, to, asked))
        return false;
    note_passed(egress, to);
    return true;
}

static bool is_shortage(enum io what)
{
    return io_is_shortage(what) || what == IO_IN_USE;
}

void egress_send(struct egress *egress, const struct udptun_endpoint *to,
                 const struct udptun_dest *asked, bool exempt, const uint8_t *data, size_t size)
{
    struct tunnel *t = egress->head.tunnel;
    struct udptun_endpoint plain = endpoint_unmapped(to);
    int failure;
    if (!exempt && !passes(egress, &plain, asked, data, size))
        return;
    if (t->server->packets) {
        if (t->config->filtering != FILTER_NONE)
            filter_note(&egress->filter, t->config->filtering, &plain);
        egress_packets_send(t->server->packets, egress, &plain, asked, data, size);
        return;
    }
    if (asked->dont_fragment && is_too_big(egress, &plain, asked, size))
        return;
    const struct egress_socket *s = egress_socket_to(egress, &plain, &failure);
    if (!s) {
        udptun_binding_error(egress->head.binding, asked,
                             is_shortage(io_of(failure)) ? UDPTUN_MACHINE_LIMIT
                                                         : UDPTUN_MACHINE_HOST_UNREACHABLE,
                             0, t->engine->loop.now_us);
        return;
    }
    if (t->config->filtering != FILTER_NONE)
        filter_note(&egress->filter, t->config->filtering, &plain);
    udp_sender_add_from(t->engine->sender, s->socket,
                        egress_route_source(t->server->routes, &plain), &plain, data, size,
                        &egress->head.owner);
}

void egress_send_any(struct egress *egress, const struct udptun_endpoint *eps, size_t count,
                     const struct udptun_dest *asked, bool exempt, const uint8_t *data, size_t size)
{
    struct tunnel *t = egress->head.tunnel;
    size_t i = 0;
    while (!exempt && i < count &&
           !policy_allows(t->server->policy, &eps[i], t->engine->loop.now_us))
        i++;
    egress_send(egress, &eps[i < count ? i : 0], asked, exempt, data, size);
}

/* The system did not take it: the client is told, and the cause is in the log. */
static void on_unsent(struct datagram_owner *owner, const struct udptun_endpoint *to, size_t size,
                      enum io why)
{
    struct egress *egress = (struct egress *)(void *)owner;
    struct tunnel *t = egress->head.tunnel;
    char where[ENDPOINT_TEXT_SIZE], text[IO_TEXT_SIZE];
    (void)size;
    if (why == IO_AGAIN) {
        udptun_machine_count_drop(t->machine, egress->head.binding, UDPTUN_MACHINE_DROP_QUEUE);
        return;
    }
    if (why == IO_REFUSED) /* which is not counted where an ICMP error tells it */
        udptun_machine_count_drop(t->machine, egress->head.binding, UDPTUN_MACHINE_DROP_ERROR);
    engine_log_gated(t->engine, &t->server->send_gates[why], UDPTUN_LOG_WARN, "server",
                     "%s: cannot send to %s: %s", tunnel_name(t), endpoint_format(to, where),
                     io_text(io_error(why), text));
    egress_routes_forget(t->server->routes); /* the address that it was to leave from may be gone */
    struct udptun_dest dest = udptun_dest_of(to);
    report(egress, &dest, why, 0);
}

static struct udptun_dest own_target(const struct tunnel_settings *config)
{
    const struct host_port *target = &config->target;
    return target->ep.family == UDPTUN_ENDPOINT_NONE
               ? udptun_dest_of_name(target->host, strlen(target->host), target->port)
               : udptun_dest_of(&target->ep);
}

void egress_datagram(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                     const uint8_t *data, size_t size)
{
    struct tunnel *t = (struct tunnel *)arg;
    struct egress *egress = (struct egress *)udptun_binding_host(b);
    bool exempt = t->config->has_target;
    struct udptun_dest dest = exempt ? own_target(t->config) : *peer;
    struct udptun_endpoint eps[RESOLVER_MAX_ADDRESSES];
    size_t count = 0;
    if (dest.ep.family != UDPTUN_ENDPOINT_NAME)
        egress_send(egress, &dest.ep, peer, exempt, data, size);
    else if (!resolver_cached(t->resolver, dest.name, dest.name_len, dest.ep.port, eps,
                              RESOLVER_MAX_ADDRESSES, &count))
        egress_lookup_queue(egress, &dest, peer, exempt, data, size);
    else if (count > 0)
        egress_send_any(egress, eps, count, peer, exempt, data, size);
    else
        udptun_binding_error(b, peer, UDPTUN_MACHINE_HOST_UNREACHABLE, 0, t->engine->loop.now_us);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

int egress_opened(void *arg, struct udptun_binding *b, uint16_t want4, uint16_t want6)
{
    struct egress *egress = (struct egress *)udptun_binding_host(b);
    egress->head =
        (struct flow_head){.owner = {on_unsent}, .tunnel = (struct tunnel *)arg, .binding = b};
    egress->want4 = want4;
    egress->want6 = want6;
    /* The client holds back this flow's datagrams until it knows which ports it got again. */
    if (egress->head.tunnel->server->packets) {
        if (want4 != 0 || want6 != 0)
            egress_packets_opened(egress->head.tunnel->server->packets, egress);
        return UDPTUN_OK;
    }
    const struct udptun_endpoint any4 = {.family = UDPTUN_ENDPOINT_IP4},
                                 any6 = {.family = UDPTUN_ENDPOINT_IP6};
    int failure;
    if (want4 != 0 && !egress_socket_to(egress, &any4, &failure))
        return UDPTUN_E_LIMIT;
    if (want6 != 0 && !egress_socket_to(egress, &any6, &failure) && want4 == 0)
        return UDPTUN_E_LIMIT;
    return UDPTUN_OK;
}

void egress_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason)
{
    (void)reason;
    struct tunnel *t = (struct tunnel *)arg;
    struct egress *egress = (struct egress *)udptun_binding_host(b);
    if (!egress->head.tunnel)
        return;
    udp_sender_flush(t->engine->sender);
    egress_lookup_drop(egress);
    if (t->server->packets)
        egress_packets_closed(t->server->packets, egress);
    filter_free(egress->filter);
    egress_sockets_close(egress);
}

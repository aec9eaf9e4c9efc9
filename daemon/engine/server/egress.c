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

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/server/egress_packets.h"
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

static void failed(void *arg, const struct udptun_endpoint *to, enum io why, uint32_t mtu)
{
    struct udptun_dest dest = udptun_dest_of(to);
    report((struct egress *)arg, &dest, why, mtu);
}

static void read_socket(struct egress *egress, udptun_socket socket)
{
    struct tunnel *t = egress->head.tunnel;
    struct udptun_engine *e = t->engine;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++) {
        if (udp_receive(e->batch, socket, received, egress) <= 0) {
            udp_errors(socket, failed, egress);
            break;
        }
        if (!udp_batch_was_full(e->batch)) /* an error that waits makes it readable again */
            break;
    }
    tunnel_touch(t);
}

static void on_readable(void *arg, unsigned events)
{
    (void)events;
    struct egress_socket *s = (struct egress_socket *)arg;
    read_socket(s->egress, s->socket);
}

/* ---- sockets ------------------------------------------------------------------------------------
 */

static struct egress_socket *find_socket(struct egress *egress, uint8_t family, bool is_loopback)
{
    struct egress_socket *s = &egress->first;
    while (s && (s->family != family || s->is_loopback != is_loopback))
        s = s->next;
    return s;
}

/* Keep a socket: 0, or the failure. */
static int keep_socket(struct egress *egress, uint8_t family, bool is_loopback,
                       udptun_socket socket)
{
    bool is_first = egress->first.family == UDPTUN_ENDPOINT_NONE;
    struct egress_socket *s =
        is_first ? &egress->first : (struct egress_socket *)calloc(1, sizeof *s);
    if (!s)
        return io_error(IO_NO_MEMORY);
    watch_init(&s->watch, &egress->head.tunnel->engine->loop, on_readable, s);
    if (watch_start(&s->watch, socket, LOOP_READ) < 0) {
        if (!is_first)
            free(s);
        return io_error(IO_NO_MEMORY);
    }
    s->egress = egress;
    s->socket = socket;
    s->family = family;
    s->is_loopback = is_loopback;
    if (!is_first) {
        s->next = egress->first.next;
        egress->first.next = s;
    }
    return 0;
}

/* The port that the client had, else that of the flow's first socket. */
static uint16_t port_wanted(const struct egress *egress, uint8_t family)
{
    uint16_t want = family == UDPTUN_ENDPOINT_IP4 ? egress->want4 : egress->want6;
    if (want != 0 || egress->first.family == UDPTUN_ENDPOINT_NONE)
        return want;
    return socket_own(egress->first.socket).port;
}

static bool is_shortage(enum io what)
{
    return io_is_shortage(what) || what == IO_IN_USE;
}

/* Whether `to` is reached by a socket without the tunnel's mark and device. */
static bool is_apart(const struct tunnel *t, const struct udptun_endpoint *to)
{
    const struct socket_rules *rules = &t->config->rules;
    return (rules->mark != SOCKET_NO_MARK || rules->bind_device[0]) && endpoint_is_loopback(to);
}

/* 0, or the failure, which has been logged. `to` is an address that it will send to. */
static int open_socket(struct egress *egress, const struct udptun_endpoint *to)
{
    struct tunnel *t = egress->head.tunnel;
    struct socket_rules all = tunnel_rules(t), rules = socket_rules_for(&all, to);
    bool is_loopback = is_apart(t, to);
    udptun_socket socket;
    int failure =
        egress_bind(t, is_loopback ? &rules : &all, (enum udptun_endpoint_family)to->family,
                    port_wanted(egress, to->family), &socket);
    if (failure == 0) {
        failure = keep_socket(egress, to->family, is_loopback, socket);
        if (failure)
            socket_close(socket);
    }
    if (failure) {
        char text[IO_TEXT_SIZE];
        engine_log_gated(t->engine, &t->server->limit_gate, UDPTUN_LOG_WARN, "server",
                         "%s: no socket for a flow: %s", tunnel_name(t), io_text(failure, text));
        return failure;
    }
    if (is_loopback && find_socket(egress, to->family, false))
        return 0; /* the flow's external address is that in the network */
    struct udptun_endpoint external = socket_own(socket);
    udptun_binding_external(egress->head.binding, &external, t->engine->loop.now_us);
    return 0;
}

static void close_socket(struct egress_socket *s)
{
    watch_stop(&s->watch);
    socket_close(s->socket);
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

void egress_send(struct egress *egress, const struct udptun_endpoint *to,
                 const struct udptun_dest *asked, bool exempt, const uint8_t *data, size_t size)
{
    struct tunnel *t = egress->head.tunnel;
    struct udptun_endpoint plain = endpoint_unmapped(to);
    if (!exempt && refused(egress, &plain, asked))
        return;
    if (t->server->packets) {
        if (t->config->filtering != FILTER_NONE)
            filter_note(&egress->filter, t->config->filtering, &plain);
        egress_packets_send(t->server->packets, egress, &plain, asked, data, size);
        return;
    }
    bool is_loopback = is_apart(t, &plain);
    struct egress_socket *s = find_socket(egress, plain.family, is_loopback);
    int failure = s ? 0 : open_socket(egress, &plain);
    if (failure) {
        udptun_binding_error(egress->head.binding, asked,
                             is_shortage(io_of(failure)) ? UDPTUN_MACHINE_LIMIT
                                                         : UDPTUN_MACHINE_HOST_UNREACHABLE,
                             0, t->engine->loop.now_us);
        return;
    }
    if (!s)
        s = find_socket(egress, plain.family, is_loopback);
    if (t->config->filtering != FILTER_NONE)
        filter_note(&egress->filter, t->config->filtering, &plain);
    udp_sender_add(t->engine->sender, s->socket, &plain, data, size, &egress->head.owner);
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
    if (want4 != 0 && open_socket(egress, &any4) != 0)
        return UDPTUN_E_LIMIT;
    if (want6 != 0 && open_socket(egress, &any6) != 0 && want4 == 0)
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
    if (egress->first.family != UDPTUN_ENDPOINT_NONE)
        close_socket(&egress->first);
    while (egress->first.next) {
        struct egress_socket *s = egress->first.next;
        egress->first.next = s->next;
        close_socket(s);
        free(s);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_socket.c - the sockets of a binding: opened by the first datagram that needs one, and
 * closed with it. egress.c reads and writes them.
 */
#include <stdio.h>
#include <stdlib.h>

#include "daemon/engine/server/egress.h"
#include "daemon/engine/server/hairpin.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/platform/datagram.h"

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
    watch_init(&s->watch, &egress->head.tunnel->engine->loop, egress_on_readable, s);
    if (watch_start(&s->watch, socket, LOOP_READ) < 0) {
        if (!is_first)
            free(s);
        return io_error(IO_NO_MEMORY);
    }
    s->egress = egress;
    s->socket = socket;
    s->family = family;
    s->is_loopback = is_loopback;
    s->port = socket_own(socket).port;
    if (!is_loopback)
        hairpin_add(s);
    if (!is_first) {
        s->next = egress->first.next;
        egress->first.next = s;
    }
    return 0;
}

/* The port that the client had, else that of the flow's first socket, else as the tunnel is set to,
 * that of the client's source. */
static struct port_wish wish_of(const struct egress *egress, uint8_t family)
{
    bool preserves = egress->head.tunnel->config->given.port_preservation;
    uint16_t source = udptun_binding_source_port(egress->head.binding);
    uint16_t want = family == UDPTUN_ENDPOINT_IP4 ? egress->want4 : egress->want6;
    if (want == 0 && egress->first.family != UDPTUN_ENDPOINT_NONE)
        want = egress->first.port;
    if (want == 0 && preserves)
        want = source;
    return (struct port_wish){
        .port = want, .parity = preserves && want != 0, .like = source ? source : want};
}

/* Whether `to` is reached by a socket without the tunnel's mark and device. */
static bool is_apart(const struct tunnel *t, const struct udptun_endpoint *to)
{
    const struct socket_rules *rules = &t->config->rules;
    return (rules->mark != SOCKET_NO_MARK || rules->bind_device[0]) && endpoint_is_loopback(to);
}

/* In the log and in the status: a range of ports may be used up. */
static void egress_socket_tell_failure(struct tunnel *t, int failure)
{
    char cause[IO_TEXT_SIZE], text[128];
    const struct tunnel_settings *c = t->config;
    enum io what = io_of(failure);
    bool is_range = what == IO_IN_USE && c->port_low != 0;
    if (what == IO_FULL || is_range) {
        t->room_wanted++;
        tunnel_touch(t);
    }
    if (what == IO_FULL) {
        cap_descriptors(t->engine, &t->cap, "server", tunnel_name(t), "a new flow");
        return;
    }
    if (is_range) {
        cap_reached(t->engine, &t->cap, "server", tunnel_name(t),
                    "no free port in portRange %u-%u for a flow; widen it, or lower flowTimeout",
                    (unsigned)c->port_low, (unsigned)c->port_high);
        return;
    }
    snprintf(text, sizeof text, "cannot open a socket for a flow: %s", io_text(failure, cause));
    tunnel_note_error(t, text);
    engine_log_gated(t->engine, &t->server->limit_gate, UDPTUN_LOG_WARN, "server", "%s: %s",
                     tunnel_name(t), text);
}

/* 0, or the failure, which has been logged. */
static int egress_socket_open_socket(struct egress *egress, const struct udptun_endpoint *to)
{
    struct tunnel *t = egress->head.tunnel;
    struct socket_rules all = tunnel_rules(t), rules;
    all.leaves_spare = true;
    rules = socket_rules_for(&all, to);
    struct port_wish wish = wish_of(egress, to->family);
    bool is_loopback = is_apart(t, to);
    udptun_socket socket;
    int failure = egress_bind(t, is_loopback ? &rules : &all,
                              (enum udptun_endpoint_family)to->family, &wish, &socket);
    if (failure == 0) {
        failure = keep_socket(egress, to->family, is_loopback, socket);
        if (failure)
            socket_close(socket);
    }
    if (failure) {
        egress_socket_tell_failure(t, failure);
        return failure;
    }
    if (is_loopback && find_socket(egress, to->family, false))
        return 0; /* the flow's external address is that in the network */
    struct udptun_endpoint external = socket_own(socket);
    udptun_binding_external(egress->head.binding, &external, t->engine->loop.now_us);
    return 0;
}

struct egress_socket *egress_socket_to(struct egress *egress, const struct udptun_endpoint *to,
                                       int *failure)
{
    bool is_loopback = is_apart(egress->head.tunnel, to);
    struct egress_socket *s = find_socket(egress, to->family, is_loopback);
    *failure = 0;
    if (s)
        return s;
    *failure = egress_socket_open_socket(egress, to);
    return *failure ? NULL : find_socket(egress, to->family, is_loopback);
}

static void egress_socket_close_socket(struct egress_socket *s)
{
    hairpin_remove(s);
    watch_stop(&s->watch);
    socket_close(s->socket);
}

void egress_sockets_close(struct egress *egress)
{
    if (egress->first.family != UDPTUN_ENDPOINT_NONE)
        egress_socket_close_socket(&egress->first);
    while (egress->first.next) {
        struct egress_socket *s = egress->first.next;
        egress->first.next = s->next;
        egress_socket_close_socket(s);
        free(s);
    }
}

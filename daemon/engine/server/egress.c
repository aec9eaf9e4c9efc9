/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress.c - full-cone UDP sockets at the server.
 *
 * A binding has one unconnected socket per family, opened by the first datagram that needs it
 * and receiving from anyone from then on. Out: the machine's callback gathers datagrams in the
 * engine's sender, which is flushed when the bytes that they lie in go away. In: batches, handed
 * to the machine one by one. ICMP errors are taken from the socket's error queue.
 */
#include "daemon/engine/server/egress.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/engine/server/egress_packets.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/engine/settings/filter.h"
#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/udp_io.h"
#include "proto/error.h"

/* System calls per socket and turn; each takes a batch. */
enum { MAX_RECEIVES = 4 };

size_t egress_size(void)
{
    return sizeof(struct egress);
}

/* ---- in -----------------------------------------------------------------------------------------
 */

static bool received(void *arg, const struct udp_run *run)
{
    struct egress *egress = (struct egress *)arg;
    struct tunnel *t = egress->head.tunnel;
    uint64_t now_us = t->engine->now_us;
    struct udpt_dest from = udpt_dest_of(&run->source);
    bool passes = filter_passes(egress->filter, t->config->filtering, &run->source);
    const uint8_t *data;
    size_t at = 0, size;
    /* What cannot be sent is counted where it is dropped. */
    while (udp_run_next(run, &at, &data, &size)) {
        if (passes)
            udpt_send(egress->head.binding, &from, data, size, now_us);
        else
            udpt_count_drop(t->machine, egress->head.binding, UDPT_DROP_POLICY);
    }
    return true;
}

static void report(struct egress *egress, const struct udpt_dest *dest, int sys_errno, uint32_t mtu)
{
    enum udpt_error_code code = UDPT_HOST_UNREACHABLE;
    if (sys_errno == ECONNREFUSED)
        code = UDPT_PORT_UNREACHABLE;
    else if (sys_errno == EMSGSIZE)
        code = UDPT_TOO_BIG;
    udpt_binding_error(egress->head.binding, dest, code, mtu, egress->head.tunnel->engine->now_us);
}

static void failed(void *arg, const struct endpoint *to, int sys_errno, uint32_t mtu)
{
    struct udpt_dest dest = udpt_dest_of(to);
    report((struct egress *)arg, &dest, sys_errno, mtu);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct egress *egress = (struct egress *)watcher->data;
    struct tunnel *t = egress->head.tunnel;
    struct udptun_engine *e = t->engine;
    e->batch_used = true;
    for (int i = 0; i < MAX_RECEIVES; i++) {
        if (udp_receive(e->batch, watcher->fd, received, egress) <= 0) {
            udp_errors(watcher->fd, failed, egress);
            break;
        }
        if (!udp_batch_was_full(e->batch)) /* an error that waits makes it readable again */
            break;
    }
    tunnel_touch(t);
}

/* ---- sockets ------------------------------------------------------------------------------------
 */

static struct egress_socket *find_socket(struct egress *egress, uint8_t family)
{
    if (egress->first_family == family)
        return &egress->first;
    return egress->first_family == ENDPOINT_NONE ? NULL : egress->second;
}

static struct egress_socket *place_for(struct egress *egress, uint8_t family)
{
    if (egress->first_family == ENDPOINT_NONE) {
        egress->first_family = family;
        return &egress->first;
    }
    egress->second = (struct egress_socket *)calloc(1, sizeof *egress->second);
    return egress->second;
}

/* The port that the client had, else that of the other family. */
static uint16_t port_wanted(const struct egress *egress, uint8_t family)
{
    uint16_t want = family == ENDPOINT_IP4 ? egress->want4 : egress->want6;
    if (want != 0 || egress->first_family == ENDPOINT_NONE)
        return want;
    return socket_local(egress->first.io.fd).port;
}

static bool is_shortage(int sys_errno)
{
    return sys_errno == EMFILE || sys_errno == ENFILE || sys_errno == ENOBUFS ||
           sys_errno == ENOMEM || sys_errno == EADDRINUSE;
}

static void cannot_open(struct tunnel *t, int sys_errno)
{
    char text[ERRNO_TEXT_SIZE];
    engine_log_gated(t->engine, &t->server->limit_gate, UDPTUN_LOG_WARN, "server",
                     "%s: no socket for a flow: %s", tunnel_name(t), errno_text(sys_errno, text));
    errno = sys_errno;
}

/* NULL and errno when there is none to be had. */
static struct egress_socket *open_socket(struct egress *egress, uint8_t family)
{
    struct tunnel *t = egress->head.tunnel;
    int fd = egress_bind(t, (enum endpoint_family)family, port_wanted(egress, family));
    if (fd < 0) {
        cannot_open(t, -fd);
        return NULL;
    }
    struct egress_socket *s = place_for(egress, family);
    if (!s) {
        close(fd);
        cannot_open(t, ENOMEM);
        return NULL;
    }
    udp_setup(fd, UDP_WANT_ERRORS);
    ev_io_init(&s->io, on_readable, fd, EV_READ);
    s->io.data = egress;
    ev_io_start(t->engine->loop, &s->io);
    struct endpoint external = socket_local(fd);
    udpt_binding_external(egress->head.binding, &external, t->engine->now_us);
    return s;
}

static void close_socket(struct egress *egress, struct egress_socket *s)
{
    ev_io_stop(egress->head.tunnel->engine->loop, &s->io);
    close(s->io.fd);
}

/* ---- out ----------------------------------------------------------------------------------------
 */

static bool refused(struct egress *egress, const struct endpoint *to, const struct udpt_dest *asked)
{
    struct tunnel *t = egress->head.tunnel;
    uint64_t now_us = t->engine->now_us;
    if (policy_allows(t->server->policy, to, now_us))
        return false;
    char text[ENDPOINT_TEXT_SIZE];
    engine_log_gated(t->engine, &t->server->policy_gate, UDPTUN_LOG_WARN, "policy",
                     "%s: target %s is not allowed", tunnel_name(t), endpoint_format(to, text));
    udpt_binding_error(egress->head.binding, asked, UDPT_POLICY, 0, now_us);
    return true;
}

void egress_send(struct egress *egress, const struct endpoint *to, const struct udpt_dest *asked,
                 bool exempt, const uint8_t *data, size_t size)
{
    struct tunnel *t = egress->head.tunnel;
    struct endpoint plain = endpoint_unmapped(to);
    if (!exempt && refused(egress, &plain, asked))
        return;
    if (t->server->packets) {
        if (t->config->filtering != FILTER_NONE)
            filter_note(&egress->filter, t->config->filtering, &plain);
        egress_packets_send(t->server->packets, egress, &plain, asked, data, size);
        return;
    }
    struct egress_socket *s = find_socket(egress, plain.family);
    if (!s)
        s = open_socket(egress, plain.family);
    if (s && t->config->filtering != FILTER_NONE)
        filter_note(&egress->filter, t->config->filtering, &plain);
    if (s)
        udp_sender_add(t->engine->sender, s->io.fd, &plain, data, size, &egress->head);
    else
        udpt_binding_error(egress->head.binding, asked,
                           is_shortage(errno) ? UDPT_LIMIT : UDPT_HOST_UNREACHABLE, 0,
                           t->engine->now_us);
}

void egress_send_any(struct egress *egress, const struct endpoint *eps, size_t count,
                     const struct udpt_dest *asked, bool exempt, const uint8_t *data, size_t size)
{
    struct tunnel *t = egress->head.tunnel;
    size_t i = 0;
    while (!exempt && i < count && !policy_allows(t->server->policy, &eps[i], t->engine->now_us))
        i++;
    egress_send(egress, &eps[i < count ? i : 0], asked, exempt, data, size);
}

void egress_unsent(struct egress *egress, const struct endpoint *dest, int sys_errno)
{
    struct tunnel *t = egress->head.tunnel;
    if (sys_errno == EAGAIN || sys_errno == ENOBUFS) {
        udpt_count_drop(t->machine, egress->head.binding, UDPT_DROP_QUEUE);
        return;
    }
    struct udpt_dest to = udpt_dest_of(dest);
    report(egress, &to, sys_errno, 0);
}

static struct udpt_dest own_target(const struct tunnel_settings *config)
{
    const struct host_port *target = &config->target;
    return target->ep.family == ENDPOINT_NONE
               ? udpt_dest_of_name(target->host, strlen(target->host), target->port)
               : udpt_dest_of(&target->ep);
}

void egress_datagram(void *arg, struct udpt_binding *b, const struct udpt_dest *peer,
                     const uint8_t *data, size_t size)
{
    struct tunnel *t = (struct tunnel *)arg;
    struct egress *egress = (struct egress *)udpt_binding_host(b);
    bool exempt = t->config->has_target;
    struct udpt_dest dest = exempt ? own_target(t->config) : *peer;
    struct endpoint eps[RESOLVER_MAX_ADDRESSES];
    size_t count = 0;
    if (dest.ep.family != ENDPOINT_NAME)
        egress_send(egress, &dest.ep, peer, exempt, data, size);
    else if (!resolver_cached(t->resolver, dest.name, dest.name_len, dest.ep.port, eps,
                              RESOLVER_MAX_ADDRESSES, &count))
        egress_lookup_queue(egress, &dest, peer, exempt, data, size);
    else if (count > 0)
        egress_send_any(egress, eps, count, peer, exempt, data, size);
    else
        udpt_binding_error(b, peer, UDPT_HOST_UNREACHABLE, 0, t->engine->now_us);
}

/* ---- life ---------------------------------------------------------------------------------------
 */

int egress_opened(void *arg, struct udpt_binding *b, uint16_t want4, uint16_t want6)
{
    struct egress *egress = (struct egress *)udpt_binding_host(b);
    egress->head = (struct flow_head){.tunnel = (struct tunnel *)arg, .binding = b};
    egress->want4 = want4;
    egress->want6 = want6;
    /* The client holds back this flow's datagrams until it knows which ports it got again. */
    if (egress->head.tunnel->server->packets) {
        if (want4 != 0 || want6 != 0)
            egress_packets_opened(egress->head.tunnel->server->packets, egress);
        return UDPTUN_OK;
    }
    if (want4 != 0 && !open_socket(egress, ENDPOINT_IP4))
        return UDPTUN_E_LIMIT;
    if (want6 != 0 && !open_socket(egress, ENDPOINT_IP6) && want4 == 0)
        return UDPTUN_E_LIMIT;
    return UDPTUN_OK;
}

void egress_closed(void *arg, struct udpt_binding *b, enum udpt_close_reason reason)
{
    (void)reason;
    struct tunnel *t = (struct tunnel *)arg;
    struct egress *egress = (struct egress *)udpt_binding_host(b);
    if (!egress->head.tunnel)
        return;
    udp_sender_flush(t->engine->sender);
    egress_lookup_drop(egress);
    if (t->server->packets)
        egress_packets_closed(t->server->packets, egress);
    filter_free(egress->filter);
    if (egress->first_family != ENDPOINT_NONE)
        close_socket(egress, &egress->first);
    if (egress->second) {
        close_socket(egress, egress->second);
        free(egress->second);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* status_reply.c - see status_reply.h. */
#include "daemon/control/report/status_reply.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/codec.h"

#define NEW(kind) (void *)codec_new(&udptun__control__##kind##__descriptor)

/* Set an optional number. */
#define SET(message, field, value) ((message)->has_##field = 1, (message)->field = (value))

static char *text_or_null(const char *text)
{
    return text[0] ? strdup(text) : NULL;
}

static double ms(int64_t us)
{
    return (double)us / 1000.;
}

/* The engine's -1 is "not measured yet". */
static double measured_ms(int64_t us)
{
    return us < 0 ? (double)NAN : ms(us);
}

void status_append(void *array, size_t *count, void *item)
{
    ProtobufCMessage ***items = array;
    if (!item)
        return;
    /* Room doubles whenever the count is a power of two. */
    if ((*count & (*count - 1)) == 0) {
        ProtobufCMessage **grown = realloc(*items, (*count ? 2 * *count : 1) * sizeof *grown);
        if (!grown) {
            protobuf_c_message_free_unpacked(item, NULL);
            return;
        }
        *items = grown;
    }
    (*items)[(*count)++] = item;
}

static connection_msg *status_of_connection(const struct udptun_connection_status *c)
{
    connection_msg *m = NEW(connection);
    if (!m)
        return NULL;
    m->state = strdup(c->state);
    SET(m, rtt_ms, measured_ms(c->rtt_us));
    SET(m, queue_ms, ms(c->queue_us));
    SET(m, tx_bytes, c->tx_bytes);
    SET(m, rx_bytes, c->rx_bytes);
    SET(m, control, c->control);
    return m;
}

static dropped_msg *status_of_dropped(const struct udptun_counters *c)
{
    dropped_msg *m = NEW(dropped);
    if (!m)
        return NULL;
    SET(m, stale, c->dropped_stale);
    SET(m, queue, c->dropped_queue);
    SET(m, oversize, c->dropped_oversize);
    SET(m, policy, c->dropped_policy);
    SET(m, no_flow, c->dropped_no_flow);
    SET(m, error, c->dropped_error);
    return m;
}

static void fill_running(tunnel_status_msg *m, const struct udptun_tunnel_status *s)
{
    m->state = strdup(udptun_state_name(s->state));
    m->last_error = text_or_null(s->last_error);
    m->listen = strdup(s->listen);
    m->server = text_or_null(s->server);
    SET(m, sessions, s->sessions);
    SET(m, flows, s->flows);
    for (size_t i = 0; i < s->connection_count; i++)
        status_append(&m->connections, &m->n_connections, status_of_connection(&s->connections[i]));
    SET(m, tx_packets, s->counters.tx_packets);
    SET(m, rx_packets, s->counters.rx_packets);
    SET(m, tx_bytes, s->counters.tx_bytes);
    SET(m, rx_bytes, s->counters.rx_bytes);
    m->dropped = status_of_dropped(&s->counters);
    SET(m, reconnects, s->reconnects);
    SET(m, resumed, s->resumed);
    if (s->refused)
        SET(m, refused_connections, s->refused);
    SET(m, rtt_ms, measured_ms(s->rtt_us));
    SET(m, uptime, s->uptime_s);
}

bool status_is_persistent(const struct control *control, const struct object *object)
{
    return object_is_kept(object) && control->store.folder &&
           !unwritten_reason(&control->unwritten, object->name);
}

tunnel_status_msg *status_of_tunnel(struct control *control, const struct object *object,
                                    bool *at_limit)
{
    struct udptun_tunnel_status status;
    bool runs = udptun_status(control->engine, object->name, &status) == 0;
    const tunnel_msg *tunnel = object_tunnel(object->message);
    if (!tunnel || (!runs && !object->last_error[0]))
        return NULL;
    tunnel_status_msg *m = NEW(tunnel_status);
    if (!m)
        return NULL;
    if (!runs) { /* it could not be started when the state was loaded */
        memset(&status, 0, sizeof status);
        status.state = UDPTUN_FAILED;
        status.rtt_us = -1;
        memcpy(status.last_error, object->last_error, sizeof status.last_error);
    }
    m->name = strdup(object->name);
    m->role = strdup(tunnel->role == UDPTUN__CONTROL__TUNNEL__ROLE__SERVER ? "server" : "local");
    fill_running(m, &status);
    SET(m, from_file, object->of_file);
    SET(m, persistent, status_is_persistent(control, object));
    *at_limit = *at_limit || status.at_limit;
    return m;
}

/* A field of Tun2socksDropped for each cause, under its JSON name. */
static tun2socks_dropped_msg *status_of_tun2socks_dropped(const struct udptun_tun2socks_status *s)
{
    tun2socks_dropped_msg *m = NEW(tun2socks_dropped);
    if (!m)
        return NULL;
    const ProtobufCMessageDescriptor *kind = m->base.descriptor;
    for (unsigned i = 0; i < kind->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &kind->fields[i];
        char name[CODEC_NAME_SIZE];
        codec_json_name(field->name, name);
        for (size_t k = 0; k < s->drop_count; k++) {
            if (strcmp(name, s->dropped[k].cause) != 0)
                continue;
            char *bytes = (char *)m;
            *(protobuf_c_boolean *)(void *)(bytes + field->quantifier_offset) = 1;
            *(uint64_t *)(void *)(bytes + field->offset) = s->dropped[k].packets;
        }
    }
    return m;
}

tun2socks_status_msg *status_of_tun2socks(struct control *control, const struct object *object,
                                          bool *at_limit)
{
    struct udptun_tun2socks_status status;
    bool runs = udptun_tun2socks_status(control->engine, object->name, &status) == 0;
    const tun2socks_msg *instance = object_tun2socks(object->message);
    if (!instance || (!runs && !object->last_error[0]))
        return NULL;
    tun2socks_status_msg *m = NEW(tun2socks_status);
    if (!m)
        return NULL;
    m->name = strdup(object->name);
    SET(m, from_file, object->of_file);
    SET(m, persistent, status_is_persistent(control, object));
    if (!runs) { /* it could not be started when the state was loaded */
        m->state = strdup(udptun_state_name(UDPTUN_FAILED));
        m->last_error = strdup(object->last_error);
        m->device = strdup(instance->device ? instance->device : "");
        return m;
    }
    *at_limit = *at_limit || status.at_limit;
    m->state = strdup(udptun_state_name(status.state));
    m->last_error = text_or_null(status.last_error);
    m->device = strdup(status.device);
    SET(m, mtu, status.mtu);
    m->tcp = strdup(status.tcp);
    m->udp = strdup(status.udp);
    if (status.associated >= 0)
        SET(m, associated, status.associated);
    SET(m, tcp_flows, status.tcp_flows);
    SET(m, udp_flows, status.udp_flows);
    SET(m, tcp_refused, status.tcp_refused);
    SET(m, tx_packets, status.tx_packets);
    SET(m, rx_packets, status.rx_packets);
    SET(m, tx_bytes, status.tx_bytes);
    SET(m, rx_bytes, status.rx_bytes);
    m->dropped = status_of_tun2socks_dropped(&status);
    SET(m, uptime, status.uptime_s);
    for (size_t i = 0; i < status.relay_count; i++)
        status_append(&m->relays, &m->n_relays, strdup(status.relays[i]));
    if (status.dns[0]) {
        m->dns = strdup(status.dns);
        SET(m, dns_questions, status.dns_questions);
        SET(m, dns_cached, status.dns_cached);
        SET(m, dns_shared, status.dns_shared);
        SET(m, dns_unanswered, status.dns_unanswered);
        SET(m, dns_entries, status.dns_entries);
    }
    return m;
}

session_msg *status_of_session(const struct udptun_session_status *s)
{
    session_msg *m = NEW(session);
    if (!m)
        return NULL;
    m->session = strdup(s->session);
    m->peer = strdup(s->peer);
    m->state = strdup(s->state);
    SET(m, flows, s->flows);
    for (size_t i = 0; i < s->connection_count; i++)
        status_append(&m->connections, &m->n_connections, status_of_connection(&s->connections[i]));
    SET(m, tx_bytes, s->tx_bytes);
    SET(m, rx_bytes, s->rx_bytes);
    SET(m, age, s->age_s);
    return m;
}

flow_msg *status_of_flow(const struct udptun_flow_status *f)
{
    flow_msg *m = NEW(flow);
    if (!m)
        return NULL;
    const struct udptun_counters *c = &f->counters;
    m->source = strdup(f->source);
    m->external = strdup(f->external);
    SET(m, peers, f->peers);
    SET(m, tx_packets, c->tx_packets);
    SET(m, rx_packets, c->rx_packets);
    SET(m, tx_bytes, c->tx_bytes);
    SET(m, rx_bytes, c->rx_bytes);
    SET(m, dropped,
        c->dropped_stale + c->dropped_queue + c->dropped_oversize + c->dropped_policy +
            c->dropped_no_flow + c->dropped_error);
    SET(m, idle, f->idle_s);
    SET(m, age, f->age_s);
    return m;
}

/* One that is connecting for the first time is not, until an attempt has failed. */
static bool in_trouble(const char *state, const char *last_error)
{
    static const enum udptun_state bad[] = {UDPTUN_DEGRADED, UDPTUN_RECONNECTING, UDPTUN_FAILED};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (state && strcmp(state, udptun_state_name(bad[i])) == 0)
            return true;
    }
    return last_error && state && strcmp(state, udptun_state_name(UDPTUN_CONNECTING)) == 0;
}

/* An object's own trouble comes first. */
static void add_unwritten(const struct control *control, const char *name, char **last_error)
{
    const char *unwritten = unwritten_reason(&control->unwritten, name);
    if (unwritten && !*last_error)
        *last_error = strdup(unwritten);
}

status_msg *status_of_all(struct control *control, const struct object *only)
{
    status_msg *m = NEW(status);
    if (!m)
        return NULL;
    bool degraded = false;
    for (size_t i = 0; i < control->objects.count; i++) {
        const struct object *object = &control->objects.items[i];
        if (only && only != object)
            continue;
        tunnel_status_msg *tunnel = status_of_tunnel(control, object, &degraded);
        tun2socks_status_msg *tun2socks = status_of_tun2socks(control, object, &degraded);
        if (tunnel)
            add_unwritten(control, object->name, &tunnel->last_error);
        if (tun2socks)
            add_unwritten(control, object->name, &tun2socks->last_error);
        degraded = degraded || (tunnel && in_trouble(tunnel->state, tunnel->last_error)) ||
                   (tun2socks && in_trouble(tun2socks->state, NULL));
        status_append(&m->udp_tunnels, &m->n_udp_tunnels, tunnel);
        status_append(&m->tun2socks, &m->n_tun2socks, tun2socks);
    }
    const char *unwritten = unwritten_reason(&control->unwritten, NULL);
    degraded = degraded || unwritten;
    if (unwritten)
        m->last_error = strdup(unwritten);
    m->version = strdup(udptun_version());
    SET(m, uptime, control_uptime_s(control));
    m->health = strdup(degraded ? "degraded" : "ok");
    return m;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* udp_local.c - a udp-local's flows, and the machine's callbacks in that role. */
#include "daemon/engine/local/udp_local.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/tunnel/carrier.h"
#include "daemon/engine/tunnel/ping.h"
#include "daemon/platform/datagram.h"
#include "proto/error.h"

/* ---- flows --------------------------------------------------------------------------------------
 */

void front_init(struct front *front, const struct front_ops *ops, struct tunnel *t, uint64_t id)
{
    *front = (struct front){.ops = ops, .tunnel = t, .id = id};
    list_init(&front->flows);
    list_init(&front->node);
}

/* What a flow is found by; without padding, for it is hashed as bytes. */
struct source_key {
    struct udptun_endpoint source;
    uint64_t front;
};

static struct source_key udp_local_key_of(const struct front *front,
                                          const struct udptun_endpoint *source)
{
    return (struct source_key){.source = *source, .front = front->id};
}

static bool match(const struct table_node *node, const void *key)
{
    const struct flow *flow = table_entry(node, const struct flow, node);
    const struct source_key *wanted = (const struct source_key *)key;
    return flow->front->id == wanted->front && endpoint_equal(&flow->source, &wanted->source);
}

static struct flow *look_up(struct front *front, const struct udptun_endpoint *source,
                            uint64_t *hash)
{
    struct source_key key = udp_local_key_of(front, source);
    *hash = engine_hash(front->tunnel->engine, &key, sizeof key);
    struct table_node *node = table_find(&front->tunnel->local->flows, *hash, match, &key);
    return node ? table_entry(node, struct flow, node) : NULL;
}

/* The source's name towards the server, the same after a restart that kept the identity. */
static uint64_t udp_local_label_of(const struct front *front, const struct udptun_endpoint *source)
{
    struct source_key key = udp_local_key_of(front, source);
    uint64_t label;
    crypto_shorthash((uint8_t *)&label, (const uint8_t *)&key, sizeof key,
                     front->tunnel->local->label_key);
    return label;
}

/* A reply that the source's socket did not take. */
static void on_unsent(struct datagram_owner *owner, const struct udptun_endpoint *to, size_t size,
                      enum io why)
{
    (void)to;
    (void)size;
    const struct flow_head *head = (const struct flow_head *)(const void *)owner;
    enum udptun_machine_drop cause = UDPTUN_MACHINE_DROP_ERROR;
    if (why == IO_AGAIN)
        cause = UDPTUN_MACHINE_DROP_QUEUE;
    else if (why == IO_TOO_BIG)
        cause = UDPTUN_MACHINE_DROP_OVERSIZE;
    udptun_machine_count_drop(head->tunnel->machine, head->binding, cause);
}

static struct flow *open_flow(struct front *front, const struct udptun_endpoint *source,
                              uint64_t hash, int *code)
{
    struct tunnel *t = front->tunnel;
    uint64_t label = udp_local_label_of(front, source);
    struct udptun_binding *b = udptun_binding_open(t->machine, label, t->engine->loop.now_us, code);
    if (!b)
        return NULL;
    udptun_binding_set_source_port(b, source->port);
    struct flow *flow = (struct flow *)udptun_binding_host(b);
    flow->head = (struct flow_head){.owner = {on_unsent}, .tunnel = t, .binding = b};
    flow->source = *source;
    if (table_insert(&t->local->flows, &flow->node, hash) != UDPTUN_OK) {
        *code = UDPTUN_E_NOMEM;
        udptun_binding_close(b, t->engine->loop.now_us);
        return NULL;
    }
    flow->front = front; /* only a flow in the table has one */
    list_init(&flow->in_front);
    list_append(&front->flows, &flow->in_front);
    return flow;
}

static struct flow *find_flow(struct front *front, const struct udptun_endpoint *source, int *code)
{
    struct tunnel *t = front->tunnel;
    struct udp_local *local = t->local;
    struct flow *last = local->last;
    if (last && last->front == front && endpoint_equal(&last->source, source))
        return last;
    uint64_t hash;
    struct flow *flow = look_up(front, source, &hash);
    if (!flow)
        flow = open_flow(front, source, hash, code);
    local->last = flow;
    return flow;
}

bool udp_local_has_flow(struct front *front, const struct udptun_endpoint *source)
{
    uint64_t hash;
    return look_up(front, source, &hash) != NULL;
}

void udp_local_close_flow(struct front *front, const struct udptun_endpoint *source)
{
    uint64_t hash;
    struct flow *flow = look_up(front, source, &hash);
    if (flow)
        udptun_binding_close(flow->head.binding, front->tunnel->engine->loop.now_us);
}

void udp_local_close_flows(struct front *front)
{
    while (!list_empty(&front->flows)) {
        struct flow *flow = list_entry(front->flows.next, struct flow, in_front);
        udptun_binding_close(flow->head.binding, front->tunnel->engine->loop.now_us);
    }
}

bool udp_local_may_be_whole(const struct udptun_dest *dest, size_t size)
{
    enum { LEAST_MTU = 1280, UDP_HEADER = 8, IP4_HEADER = 20, IP6_HEADER = 40 };
    size_t header = dest->ep.family == UDPTUN_ENDPOINT_IP6 ? IP6_HEADER : IP4_HEADER;
    return header + UDP_HEADER + size > LEAST_MTU;
}

int udp_local_send(struct front *front, const struct udptun_endpoint *source,
                   const struct udptun_dest *dest, const uint8_t *data, size_t size)
{
    struct tunnel *t = front->tunnel;
    int code = UDPTUN_E_NOMEM;
    struct flow *flow = find_flow(front, source, &code);
    if (flow)
        return udptun_binding_send(flow->head.binding, dest, data, size, t->engine->loop.now_us);
    udptun_machine_count_drop(t->machine, NULL, UDPTUN_MACHINE_DROP_NO_FLOW);
    return code;
}

/* ---- guests -------------------------------------------------------------------------------------
 */

void udp_local_join(struct tunnel *t, struct front *front)
{
    udp_local_leave(front);
    front->tunnel = t;
    list_append(&t->local->guests, &front->node);
}

/* The flow can no longer be found, and nothing is delivered. */
static void udp_local_forget(struct flow *flow)
{
    table_remove(&flow->head.tunnel->local->flows, &flow->node);
    list_remove(&flow->in_front);
    flow->front = NULL;
}

/* The flows' bindings live on: the machine may be on the stack. */
void udp_local_leave(struct front *front)
{
    struct tunnel *t = front->tunnel;
    if (!t)
        return;
    while (!list_empty(&front->flows))
        udp_local_forget(list_entry(front->flows.next, struct flow, in_front));
    list_remove(&front->node);
    front->tunnel = NULL;
}

static void udp_local_bury(struct tunnel *t)
{
    while (t->local && !list_empty(&t->local->guests))
        udp_local_leave(list_entry(t->local->guests.next, struct front, node));
}

void udp_local_set_own(struct front *front, const struct udptun_endpoint *source,
                       const struct udptun_endpoint *own)
{
    struct flow *last = front->tunnel->local->last;
    uint64_t hash;
    if (!last || last->front != front || !endpoint_equal(&last->source, source))
        last = look_up(front, source, &hash);
    if (last)
        last->own = *own;
}

/* ---- callbacks of the machine -------------------------------------------------------------------
 */

static void on_random(void *arg, void *to, size_t size)
{
    (void)arg;
    randombytes_buf(to, size);
}

static void on_udp_local_hangup(void *arg, struct udptun_conn *conn, const char *reason)
{
    struct tunnel *t = (struct tunnel *)arg;
    char overdue[sizeof t->last_error];
    if (strcmp(reason, UDPTUN_MACHINE_REASON_NOT_OPENED) == 0 &&
        udp_local_dial_overdue(conn, overdue, sizeof overdue))
        reason = overdue;
    engine_log(t->engine, UDPTUN_LOG_DEBUG, "local", "%s: connection ended: %s", tunnel_name(t),
               reason);
    /* Without a session the reason is why there is none; a failed dial has told it already. */
    if ((t->state == UDPTUN_CONNECTING || t->state == UDPTUN_RECONNECTING) &&
        strcmp(t->last_error, reason) != 0) {
        tunnel_note_error(t, reason);
        engine_log_gated(t->engine, &t->local->dial_gate, UDPTUN_LOG_WARN, "local", "%s: %s",
                         tunnel_name(t), reason);
    }
    carrier_hangup(conn);
}

static void on_datagram(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                        const uint8_t *data, size_t size)
{
    struct tunnel *t = (struct tunnel *)arg;
    struct flow *flow = (struct flow *)udptun_binding_host(b);
    if (flow->front)
        flow->front->ops->deliver(flow->front, flow, peer, data, size);
    else
        udptun_machine_count_drop(t->machine, b, UDPTUN_MACHINE_DROP_NO_FLOW);
}

static void on_binding_closed(void *arg, struct udptun_binding *b, enum udptun_close_reason reason)
{
    (void)reason;
    struct tunnel *t = (struct tunnel *)arg;
    struct flow *flow = (struct flow *)udptun_binding_host(b);
    udp_sender_flush(t->engine->sender);
    if (t->local->last == flow)
        t->local->last = NULL;
    if (!flow->front)
        return;
    struct front *front = flow->front;
    udp_local_forget(flow);
    if (front->ops->closed)
        front->ops->closed(front, flow);
}

/* What a front cannot tell its sender is in the counters. */
static void on_udp_local_error(void *arg, struct udptun_binding *b, const struct udptun_dest *peer,
                               enum udptun_machine_error code, uint32_t value)
{
    struct tunnel *t = (struct tunnel *)arg;
    struct flow *flow = (struct flow *)udptun_binding_host(b);
    if (flow->front && flow->front->ops->failed)
        flow->front->ops->failed(flow->front, flow, peer, code, value);
    else if (code == UDPTUN_MACHINE_TOO_BIG) /* all else the machine has counted */
        udptun_machine_count_drop(t->machine, b, UDPTUN_MACHINE_DROP_OVERSIZE);
}

static enum udptun_state state_of(enum udptun_machine_state state)
{
    switch (state) {
    case UDPTUN_MACHINE_CONNECTING:
        return UDPTUN_CONNECTING;
    case UDPTUN_MACHINE_ESTABLISHED:
        return UDPTUN_ESTABLISHED;
    case UDPTUN_MACHINE_DEGRADED:
        return UDPTUN_DEGRADED;
    case UDPTUN_MACHINE_RECONNECTING:
    case UDPTUN_MACHINE_DETACHED:
    case UDPTUN_MACHINE_CLOSED:
        return UDPTUN_RECONNECTING;
    }
    return UDPTUN_FAILED;
}

static void on_udp_local_state(void *arg, struct udptun_session *s, enum udptun_machine_state state,
                               const char *reason)
{
    (void)s;
    struct tunnel *t = (struct tunnel *)arg;
    tunnel_enter_state(t, state_of(state), reason);
}

static void on_log(void *arg, enum udptun_machine_log level, const char *text)
{
    struct tunnel *t = (struct tunnel *)arg;
    tunnel_log_machine(t, level, text);
}

static void on_pong(void *arg, uint64_t token, uint64_t rtt_us)
{
    ping_answered((struct tunnel *)arg, token, rtt_us);
}

static const struct udptun_machine_ops udp_local_ops = {
    .random = on_random,
    .dial = udp_local_dial,
    .hangup = on_udp_local_hangup,
    .datagram = on_datagram,
    .binding_closed = on_binding_closed,
    .error = on_udp_local_error,
    .state = on_udp_local_state,
    .pong = on_pong,
    .log = on_log,
};

/* ---- life ---------------------------------------------------------------------------------------
 */

static void udp_local_configured(struct tunnel *t)
{
    const struct host_port *target = &t->config->target;
    if (!t->config->has_target)
        return;
    /* No zone is on the wire: an address with one goes as text, and the far end knows what it is.
     */
    t->local->target = target->ep.family == UDPTUN_ENDPOINT_NONE || target->ep.scope
                           ? udptun_dest_of_name(target->host, strlen(target->host), target->port)
                           : udptun_dest_of(&target->ep);
}

static int udp_local_new(struct tunnel *t, struct udptun_error *err)
{
    struct udptun_machine_config udpt;
    tunnel_settings_fill_udpt(t->config, &udpt);
    udpt.binding_host_size = sizeof(struct flow);
    udpt.identity = t->config->has_identity ? &t->config->identity.session : NULL;
    t->local = (struct udp_local *)calloc(1, sizeof *t->local);
    bool is_socks5 = t->config->listen.kind == URL_SOCKS5;
    if (t->local) {
        table_init(&t->local->flows);
        list_init(&t->local->clients);
        list_init(&t->local->guests);
        front_socks5_init(t);
        t->local->arena = is_socks5 ? (uint8_t *)malloc(LOCAL_ARENA_SIZE) : NULL;
        front_init(&t->local->udp, &front_udp_ops, t, FRONT_UDP);
        front_init(&t->local->app, &front_app_ops, t, FRONT_APP);
        t->local->next_front = FRONT_FIRST_ASSOCIATION;
        if (t->config->has_identity)
            memcpy(t->local->label_key, t->config->identity.label_key, LABEL_KEY_SIZE);
        else
            randombytes_buf(t->local->label_key, LABEL_KEY_SIZE);
        udp_local_configured(t);
    }
    udpt.budget = &t->engine->buffers;
    if (t->local && (t->local->arena || !is_socks5))
        t->machine = udptun_machine_new(&udpt, &udp_local_ops, t, t->engine->loop.now_us);
    sodium_memzero(udpt.key, sizeof udpt.key);
    return t->machine ? UDPTUN_OK
                      : error_set(err, UDPTUN_E_NOMEM, NULL, "%s: out of memory", tunnel_name(t));
}

static int udp_local_listen(struct tunnel *t)
{
    if (t->listening.kind == URL_UDP)
        return front_udp_start(t);
    if (t->listening.kind == URL_SOCKS5)
        return acceptor_start(&t->local->acceptor, t->listening.socket);
    return UDPTUN_OK;
}

static void udp_local_unlisten(struct tunnel *t)
{
    if (t->listening.kind == URL_NONE)
        return;
    udp_sender_flush(t->engine->sender);
    if (t->listening.kind == URL_UDP)
        watch_stop(&t->local->readable);
    else
        acceptor_stop(&t->local->acceptor);
}

static void udp_local_free(struct tunnel *t)
{
    struct udp_local *local = t->local;
    if (!local)
        return;
    front_socks5_drop_clients(t);
    table_fini(&local->flows);
    free(local->arena);
    free(local);
    t->local = NULL;
}

const struct role_ops udp_local_role = {
    .module = "local",
    .first_state = UDPTUN_CONNECTING,
    .flow_size = sizeof(struct flow),
    .start = udp_local_new,
    .listen = udp_local_listen,
    .unlisten = udp_local_unlisten,
    .configured = udp_local_configured,
    .bury = udp_local_bury,
    .free = udp_local_free,
};

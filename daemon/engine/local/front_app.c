/* SPDX-License-Identifier: Apache-2.0 */
/*
 * front_app.c - datagrams of the app's own: udptun_send() and callbacks.datagram.
 *
 * From inside a callback only what the machine allows there is done at once; the rest is kept
 * until the end of the turn.
 */
#include "daemon/engine/local/front_app.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/local/udp_local.h"
#include "proto/error.h"

/* A datagram that waits for the end of the turn. */
struct held_datagram {
    struct list node; /* udptun_engine.held */
    char tunnel[ENTRY_NAME_SIZE];
    struct udptun_endpoint source;
    struct udptun_dest dest;
    char name[HOST_NAME_SIZE];
    size_t size;
    uint8_t data[];
};

struct send_call {
    struct udptun_engine *engine;
    const char *name;
    const struct udptun_address *source;
    const struct udptun_address *peer;
    const void *data;
    size_t size;
    bool dont_fragment;
    int code;
};

static bool is_ip(const struct udptun_address *a)
{
    return a && (a->family == UDPTUN_ENDPOINT_IP4 || a->family == UDPTUN_ENDPOINT_IP6);
}

static struct udptun_endpoint to_endpoint(const struct udptun_address *a)
{
    struct udptun_endpoint ep = {.family = a->family, .port = a->port};
    memcpy(ep.ip, a->ip, a->family == UDPTUN_ENDPOINT_IP4 ? 4 : 16);
    return ep;
}

static struct udptun_address to_address(const struct udptun_endpoint *ep)
{
    struct udptun_address a = {.family = ep->family, .port = ep->port};
    memcpy(a.ip, ep->ip, sizeof a.ip);
    return a;
}

static bool to_dest(const struct udptun_address *a, struct udptun_dest *dest)
{
    if (is_ip(a)) {
        struct udptun_endpoint ep = to_endpoint(a);
        *dest = udptun_dest_of(&ep);
        return true;
    }
    size_t len = a && a->family == UDPTUN_ENDPOINT_NAME && a->name ? strlen(a->name) : 0;
    if (len == 0 || len >= HOST_NAME_SIZE)
        return false;
    *dest = udptun_dest_of_name(a->name, len, a->port);
    return true;
}

static void front_app_deliver(struct front *front, struct flow *flow,
                              const struct udptun_dest *peer, const uint8_t *data, size_t size)
{
    struct tunnel *t = front->tunnel;
    const struct udptun_callbacks *callbacks = tunnel_callbacks(t);
    if (t->dead || !callbacks->datagram) {
        udptun_machine_count_drop(t->machine, flow->head.binding, UDPTUN_MACHINE_DROP_NO_FLOW);
        return;
    }
    struct udptun_address source = to_address(&flow->source);
    struct udptun_address from = to_address(&peer->ep);
    engine_enter_app(t->engine);
    callbacks->datagram(callbacks->arg, tunnel_name(t), &source, &from, data, size);
    engine_leave_app(t->engine);
}

/* The app learns what it asked to be told alone; all else is in the counters. */
static void front_app_failed(struct front *front, struct flow *flow, const struct udptun_dest *peer,
                             enum udptun_machine_error code, uint32_t value)
{
    struct tunnel *t = front->tunnel;
    const struct udptun_callbacks *callbacks = tunnel_callbacks(t);
    if (t->dead || code != UDPTUN_MACHINE_TOO_BIG || !callbacks->too_big)
        return;
    struct udptun_address source = to_address(&flow->source), to = to_address(&peer->ep);
    char name[HOST_NAME_SIZE];
    if (peer->name) {
        memcpy(name, peer->name, peer->name_len);
        name[peer->name_len] = '\0';
        to.name = name;
    }
    engine_enter_app(t->engine);
    callbacks->too_big(callbacks->arg, tunnel_name(t), &source, &to, value);
    engine_leave_app(t->engine);
}

const struct front_ops front_app_ops = {
    .deliver = front_app_deliver, .failed = front_app_failed, .closed = NULL};

static int front_app_hold(const struct send_call *call, const struct udptun_endpoint *source,
                          const struct udptun_dest *dest)
{
    struct held_datagram *held = (struct held_datagram *)malloc(sizeof *held + call->size);
    if (!held)
        return UDPTUN_E_NOMEM;
    strcpy(held->tunnel, call->name);
    held->source = *source;
    held->dest = *dest;
    if (dest->name) {
        memcpy(held->name, dest->name, dest->name_len);
        held->dest.name = held->name;
    }
    held->size = call->size;
    if (call->size)
        memcpy(held->data, call->data, call->size);
    list_init(&held->node);
    list_append(&call->engine->held, &held->node);
    return UDPTUN_OK;
}

static int send_datagram(const struct send_call *call)
{
    struct udptun_engine *e = call->engine;
    struct tunnel *t = tunnel_find(e, call->name);
    struct udptun_dest dest;
    if (!t)
        return UDPTUN_E_NOT_FOUND;
    if (!t->local || !is_ip(call->source) || !to_dest(call->peer, &dest) ||
        call->size > UDPTUN_MACHINE_MAX_PAYLOAD_IP6 || (call->size && !call->data))
        return UDPTUN_E_INVALID;
    struct udptun_endpoint source = to_endpoint(call->source);
    dest.dont_fragment = call->dont_fragment && udp_local_may_be_whole(&dest, call->size);
    struct front *front = &t->local->app;
    if (e->in_app > 0 && (e->in_write > 0 || !udp_local_has_flow(front, &source)))
        return front_app_hold(call, &source, &dest);
    int code = udp_local_send(front, &source, &dest, (const uint8_t *)call->data, call->size);
    tunnel_touch(t);
    return code;
}

static void run_send(void *arg)
{
    struct send_call *call = (struct send_call *)arg;
    engine_refresh(call->engine);
    call->code = send_datagram(call);
}

int udptun_send(udptun_engine *engine, const char *name, const struct udptun_address *source,
                const struct udptun_address *peer, const void *data, size_t size)
{
    struct send_call call = {engine, name, source, peer, data, size, false, UDPTUN_OK};
    engine_call(engine, run_send, &call);
    return call.code;
}

int udptun_send_unfragmented(udptun_engine *engine, const char *name,
                             const struct udptun_address *source, const struct udptun_address *peer,
                             const void *data, size_t size)
{
    struct send_call call = {engine, name, source, peer, data, size, true, UDPTUN_OK};
    engine_call(engine, run_send, &call);
    return call.code;
}

void front_app_send_held(struct udptun_engine *e)
{
    while (!list_empty(&e->held)) {
        struct held_datagram *held = list_entry(e->held.next, struct held_datagram, node);
        struct tunnel *t = tunnel_find(e, held->tunnel);
        list_remove(&held->node);
        if (t && t->local) {
            udp_local_send(&t->local->app, &held->source, &held->dest, held->data, held->size);
            tunnel_touch(t);
        }
        free(held);
    }
}

void front_app_drop_held(struct udptun_engine *e)
{
    while (!list_empty(&e->held)) {
        struct held_datagram *held = list_entry(e->held.next, struct held_datagram, node);
        list_remove(&held->node);
        free(held);
    }
}

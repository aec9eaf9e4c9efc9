/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_app.c - the device "app:": packets by function calls, for an app without a descriptor.
 *
 * A packet goes to the app from deep inside the stack. So the app's own, when it hands over one
 * from inside its callback, waits for the end of the turn, as a removal does, and those that come
 * after it wait behind it. What it hands over meanwhile is for the next turn: an app that answers
 * each packet with another would else keep the loop in one turn for ever.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/gateway/gateway.h"
#include "daemon/platform/device.h"
#include "proto/error.h"

enum { MOST_HELD = 1024 }; /* packets; a device that is full loses what comes beyond */

struct held_packet {
    struct list node; /* in tun.held */
    size_t size;
    uint8_t data[];
};

/* ---- to the app */

static void on_packet(void *arg, const struct io_span *parts, int count)
{
    struct gateway *t = (struct gateway *)arg;
    const struct udptun_tun2socks_config *c = &t->config->given;
    const uint8_t *data = (const uint8_t *)parts[0].data;
    size_t size = 0;
    if (t->is_closing)
        return;
    for (int i = 0; i < count; i++) {
        if (count > 1)
            memcpy(t->packet + size, parts[i].data, parts[i].size);
        size += parts[i].size;
    }
    engine_enter_app(t->engine);
    c->packet(c->arg, gateway_name(t), count > 1 ? t->packet : data, size);
    engine_leave_app(t->engine);
}

struct device *device_app_open(struct gateway *t, uint32_t mtu, struct udptun_error *err)
{
    if (!t->packet)
        t->packet = (uint8_t *)malloc(PACKET_MAX_SIZE);
    if (!t->packet) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        return NULL;
    }
    return device_open_callback(mtu, on_packet, t, err);
}

void device_app_free(struct gateway *t)
{
    while (!list_empty(&t->held)) {
        struct held_packet *p = list_entry(t->held.next, struct held_packet, node);
        list_remove(&p->node);
        free(p);
    }
    free(t->packet);
}

/* ---- from the app */

static void feed(struct gateway *t, const void *data, size_t size)
{
    t->has_batch = true;
    tun2socks_packet(t->stack, data, size);
}

void device_app_turn_end(struct gateway *t)
{
    for (unsigned left = t->held_count; left > 0; left--) {
        struct held_packet *p = list_entry(t->held.next, struct held_packet, node);
        list_remove(&p->node);
        t->held_count--;
        feed(t, p->data, p->size);
        free(p);
    }
    if (t->has_batch)
        tun2socks_batch_end(t->stack);
    t->has_batch = false;
}

static int device_app_hold(struct gateway *t, const void *data, size_t size)
{
    struct held_packet *p = NULL;
    if (t->held_count < MOST_HELD)
        p = (struct held_packet *)malloc(sizeof *p + size);
    if (!p)
        return UDPTUN_E_LIMIT;
    p->size = size;
    memcpy(p->data, data, size);
    list_init(&p->node);
    list_append(&t->held, &p->node);
    t->held_count++;
    engine_turn_again(t->engine); /* this turn's end may be under way, or behind it already */
    return UDPTUN_OK;
}

struct packet_call {
    struct udptun_engine *engine;
    const char *name;
    const void *data;
    size_t size;
    int code;
};

static void run_packet(void *arg)
{
    struct packet_call *call = (struct packet_call *)arg;
    struct udptun_engine *e = call->engine;
    struct gateway *t = gateway_find(e, call->name);
    engine_refresh(e);
    if (!t || !t->stack)
        call->code = UDPTUN_E_NOT_FOUND;
    else if (t->config->kind != GATEWAY_DEVICE_APP || !call->data || call->size == 0 ||
             call->size > PACKET_MAX_SIZE)
        call->code = UDPTUN_E_INVALID;
    else if (e->in_app > 0 || !list_empty(&t->held))
        call->code = device_app_hold(t, call->data, call->size);
    else
        feed(t, call->data, call->size);
    engine_settle(e);
}

int udptun_tun2socks_packet(udptun_engine *engine, const char *name, const void *data, size_t size)
{
    struct packet_call call = {engine, name, data, size, UDPTUN_OK};
    engine_call(engine, run_packet, &call);
    return call.code;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_lookup.c - datagrams to host names, until the resolver has answered.
 *
 * Some per name wait, for maxQueueDelayMs. A socket may send to many names of which some are
 * dead (the trackers of a torrent), so the limits are such that the oldest gives way: of the names
 * of a binding the one that has waited longest is likely to be dead.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/core/wait_queue.h"
#include "daemon/engine/server/egress.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/datagram.h"

/* Of a binding. */
enum { MAX_LOOKUPS = 64, MAX_WAITING_BYTES = 256 * 1024 };

struct egress_lookup {
    struct egress_lookup *next; /* the one before it in time */
    struct egress *egress;
    struct resolver_lookup *lookup; /* NULL once answered */
    struct wait_queue queue;
    bool exempt;
    struct udptun_dest name;  /* what is looked up; its text is in `names` */
    struct udptun_dest asked; /* what the client named */
    char names[2 * HOST_NAME_SIZE];
};

static void count_drop(const struct egress *egress, enum udptun_machine_drop cause)
{
    udptun_machine_count_drop(egress->head.tunnel->machine, egress->head.binding, cause);
}

static void on_dropped(struct wait_queue *q, enum wait_drop why)
{
    const struct egress_lookup *l = list_entry(q, struct egress_lookup, queue);
    count_drop(l->egress,
               why == WAIT_STALE ? UDPTUN_MACHINE_DROP_STALE : UDPTUN_MACHINE_DROP_QUEUE);
}

static void unlink_lookup(struct egress_lookup *l)
{
    struct egress_lookup **at = &l->egress->lookups;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
}

static void egress_lookup_send_waiting(struct egress_lookup *l, const struct udptun_endpoint *eps,
                                       size_t count)
{
    struct udptun_engine *e = l->egress->head.tunnel->engine;
    struct waiting *w;
    while ((w = wait_queue_take(&l->queue))) {
        egress_send_any(l->egress, eps, count, &l->asked, l->exempt, w->data, w->size);
        udp_sender_flush(e->sender);
        free(w);
    }
}

static void on_resolved(void *arg, const struct udptun_endpoint *eps, size_t count,
                        const char *failure)
{
    struct egress_lookup *l = (struct egress_lookup *)arg;
    struct egress *egress = l->egress;
    struct tunnel *t = egress->head.tunnel;
    struct udptun_engine *e = t->engine;
    l->lookup = NULL;
    unlink_lookup(l);
    if (count) {
        egress_lookup_send_waiting(l, eps, count);
    } else {
        engine_log_gated(e, &t->server->lookup_gate, UDPTUN_LOG_INFO, "server",
                         "%s: %.*s cannot be resolved: %s", tunnel_name(t), (int)l->name.name_len,
                         l->name.name, failure);
        if (l->queue.count)
            udptun_binding_error(egress->head.binding, &l->asked, UDPTUN_MACHINE_HOST_UNREACHABLE,
                                 0, e->loop.now_us); /* counts the first */
        for (size_t i = 1; i < l->queue.count; i++)
            count_drop(egress, UDPTUN_MACHINE_DROP_ERROR);
        wait_queue_clear(&l->queue);
    }
    free(l);
    tunnel_touch(t);
}

static bool egress_lookup_same_name(const struct udptun_dest *a, const struct udptun_dest *b)
{
    return a->ep.port == b->ep.port && a->name_len == b->name_len &&
           memcmp(a->name, b->name, a->name_len) == 0;
}

static struct egress_lookup *egress_lookup_find(struct egress *egress,
                                                const struct udptun_dest *name, unsigned *count)
{
    *count = 0;
    for (struct egress_lookup *l = egress->lookups; l; l = l->next, ++*count)
        if (egress_lookup_same_name(&l->name, name))
            return l;
    return NULL;
}

static void keep_name(struct udptun_dest *to, const struct udptun_dest *from, char *text)
{
    *to = *from;
    if (from->ep.family != UDPTUN_ENDPOINT_NAME)
        return;
    memcpy(text, from->name, from->name_len);
    to->name = text;
}

static struct egress_lookup *egress_lookup_start(struct egress *egress,
                                                 const struct udptun_dest *name,
                                                 const struct udptun_dest *asked, bool exempt)
{
    struct egress_lookup *l = (struct egress_lookup *)calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->egress = egress;
    wait_queue_init(&l->queue, &egress->head.tunnel->engine->loop,
                    &egress->head.tunnel->engine->buffers, on_dropped);
    l->exempt = exempt;
    keep_name(&l->name, name, l->names);
    keep_name(&l->asked, asked, l->names + HOST_NAME_SIZE);
    l->lookup = resolver_lookup(egress->head.tunnel->resolver, l->name.name, l->name.name_len,
                                name->ep.port, on_resolved, l);
    if (!l->lookup) {
        free(l);
        return NULL;
    }
    l->next = egress->lookups;
    egress->lookups = l;
    return l;
}

static void egress_lookup_forget(struct egress_lookup *l)
{
    unlink_lookup(l);
    if (l->lookup)
        resolver_cancel(l->lookup);
    while (l->queue.count)
        wait_queue_drop(&l->queue, WAIT_FULL);
    free(l);
}

static struct egress_lookup *egress_lookup_oldest(const struct egress *egress)
{
    struct egress_lookup *l = egress->lookups;
    while (l->next)
        l = l->next;
    return l;
}

/* The names that wait longest give way to a datagram of `size`. */
static void egress_lookup_make_room(struct egress *egress, size_t size)
{
    size_t bytes = size;
    for (const struct egress_lookup *l = egress->lookups; l; l = l->next)
        bytes += l->queue.bytes;
    while (bytes > MAX_WAITING_BYTES && egress->lookups) {
        struct egress_lookup *l = egress_lookup_oldest(egress);
        bytes -= l->queue.bytes;
        egress_lookup_forget(l);
    }
}

void egress_lookup_queue(struct egress *egress, const struct udptun_dest *name,
                         const struct udptun_dest *asked, bool exempt, const uint8_t *data,
                         size_t size)
{
    const struct tunnel *t = egress->head.tunnel;
    unsigned count;
    egress_lookup_make_room(egress, size);
    struct egress_lookup *l = egress_lookup_find(egress, name, &count);
    if (!l && count >= MAX_LOOKUPS)
        egress_lookup_forget(egress_lookup_oldest(egress));
    if (!l)
        l = egress_lookup_start(egress, name, asked, exempt);
    if (l)
        wait_queue_add(&l->queue, &name->ep, data, size,
                       (uint64_t)t->config->given.max_queue_delay_ms * 1000);
    else
        count_drop(egress, UDPTUN_MACHINE_DROP_QUEUE);
}

void egress_lookup_drop(struct egress *egress)
{
    while (egress->lookups) {
        struct egress_lookup *l = egress->lookups;
        egress->lookups = l->next;
        resolver_cancel(l->lookup);
        wait_queue_clear(&l->queue);
        free(l);
    }
}

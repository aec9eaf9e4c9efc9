/* SPDX-License-Identifier: Apache-2.0 */
/*
 * egress_lookup.c - datagrams to host names, until the resolver has answered.
 *
 * A handful per name and a few names per binding: what a resolver that does not answer can hold
 * up is small, and the rest is dropped and counted.
 */
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/server/egress.h"
#include "daemon/engine/server/udp_server.h"
#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/datagram.h"

enum { MAX_LOOKUPS = 4, MAX_WAITING = 8, MAX_WAITING_BYTES = 128 * 1024 };

struct waiting {
    struct waiting *next;
    size_t size;
    uint8_t data[];
};

struct egress_lookup {
    struct egress_lookup *next;
    struct egress *egress;
    struct resolver_lookup *lookup; /* NULL once answered */
    struct waiting *first, **last;
    unsigned count;
    size_t bytes;
    bool exempt;
    struct udptun_dest name;  /* what is looked up; its text is in `names` */
    struct udptun_dest asked; /* what the client named */
    char names[2 * HOST_NAME_SIZE];
};

static void free_waiting(struct egress_lookup *l)
{
    while (l->first) {
        struct waiting *w = l->first;
        l->first = w->next;
        free(w);
    }
}

static void unlink_lookup(struct egress_lookup *l)
{
    struct egress_lookup **at = &l->egress->lookups;
    while (*at != l)
        at = &(*at)->next;
    *at = l->next;
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
    if (count == 0) {
        engine_log_gated(e, &t->server->lookup_gate, UDPTUN_LOG_INFO, "server",
                         "%s: %.*s cannot be resolved: %s", tunnel_name(t), (int)l->name.name_len,
                         l->name.name, failure);
        udptun_binding_error(egress->head.binding, &l->asked, UDPTUN_MACHINE_HOST_UNREACHABLE, 0,
                             e->loop.now_us); /* counts the first */
        for (unsigned i = 1; i < l->count; i++)
            udptun_machine_count_drop(t->machine, egress->head.binding, UDPTUN_MACHINE_DROP_ERROR);
    }
    for (struct waiting *w = l->first; w && count > 0; w = w->next)
        egress_send_any(egress, eps, count, &l->asked, l->exempt, w->data, w->size);
    udp_sender_flush(e->sender);
    free_waiting(l);
    free(l);
    tunnel_touch(t);
}

static bool same_name(const struct udptun_dest *a, const struct udptun_dest *b)
{
    return a->ep.port == b->ep.port && a->name_len == b->name_len &&
           memcmp(a->name, b->name, a->name_len) == 0;
}

static struct egress_lookup *find(struct egress *egress, const struct udptun_dest *name,
                                  unsigned *count)
{
    *count = 0;
    for (struct egress_lookup *l = egress->lookups; l; l = l->next, ++*count)
        if (same_name(&l->name, name))
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

static struct egress_lookup *start(struct egress *egress, const struct udptun_dest *name,
                                   const struct udptun_dest *asked, bool exempt)
{
    struct egress_lookup *l = (struct egress_lookup *)calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->egress = egress;
    l->last = &l->first;
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

static bool append(struct egress_lookup *l, const uint8_t *data, size_t size)
{
    if (l->count >= MAX_WAITING || l->bytes + size > MAX_WAITING_BYTES)
        return false;
    struct waiting *w = (struct waiting *)malloc(sizeof *w + size);
    if (!w)
        return false;
    w->next = NULL;
    w->size = size;
    if (size)
        memcpy(w->data, data, size);
    *l->last = w;
    l->last = &w->next;
    l->count++;
    l->bytes += size;
    return true;
}

void egress_lookup_queue(struct egress *egress, const struct udptun_dest *name,
                         const struct udptun_dest *asked, bool exempt, const uint8_t *data,
                         size_t size)
{
    unsigned count;
    struct egress_lookup *l = find(egress, name, &count);
    if (!l && count < MAX_LOOKUPS)
        l = start(egress, name, asked, exempt);
    if (!l || !append(l, data, size))
        udptun_machine_count_drop(egress->head.tunnel->machine, egress->head.binding,
                                  UDPTUN_MACHINE_DROP_QUEUE);
}

void egress_lookup_drop(struct egress *egress)
{
    while (egress->lookups) {
        struct egress_lookup *l = egress->lookups;
        egress->lookups = l->next;
        resolver_cancel(l->lookup);
        free_waiting(l);
        free(l);
    }
}

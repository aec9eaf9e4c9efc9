/* SPDX-License-Identifier: Apache-2.0 */
/*
 * flows.c - whether the two ends agree on which flows there are.
 *
 * A flow that ended at one end ends at the other, whatever was lost: long after the last fault the
 * server has no flow that its client does not have, nor does the client take one for open that the
 * server has let go. Flows that a client had before it was restarted are not astray: the server
 * keeps them for their sources until they are idle. No interface shows all of this, so this looks
 * inside.
 */
#include <string.h>

#include "proto/udpt/internal.h"
#include "tests/sim/sim.h"

/* The session of `m` with this id that has legs, or NULL. */
static struct udptun_session *session_of(const struct udptun_machine *m, const uint8_t *id)
{
    for (struct udptun_session *s = NULL; (s = udptun_session_next(m, s));)
        if (memcmp(s->id, id, sizeof s->id) == 0 && session_control(s))
            return s;
    return NULL;
}

/* How long word of an end may take: the wait for what was written before it, the way, and where
 * segments are lost or the line is narrow, another control leg. */
static uint64_t patience_us(const struct world *w)
{
    return 3 * SECOND_US + 8 * w->delay_us +
           (w->lost_once_in != 0 || w->narrow ? w->settle_us + 5 * SECOND_US : 0);
}

/* `known` at the other end of `there`, or for how long it has not been. */
static void check(const struct node *n, struct udptun_binding *b, struct udptun_session *there)
{
    struct binding_host *h = udptun_binding_host(b);
    struct world *w = n->world;
    if (binding_find(there, b->id) || !oracle_is_calm(w))
        h->astray_us = 0;
    else if (h->astray_us < w->last_fault_us) /* seen before a fault: it may be another matter */
        h->astray_us = w->now_us;
    else if (w->now_us > h->astray_us + patience_us(w))
        broken(w, "flow %llu is open at %s alone, for %.3f s", (unsigned long long)b->id, n->name,
               (double)(w->now_us - h->astray_us) / 1e6);
}

void flows_check(struct node *local)
{
    struct udptun_session *here = local->machine ? udptun_session_next(local->machine, NULL) : NULL;
    if (!here || !session_control(here))
        return;
    const struct node *server = stream_server(session_control(here)); /* that it is with */
    struct udptun_session *there = server->machine ? session_of(server->machine, here->id) : NULL;
    if (!there)
        return;
    LIST_FOREACH_SAFE (node, &there->bindings) {
        struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        if (!b->orphan)
            check(server, b, here);
    }
    LIST_FOREACH_SAFE (node, &here->bindings) {
        struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        if (b->confirmed)
            check(local, b, there);
    }
}

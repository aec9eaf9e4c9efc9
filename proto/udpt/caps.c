/* SPDX-License-Identifier: Apache-2.0 */
/* caps.c - how many bindings there may be, and which of them gives way to a new one. */
#include "proto/udpt/internal.h"

/* Ends the binding of `s` that was used least recently. False: it has none. */
static bool evict_from(struct udpt_session *s)
{
    struct udpt_binding *oldest = NULL;
    struct list *heads[] = {&s->lone, &s->idle};
    for (size_t i = 0; i < 2; i++) {
        if (list_empty(heads[i]))
            continue;
        struct udpt_binding *b = list_entry(heads[i]->next, struct udpt_binding, in_idle);
        if (!oldest || b->used_us < oldest->used_us)
            oldest = b;
    }
    if (!oldest)
        return false;
    binding_free(oldest, UDPT_CLOSE_EVICTED, true);
    return true;
}

/* Who gives way when the machine is full: the session with the most, so that one client with many
 * flows cannot keep another from having any. */
static struct udpt_session *largest(struct udpt_session *s)
{
    struct udpt_session *most = s;
    LIST_FOREACH (node, &s->m->sessions) {
        struct udpt_session *other = list_entry(node, struct udpt_session, in_machine);
        if (other->binding_count > most->binding_count)
            most = other;
    }
    return most;
}

bool caps_make_room(struct udpt_session *s)
{
    const struct udpt_machine *m = s->m;
    if (s->binding_count >= m->config.max_flows_per_session && !evict_from(s))
        return false;
    return m->binding_count < m->config.max_flows || evict_from(largest(s));
}

void caps_keep(struct udpt_machine *m)
{
    bool evicted = true;
    LIST_FOREACH (node, &m->sessions) {
        struct udpt_session *s = list_entry(node, struct udpt_session, in_machine);
        while (s->binding_count > m->config.max_flows_per_session && evict_from(s))
            ;
    }
    while (evicted && m->binding_count > m->config.max_flows)
        evicted = evict_from(largest(udpt_session_next(m, NULL)));
}

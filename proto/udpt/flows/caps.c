/* SPDX-License-Identifier: Apache-2.0 */
/* caps.c - how many bindings there may be, and which of them gives way to a new one. */
#include <stdio.h>

#include "proto/udpt/internal.h"

enum { SHOWN_US = 60 * 1000 * 1000 };

/* The binding of `s` that was used least recently, or NULL. */
static struct udptun_binding *oldest_of(const struct udptun_session *s)
{
    struct udptun_binding *oldest = NULL;
    const struct list *heads[] = {&s->lone, &s->idle};
    for (size_t i = 0; i < 2; i++) {
        if (list_empty(heads[i]))
            continue;
        struct udptun_binding *b = list_entry(heads[i]->next, struct udptun_binding, in_idle);
        if (!oldest || b->used_us < oldest->used_us)
            oldest = b;
    }
    return oldest;
}

/* Ends that binding. False: it has none. */
static bool evict_from(struct udptun_session *s)
{
    struct udptun_binding *oldest = oldest_of(s);
    if (!oldest)
        return false;
    binding_free(oldest, UDPTUN_CLOSE_EVICTED, true);
    return true;
}

/* The class of `count` flows: the number of bits after the first. */
static unsigned class_of(uint32_t count)
{
    unsigned class = 0;
    while (count >>= 1)
        class ++;
    return class;
}

void caps_count(struct udptun_session *s)
{
    if (s->binding_count == 0)
        list_remove(&s->in_by_flows);
    else if (list_empty(&s->in_by_flows) || class_of(s->binding_count) != s->flow_class) {
        s->flow_class = class_of(s->binding_count);
        list_move(&s->m->by_flows[s->flow_class], &s->in_by_flows);
    }
}

/* When the machine is full, a session with the most flows gives way, or one with more than half as
 * many: one client with many flows cannot keep another from opening any. */
static bool evict_from_largest(struct udptun_machine *m)
{
    for (unsigned i = FLOW_CLASSES; i-- > 0;)
        if (!list_empty(&m->by_flows[i]))
            return evict_from(list_entry(m->by_flows[i].next, struct udptun_session, in_by_flows));
    return false;
}

static bool is_recent(const struct udptun_machine *m, unsigned cap, uint64_t now_us)
{
    return m->cap_us[cap] != 0 && now_us - m->cap_us[cap] < SHOWN_US;
}

static void caps_describe(const struct udptun_machine *m, unsigned cap, char *text, size_t size)
{
    static const char *const names[CAP_COUNT] = {
        [CAP_SESSIONS] = "maxSessions",
        [CAP_FLOWS] = "maxFlows",
        [CAP_SESSION_FLOWS] = "maxFlowsPerSession",
        [CAP_HANDSHAKES] = "the limit of handshakes under way",
    };
    static const char *const effects[CAP_COUNT] = {
        [CAP_SESSIONS] = "a new client needs the place of one without a connection",
        [CAP_FLOWS] = "the idlest flow ends for each new one",
        [CAP_SESSION_FLOWS] = "the client's idlest flow ends for each new one",
        [CAP_HANDSHAKES] = "one ends for each new connection",
    };
    const uint32_t limits[CAP_COUNT] = {
        [CAP_SESSIONS] = m->config.max_sessions,
        [CAP_FLOWS] = m->config.max_flows,
        [CAP_SESSION_FLOWS] = m->config.max_flows_per_session,
        [CAP_HANDSHAKES] = m->config.max_pending,
    };
    snprintf(text, size, "%s (%u) is reached: %s", names[cap], limits[cap], effects[cap]);
}

void caps_note(struct udptun_machine *m, enum cap cap)
{
    char text[128];
    bool is_new = !is_recent(m, cap, m->now_us);
    m->cap_us[cap] = m->now_us;
    if (!is_new)
        return;
    caps_describe(m, cap, text, sizeof text);
    machine_log(m, UDPTUN_MACHINE_LOG_WARN, "%s", text);
}

void caps_show(const struct udptun_machine *m, uint64_t now_us, char *text, size_t size)
{
    text[0] = '\0';
    for (unsigned cap = 0; cap < CAP_COUNT; cap++)
        if (is_recent(m, cap, now_us)) {
            caps_describe(m, cap, text, size);
            return;
        }
}

bool udptun_machine_make_room(struct udptun_machine *m, uint64_t idle_us, uint64_t now_us)
{
    struct udptun_binding *oldest = NULL;
    machine_enter(m, now_us);
    for (unsigned i = FLOW_CLASSES; i-- > 0 && !oldest;)
        if (!list_empty(&m->by_flows[i]))
            oldest = oldest_of(list_entry(m->by_flows[i].next, struct udptun_session, in_by_flows));
    bool is_idle = oldest && now_us - oldest->used_us >= idle_us;
    if (is_idle)
        binding_free(oldest, UDPTUN_CLOSE_EVICTED, true);
    machine_leave(m);
    return is_idle;
}

bool caps_make_room(struct udptun_session *s)
{
    struct udptun_machine *m = s->m;
    if (s->binding_count >= m->config.max_flows_per_session)
        caps_note(m, CAP_SESSION_FLOWS);
    if (m->binding_count >= m->config.max_flows)
        caps_note(m, CAP_FLOWS);
    if (s->binding_count >= m->config.max_flows_per_session && !evict_from(s))
        return false;
    return m->binding_count < m->config.max_flows || evict_from_largest(m);
}

void caps_keep(struct udptun_machine *m)
{
    bool evicted = true;
    LIST_FOREACH (node, &m->sessions) {
        struct udptun_session *s = list_entry(node, struct udptun_session, in_machine);
        while (s->binding_count > m->config.max_flows_per_session && evict_from(s))
            ;
    }
    while (evicted && m->binding_count > m->config.max_flows)
        evicted = evict_from_largest(m);
}

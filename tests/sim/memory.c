/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memory.c - whether a machine keeps to its caps.
 *
 * The caps are on what no interface shows, so this looks inside.
 */
#include "proto/udpt/internal.h"
#include "tests/sim/sim.h"

static uint64_t copies_size(const struct udptun_session *s)
{
    uint64_t size = 0;
    LIST_FOREACH_SAFE (node, &s->copies)
        size += list_entry(node, struct queued, in_copies)->size;
    return size;
}

static void check_session(struct node *n, const struct udptun_session *s)
{
    const struct udptun_machine_config *config = &n->config;
    uint64_t all = 0, most = config->max_queue_bytes,
             largest = sizeof(struct queued) + UDPTUN_MACHINE_MAX_PAYLOAD_IP6;
    LIST_FOREACH_SAFE (node, &s->bindings) {
        const struct udptun_binding *b = list_entry(node, struct udptun_binding, in_session);
        all += b->queue_size;
        if (b->queue_size > (most > largest ? most : largest))
            broken(n->world, "a queue of %u bytes, %llu are allowed", b->queue_size,
                   (unsigned long long)most);
    }
    if (all != s->queue_total || all > most * SESSION_QUEUE_FACTOR)
        broken(n->world, "queues of %llu bytes, counted are %llu, allowed %llu",
               (unsigned long long)all, (unsigned long long)s->queue_total,
               (unsigned long long)most * SESSION_QUEUE_FACTOR);
    if (copies_size(s) > most * SESSION_QUEUE_FACTOR)
        broken(n->world, "copies of %llu bytes wait", (unsigned long long)copies_size(s));
    if (s->binding_count > config->max_flows_per_session)
        broken(n->world, "%u flows of a session", s->binding_count);
}

/* Each byte of output, queues and unfinished frames is counted once. */
static void check_budget(const struct node *n)
{
    const struct udptun_machine *m = n->machine;
    uint64_t held = 0;
    LIST_FOREACH_SAFE (node, &m->sessions) {
        const struct udptun_session *s = list_entry(node, struct udptun_session, in_machine);
        held += s->queue_total + copies_size(s);
    }
    LIST_FOREACH_SAFE (node, &m->conns) {
        const struct udptun_conn *c = list_entry(node, struct udptun_conn, in_machine);
        held += c->out.capacity + c->partials[0].capacity + c->partials[1].capacity;
    }
    if (list_empty(&m->dead) && list_empty(&m->dead_sessions) && held != m->budget->used)
        broken(n->world, "%llu bytes are held, counted are %llu", (unsigned long long)held,
               (unsigned long long)m->budget->used);
}

void memory_check(struct node *n)
{
    const struct udptun_machine *m = n->machine;
    check_budget(n);
    LIST_FOREACH_SAFE (node, &m->sessions)
        check_session(n, list_entry(node, struct udptun_session, in_machine));
    LIST_FOREACH_SAFE (node, &m->conns) {
        const struct udptun_conn *c = list_entry(node, struct udptun_conn, in_machine);
        size_t partial = c->partials[0].size + c->partials[1].size;
        if (conn_pending(c) > OUTPUT_MAX_SIZE || partial > 2 * FRAME_MAX_SIZE)
            broken(n->world, "a conn holds %zu bytes of output and %zu of input", conn_pending(c),
                   partial);
    }
    if (m->binding_count > n->config.max_flows ||
        m->session_count > n->config.max_sessions + !n->server)
        broken(n->world, "%llu flows, %llu sessions", (unsigned long long)m->binding_count,
               (unsigned long long)m->session_count);
}

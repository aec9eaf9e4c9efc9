/* SPDX-License-Identifier: Apache-2.0 */
/* event.c - the queue of callbacks that wait for the top of the stack. */
#include "daemon/engine/event.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct event {
    struct list node;
    /* Either a state ... */
    event_state_changed *state_changed;
    enum udptun_state state;
    char name[OBJECT_NAME_SIZE];
    char reason[256];
    /* ... or the end of a ping. */
    void (*ping_done)(void *arg, int code, uint64_t rtt_us);
    int code;
    uint64_t rtt_us;
    void *arg;
};

/* Short of memory the event is lost; status still tells the truth. */
static struct event *event_new(struct udptun_engine *e, void *arg)
{
    struct event *event = (struct event *)calloc(1, sizeof *event);
    if (!event)
        return NULL;
    event->arg = arg;
    list_append(&e->events, &event->node);
    return event;
}

void event_state(struct udptun_engine *e, event_state_changed *changed, void *arg, const char *name,
                 enum udptun_state state, const char *reason)
{
    struct event *event = changed ? event_new(e, arg) : NULL;
    if (!event)
        return;
    event->state_changed = changed;
    event->state = state;
    snprintf(event->name, sizeof event->name, "%s", name);
    snprintf(event->reason, sizeof event->reason, "%s", reason);
}

void event_ping(struct udptun_engine *e, void (*done)(void *arg, int code, uint64_t rtt_us),
                void *arg, int code, uint64_t rtt_us)
{
    struct event *event = done ? event_new(e, arg) : NULL;
    if (!event)
        return;
    event->ping_done = done;
    event->code = code;
    event->rtt_us = rtt_us;
}

void events_deliver(struct udptun_engine *e)
{
    if (e->delivering)
        return;
    e->delivering = true;
    while (!list_empty(&e->events)) {
        struct event *event = list_entry(e->events.next, struct event, node);
        list_remove(&event->node);
        if (event->ping_done)
            event->ping_done(event->arg, event->code, event->rtt_us);
        else
            event->state_changed(event->arg, event->name, event->state, event->reason);
        free(event);
    }
    e->delivering = false;
}

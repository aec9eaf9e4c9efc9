/* SPDX-License-Identifier: Apache-2.0 */
/* notices.c - the queue of callbacks that wait for the top of the stack. */
#include "daemon/engine/core/notices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct notice {
    struct list node;
    /* Either a state ... */
    notice_state_changed *state_changed;
    enum udptun_state state;
    char name[ENTRY_NAME_SIZE];
    char reason[256];
    /* ... or the end of a ping. */
    void (*ping_done)(void *arg, int code, uint64_t rtt_us);
    int code;
    uint64_t rtt_us;
    void *arg;
};

/* Short of memory the notice is lost; status still tells the truth. */
static struct notice *notice_new(struct udptun_engine *e, void *arg)
{
    struct notice *notice = (struct notice *)calloc(1, sizeof *notice);
    if (!notice)
        return NULL;
    notice->arg = arg;
    list_append(&e->notices, &notice->node);
    return notice;
}

void notice_state(struct udptun_engine *e, notice_state_changed *changed, void *arg,
                  const char *name, enum udptun_state state, const char *reason)
{
    struct notice *notice = changed ? notice_new(e, arg) : NULL;
    if (!notice)
        return;
    notice->state_changed = changed;
    notice->state = state;
    snprintf(notice->name, sizeof notice->name, "%s", name);
    snprintf(notice->reason, sizeof notice->reason, "%s", reason);
}

void notice_ping(struct udptun_engine *e, void (*done)(void *arg, int code, uint64_t rtt_us),
                 void *arg, int code, uint64_t rtt_us)
{
    struct notice *notice = done ? notice_new(e, arg) : NULL;
    if (!notice)
        return;
    notice->ping_done = done;
    notice->code = code;
    notice->rtt_us = rtt_us;
}

void notices_deliver(struct udptun_engine *e)
{
    if (e->delivering)
        return;
    e->delivering = true;
    while (!list_empty(&e->notices)) {
        struct notice *notice = list_entry(e->notices.next, struct notice, node);
        list_remove(&notice->node);
        if (notice->ping_done)
            notice->ping_done(notice->arg, notice->code, notice->rtt_us);
        else
            notice->state_changed(notice->arg, notice->name, notice->state, notice->reason);
        free(notice);
    }
    e->delivering = false;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* wait_call.c - see wait_call.h. */
#include "controller/proxy/wait_call.h"

#include <stdlib.h>

#include "proto/error.h"

struct waiting_call {
    struct list node;
    struct udptund link;
    bool over; /* to be freed, but not by on_reply(), which `link` calls */
    uint64_t client;
    udptun_client_reply_fn done;
    void *arg;
};

static void on_wait_call_connected(void *arg)
{
    (void)arg;
}

static void on_lost(void *arg, const struct udptun_error *why)
{
    (void)arg;
    (void)why;
}

static const struct udptund_ops ops = {.connected = on_wait_call_connected, .lost = on_lost};

static void waiting_call_free(struct waiting_call *call)
{
    list_remove(&call->node);
    free(call);
}

static void wait_call_reap(struct wait_calls *w)
{
    LIST_FOREACH_SAFE (node, &w->all) {
        struct waiting_call *call = list_entry(node, struct waiting_call, node);
        if (call->over)
            waiting_call_free(call);
    }
}

static void on_reply(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    struct waiting_call *call = arg;
    call->done(call->arg, client, reply);
    call->over = true;
    udptund_close(&call->link);
}

void wait_calls_init(struct wait_calls *w, const struct udptund *main)
{
    *w = (struct wait_calls){.main = main};
    list_init(&w->all);
}

void wait_call(struct wait_calls *w, uint64_t client, const char *action, const json_t *parameters,
               double timeout_s, udptun_client_reply_fn done, void *arg)
{
    struct udptun_client_reply reply = {0};
    wait_call_reap(w);
    struct waiting_call *call = calloc(1, sizeof *call);
    if (!call) {
        error_set(&reply.error, UDPTUN_E_NOMEM, NULL, "out of memory");
        done(arg, NULL, &reply);
        return;
    }
    call->client = client;
    call->done = done;
    call->arg = arg;
    list_append(&w->all, &call->node);
    if (udptund_open(&call->link, w->main->loop, w->main->path, &ops, call, &reply.error) < 0) {
        waiting_call_free(call);
        done(arg, NULL, &reply);
        return;
    }
    udptund_call(&call->link, action, parameters, -1, timeout_s, on_reply, call);
}

void wait_calls_cancel(struct wait_calls *w, uint64_t client)
{
    LIST_FOREACH_SAFE (node, &w->all) {
        struct waiting_call *call = list_entry(node, struct waiting_call, node);
        if (call->client == client && !call->over)
            udptund_close(&call->link); /* which fails the call, unless it is over */
    }
}

void wait_calls_close(struct wait_calls *w)
{
    while (!list_empty(&w->all)) {
        struct waiting_call *call = list_entry(w->all.next, struct waiting_call, node);
        udptund_close(&call->link);
        waiting_call_free(call);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* ping.c - udptun_ping(): a token goes through the tunnel and comes back, or a timer ends it. */
#include "daemon/engine/tunnel/ping.h"

#include <stdlib.h>

#include "daemon/engine/core/notices.h"
#include "proto/error.h"

struct app_ping {
    struct list node; /* tunnel.pings */
    struct tunnel *tunnel;
    uint64_t token;
    struct timer timeout;
    void (*done)(void *arg, int code, uint64_t rtt_us);
    void *arg;
};

static void ping_finish(struct app_ping *ping, int code, uint64_t rtt_us)
{
    struct udptun_engine *e = ping->tunnel->engine;
    timer_stop(&ping->timeout);
    list_remove(&ping->node);
    notice_ping(e, ping->done, ping->arg, code, rtt_us);
    free(ping);
}

static void on_timeout(void *arg)
{
    ping_finish((struct app_ping *)arg, UDPTUN_E_TIMEOUT, 0);
}

void ping_answered(struct tunnel *t, uint64_t token, uint64_t rtt_us)
{
    LIST_FOREACH_SAFE (node, &t->pings) {
        struct app_ping *ping = list_entry(node, struct app_ping, node);
        if (ping->token == token) {
            ping_finish(ping, UDPTUN_OK, rtt_us);
            return;
        }
    }
}

void pings_fail(struct tunnel *t)
{
    while (!list_empty(&t->pings))
        ping_finish(list_entry(t->pings.next, struct app_ping, node), UDPTUN_E_UNREACHABLE, 0);
}

struct ping_call {
    struct udptun_engine *engine;
    const char *name;
    uint32_t timeout_ms;
    void (*done)(void *arg, int code, uint64_t rtt_us);
    void *arg;
    int code;
};

static int ping_start(const struct ping_call *call)
{
    struct udptun_engine *e = call->engine;
    struct tunnel *t = tunnel_find(e, call->name);
    if (!t)
        return UDPTUN_E_NOT_FOUND;
    if (t->config->given.role != UDPTUN_LOCAL)
        return UDPTUN_E_INVALID;
    if (!t->machine)
        return UDPTUN_E_UNREACHABLE;
    struct app_ping *ping = (struct app_ping *)calloc(1, sizeof *ping);
    if (!ping)
        return UDPTUN_E_NOMEM;
    ping->tunnel = t;
    ping->token = ++e->next_ping;
    ping->done = call->done;
    ping->arg = call->arg;
    int code = udptun_machine_ping(t->machine, ping->token, e->loop.now_us);
    tunnel_touch(t);
    if (code) {
        free(ping);
        return code;
    }
    list_init(&ping->node);
    list_append(&t->pings, &ping->node);
    timer_init(&ping->timeout, &e->loop, on_timeout, ping);
    timer_start(&ping->timeout, (uint64_t)call->timeout_ms * 1000);
    return UDPTUN_OK;
}

static void ping_run(void *arg)
{
    struct ping_call *call = (struct ping_call *)arg;
    engine_refresh(call->engine);
    call->code = ping_start(call);
}

int udptun_ping(udptun_engine *engine, const char *name, uint32_t timeout_ms,
                void (*done)(void *arg, int code, uint64_t rtt_us), void *arg)
{
    struct ping_call call = {engine, name, timeout_ms, done, arg, UDPTUN_OK};
    engine_call(engine, ping_run, &call);
    return call.code;
}

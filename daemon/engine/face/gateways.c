/* SPDX-License-Identifier: Apache-2.0 */
/* gateways.c - the public functions about tun2socks instances. */
#include <stdio.h>
#include <string.h>

#include "daemon/engine/core/registry.h"
#include "daemon/engine/gateway/gateway.h"

int udptun_tun2socks_configure(udptun_engine *engine, const struct udptun_tun2socks_config *config,
                               bool *changed, struct udptun_error *err)
{
    return registry_configure(engine, &gateway_kind, config, changed, err);
}

int udptun_tun2socks_remove(udptun_engine *engine, const char *name, struct udptun_error *err)
{
    return registry_remove(engine, &gateway_kind, name, err);
}

void udptun_each_tun2socks(udptun_engine *engine, void (*each)(void *arg, const char *name),
                           void *arg)
{
    registry_each(engine, &gateway_kind, each, arg);
}

/* ---- looking ------------------------------------------------------------------------------------
 */

static void format_route(char text[UDPTUN_URL_SIZE], enum gateway_route route,
                         const struct url *url, const char *given)
{
    if (route == GATEWAY_SOCKS5)
        url_format(url, text);
    else
        strncpy(text, given ? given : "reject", UDPTUN_URL_SIZE - 1);
}

static void gateways_fill(const struct gateway *t, struct udptun_tun2socks_status *s)
{
    const struct gateway_settings *c = t->config;
    *s = (struct udptun_tun2socks_status){
        .state = t->state, .mtu = t->mtu, .associated = t->associated};
    strcpy(s->name, gateway_name(t));
    strcpy(s->last_error, t->last_error);
    strcpy(s->device, t->device_name);
    format_route(s->tcp, c->tcp, &c->tcp_url, c->given.tcp);
    format_route(s->udp, c->udp, &c->udp_url, c->given.udp);
    s->uptime_s = (t->engine->loop.now_us - t->started_us) / 1000000;
    s->relay_count = t->relay_count;
    for (size_t i = 0; i < t->relay_count; i++)
        endpoint_format(&t->relays[i], s->relays[i]);
    const char *cap = cap_shown(&t->cap, t->engine->loop.now_us);
    if (!cap)
        cap = cap_shown(&t->engine->buffers_cap, t->engine->loop.now_us);
    s->at_limit = cap_fill(cap, t->state, s->last_error, sizeof s->last_error);
    if (c->has_dns)
        snprintf(s->dns, sizeof s->dns, "%s", c->given.dns);
    if (t->dns) {
        struct gateway_dns_counters dns = gateway_dns_look(t->dns);
        s->dns_questions = dns.questions;
        s->dns_cached = dns.cached;
        s->dns_shared = dns.shared;
        s->dns_unanswered = dns.unanswered;
        s->dns_entries = dns.entries;
    }
    if (!t->stack)
        return;
    const struct tun2socks_counters *counters = tun2socks_counters(t->stack);
    s->tcp_flows = counters->tcp_flows;
    s->udp_flows = counters->udp_flows;
    s->tcp_refused = counters->tcp_refused;
    s->tx_packets = counters->rx_packets; /* from the device is towards the far end */
    s->tx_bytes = counters->rx_bytes;
    s->rx_packets = counters->tx_packets;
    s->rx_bytes = counters->tx_bytes;
    _Static_assert((int)TUN2SOCKS_DROP_COUNT <= UDPTUN_TUN2SOCKS_MAX_DROPS, "room for each cause");
    s->drop_count = TUN2SOCKS_DROP_COUNT;
    for (int i = 0; i < TUN2SOCKS_DROP_COUNT; i++) {
        s->dropped[i].cause = tun2socks_drop_name((enum tun2socks_drop)i);
        s->dropped[i].packets = counters->dropped[i];
    }
}

struct gateway_status_call {
    struct udptun_engine *engine;
    const char *name;
    struct udptun_tun2socks_status *status;
    int code;
};

static void gateways_run_status(void *arg)
{
    struct gateway_status_call *call = (struct gateway_status_call *)arg;
    const struct gateway *t = gateway_find(call->engine, call->name);
    engine_refresh(call->engine);
    if (t)
        gateways_fill(t, call->status);
    call->code = t ? UDPTUN_OK : UDPTUN_E_NOT_FOUND;
}

int udptun_tun2socks_status(udptun_engine *engine, const char *name,
                            struct udptun_tun2socks_status *status)
{
    struct gateway_status_call call = {engine, name, status, UDPTUN_OK};
    engine_call(engine, gateways_run_status, &call);
    return call.code;
}

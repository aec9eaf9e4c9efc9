/* SPDX-License-Identifier: Apache-2.0 */
/* gateways.c - the public functions of tun2socks: instances by name, in alphabetical order. */
#include "daemon/engine/face/gateways.h"

#include <fcntl.h>
#include <string.h>

#include "daemon/engine/core/registry.h"
#include "daemon/engine/gateway/gateway.h"
#include "proto/error.h"

static struct gateway *find(const struct udptun_engine *e, const char *name)
{
    struct entry *o = registry_entry(e, &gateway_kind, name);
    return o ? gateway_of(o) : NULL;
}

int gateway_pipe_open(struct udptun_engine *e, const char *name, const char *user)
{
    struct gateway *t = find(e, name);
    if (!t || t->pipe_fd < 0 || (t->pipe_user[0] && strcmp(t->pipe_user, user) != 0))
        return -1;
    int fd = fcntl(t->pipe_fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        strcpy(t->pipe_user, user);
    return fd;
}

void gateway_pipe_close(struct udptun_engine *e, const char *user)
{
    LIST_FOREACH (node, &e->entries) {
        struct entry *o = list_entry(node, struct entry, node);
        if (o->kind == &gateway_kind && strcmp(gateway_of(o)->pipe_user, user) == 0)
            gateway_of(o)->pipe_user[0] = '\0';
    }
}

/* ---- as a kind of entry ------------------------------------------------------------------------
 */

static void *config_new_kind(const void *given, struct udptun_error *err)
{
    return gateway_settings_new((const struct udptun_tun2socks_config *)given, err);
}

static void config_free_kind(void *config)
{
    gateway_settings_free((struct gateway_settings *)config);
}

static const char *config_name(const void *config)
{
    return ((const struct gateway_settings *)config)->given.name;
}

static int config_check(const struct udptun_engine *e, const void *config, struct udptun_error *err)
{
    const char *name = ((const struct gateway_settings *)config)->tunnel;
    const struct tunnel *tunnel = registry_find(e, name);
    if (name && !tunnel)
        return error_set(err, UDPTUN_E_NOT_FOUND, "udp", "udp: no tunnel '%s'", name);
    if (name && tunnel->config->given.role != UDPTUN_LOCAL)
        return error_set(err, UDPTUN_E_INVALID, "udp", "udp: tunnel '%s' is no local", name);
    return UDPTUN_OK;
}

static enum entry_change compare(const struct entry *o, const void *config)
{
    return gateway_settings_compare(list_entry(o, const struct gateway, entry)->config,
                                    (const struct gateway_settings *)config);
}

static void adopt(struct entry *o, const void *config)
{
    const struct udptun_tun2socks_config *given = &((const struct gateway_settings *)config)->given;
    gateway_of(o)->config->given.arg = given->arg;
    gateway_of(o)->config->given.state = given->state;
    gateway_of(o)->config->given.packet = given->packet;
}

static int reconfigure(struct entry *o, void *config, struct udptun_error *err)
{
    (void)err;
    gateway_reconfigure(gateway_of(o), (struct gateway_settings *)config);
    return UDPTUN_OK;
}

static struct entry *start(struct udptun_engine *e, void *config, struct entry *old,
                           struct udptun_error *err)
{
    struct gateway *t =
        gateway_new(e, (struct gateway_settings *)config, old ? gateway_of(old) : NULL, err);
    return t ? &t->entry : NULL;
}

static void removed(struct entry *o, bool with_engine)
{
    gateway_enter_state(gateway_of(o), UDPTUN_DISABLED, with_engine ? "stopped" : "removed");
}

static void bury(struct entry *o)
{
    gateway_bury(gateway_of(o));
}

static void free_entry(struct entry *o)
{
    gateway_free(gateway_of(o));
}

static bool uses(const struct entry *o, const char *name)
{
    const char *tunnel = list_entry(o, const struct gateway, entry)->config->tunnel;
    return tunnel && strcmp(tunnel, name) == 0;
}

static int fits(const struct entry *o, const struct entry *used, const void *config,
                struct udptun_error *err)
{
    if (used->kind != &tunnel_kind ||
        ((const struct tunnel_settings *)config)->given.role == UDPTUN_LOCAL)
        return UDPTUN_OK;
    return error_set(err, UDPTUN_E_CONFLICT, "role",
                     "role: tun2socks instance '%s' needs it to be local", o->name);
}

static void used_state(struct entry *o, const char *name, enum udptun_state state,
                       const char *reason)
{
    (void)name; /* it names no other */
    gateway_udp_tunnel_state(gateway_of(o), state, reason);
}

const struct entry_kind gateway_kind = {
    .what = "tun2socks instance",
    .config_new = config_new_kind,
    .config_free = config_free_kind,
    .config_name = config_name,
    .config_check = config_check,
    .compare = compare,
    .adopt = adopt,
    .reconfigure = reconfigure,
    .start = start,
    .removed = removed,
    .bury = bury,
    .free = free_entry,
    .uses = uses,
    .fits = fits,
    .used_state = used_state,
};

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

static void fill(const struct gateway *t, struct udptun_tun2socks_status *s)
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

static void run_status(void *arg)
{
    struct gateway_status_call *call = (struct gateway_status_call *)arg;
    const struct gateway *t = find(call->engine, call->name);
    engine_refresh(call->engine);
    if (t)
        fill(t, call->status);
    call->code = t ? UDPTUN_OK : UDPTUN_E_NOT_FOUND;
}

int udptun_tun2socks_status(udptun_engine *engine, const char *name,
                            struct udptun_tun2socks_status *status)
{
    struct gateway_status_call call = {engine, name, status, UDPTUN_OK};
    engine_call(engine, run_status, &call);
    return call.code;
}

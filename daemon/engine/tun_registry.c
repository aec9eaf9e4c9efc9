/* SPDX-License-Identifier: Apache-2.0 */
/* tun_registry.c - the public functions of tun2socks: instances by name, in alphabetical order. */
#include "daemon/engine/tun_registry.h"

#include <fcntl.h>
#include <string.h>

#include "daemon/engine/registry.h"
#include "daemon/engine/tun.h"
#include "proto/error.h"

static struct tun *find(const struct udptun_engine *e, const char *name)
{
    struct object *o = registry_object(e, &tun_kind, name);
    return o ? tun_of(o) : NULL;
}

int tun_pipe_open(struct udptun_engine *e, const char *name, const char *user)
{
    struct tun *t = find(e, name);
    if (!t || t->pipe_fd < 0 || (t->pipe_user[0] && strcmp(t->pipe_user, user) != 0))
        return -1;
    int fd = fcntl(t->pipe_fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0)
        strcpy(t->pipe_user, user);
    return fd;
}

void tun_pipe_close(struct udptun_engine *e, const char *user)
{
    LIST_FOREACH (node, &e->objects) {
        struct object *o = list_entry(node, struct object, node);
        if (o->kind == &tun_kind && strcmp(tun_of(o)->pipe_user, user) == 0)
            tun_of(o)->pipe_user[0] = '\0';
    }
}

/* ---- as a kind of object ------------------------------------------------------------------------
 */

static void *config_new_kind(const void *given, struct udptun_error *err)
{
    return tun_config_new((const struct udptun_tun2socks_config *)given, err);
}

static void config_free_kind(void *config)
{
    tun_config_free((struct tun_config *)config);
}

static const char *config_name(const void *config)
{
    return ((const struct tun_config *)config)->given.name;
}

static int config_check(const struct udptun_engine *e, const void *config, struct udptun_error *err)
{
    const char *name = ((const struct tun_config *)config)->tunnel;
    const struct tunnel *tunnel = registry_find(e, name);
    if (name && !tunnel)
        return error_set(err, UDPTUN_E_NOT_FOUND, "udp", "udp: no tunnel '%s'", name);
    if (name && tunnel->config->given.role != UDPTUN_LOCAL)
        return error_set(err, UDPTUN_E_INVALID, "udp", "udp: tunnel '%s' is no local", name);
    return UDPTUN_OK;
}

static enum object_change compare(const struct object *o, const void *config)
{
    return tun_config_compare(list_entry(o, const struct tun, object)->config,
                              (const struct tun_config *)config);
}

static void adopt(struct object *o, const void *config)
{
    const struct udptun_tun2socks_config *given = &((const struct tun_config *)config)->given;
    tun_of(o)->config->given.arg = given->arg;
    tun_of(o)->config->given.state = given->state;
    tun_of(o)->config->given.packet = given->packet;
}

static int reconfigure(struct object *o, void *config, struct udptun_error *err)
{
    (void)err;
    tun_reconfigure(tun_of(o), (struct tun_config *)config);
    return UDPTUN_OK;
}

static struct object *start(struct udptun_engine *e, void *config, struct object *old,
                            struct udptun_error *err)
{
    struct tun *t = tun_new(e, (struct tun_config *)config, old ? tun_of(old) : NULL, err);
    return t ? &t->object : NULL;
}

static void removed(struct object *o, bool with_engine)
{
    tun_enter_state(tun_of(o), UDPTUN_DISABLED, with_engine ? "stopped" : "removed");
}

static void bury(struct object *o)
{
    tun_bury(tun_of(o));
}

static void free_object(struct object *o)
{
    tun_free(tun_of(o));
}

static bool uses(const struct object *o, const char *name)
{
    const char *tunnel = list_entry(o, const struct tun, object)->config->tunnel;
    return tunnel && strcmp(tunnel, name) == 0;
}

static int fits(const struct object *o, const struct object *used, const void *config,
                struct udptun_error *err)
{
    if (used->kind != &tunnel_kind ||
        ((const struct tunnel_config *)config)->given.role == UDPTUN_LOCAL)
        return UDPTUN_OK;
    return error_set(err, UDPTUN_E_CONFLICT, "role",
                     "role: tun2socks instance '%s' needs it to be local", o->name);
}

static void used_state(struct object *o, const char *name, enum udptun_state state,
                       const char *reason)
{
    (void)name; /* it names no other */
    tun_udp_tunnel_state(tun_of(o), state, reason);
}

const struct object_kind tun_kind = {
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
    .free = free_object,
    .uses = uses,
    .fits = fits,
    .used_state = used_state,
};

int udptun_tun2socks_configure(udptun_engine *engine, const struct udptun_tun2socks_config *config,
                               bool *changed, struct udptun_error *err)
{
    return registry_configure(engine, &tun_kind, config, changed, err);
}

int udptun_tun2socks_remove(udptun_engine *engine, const char *name, struct udptun_error *err)
{
    return registry_remove(engine, &tun_kind, name, err);
}

void udptun_each_tun2socks(udptun_engine *engine, void (*each)(void *arg, const char *name),
                           void *arg)
{
    registry_each(engine, &tun_kind, each, arg);
}

/* ---- looking ------------------------------------------------------------------------------------
 */

static void format_route(char text[UDPTUN_URL_SIZE], enum tun_route route, const struct url *url,
                         const char *given)
{
    if (route == TUN_SOCKS5)
        url_format(url, text);
    else
        strncpy(text, given ? given : "reject", UDPTUN_URL_SIZE - 1);
}

static void fill(const struct tun *t, struct udptun_tun2socks_status *s)
{
    const struct tun_config *c = t->config;
    *s = (struct udptun_tun2socks_status){
        .state = t->state, .mtu = t->mtu, .associated = t->associated};
    strcpy(s->name, tun_name(t));
    strcpy(s->last_error, t->last_error);
    strcpy(s->device, t->device_name);
    format_route(s->tcp, c->tcp, &c->tcp_url, c->given.tcp);
    format_route(s->udp, c->udp, &c->udp_url, c->given.udp);
    s->uptime_s = (t->engine->now_us - t->started_us) / 1000000;
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

struct status_call {
    struct udptun_engine *engine;
    const char *name;
    struct udptun_tun2socks_status *status;
    int code;
};

static void run_status(void *arg)
{
    struct status_call *call = (struct status_call *)arg;
    const struct tun *t = find(call->engine, call->name);
    engine_refresh(call->engine);
    if (t)
        fill(t, call->status);
    call->code = t ? UDPTUN_OK : UDPTUN_E_NOT_FOUND;
}

int udptun_tun2socks_status(udptun_engine *engine, const char *name,
                            struct udptun_tun2socks_status *status)
{
    struct status_call call = {engine, name, status, UDPTUN_OK};
    engine_call(engine, run_status, &call);
    return call.code;
}

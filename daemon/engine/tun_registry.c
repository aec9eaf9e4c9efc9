/* SPDX-License-Identifier: Apache-2.0 */
/* tun_registry.c - the public functions of tun2socks: instances by name, in alphabetical order. */
#include "daemon/engine/tun_registry.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/registry.h"
#include "daemon/engine/tun.h"
#include "proto/error.h"

static struct tun *find(const struct udptun_engine *e, const char *name)
{
    if (!name)
        return NULL;
    LIST_FOREACH (node, &e->tuns) {
        struct tun *t = list_entry(node, struct tun, node);
        if (strcmp(tun_name(t), name) == 0)
            return t;
    }
    return NULL;
}

bool tun_exists(const struct udptun_engine *e, const char *name)
{
    return find(e, name) != NULL;
}

const char *tun_using(const struct udptun_engine *e, const char *name)
{
    LIST_FOREACH (node, &e->tuns) {
        struct tun *t = list_entry(node, struct tun, node);
        if (t->config->tunnel && strcmp(t->config->tunnel, name) == 0)
            return tun_name(t);
    }
    return NULL;
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
    LIST_FOREACH (node, &e->tuns) {
        struct tun *t = list_entry(node, struct tun, node);
        if (strcmp(t->pipe_user, user) == 0)
            t->pipe_user[0] = '\0';
    }
}

/* The name of a server whose egress is the instance `name`; NULL: there is none. */
static const char *server_using(const struct udptun_engine *e, const char *name)
{
    LIST_FOREACH (node, &e->tunnels) {
        const struct tunnel *t = list_entry(node, struct tunnel, node);
        const char *egress = t->config->given.egress;
        if (egress && strncmp(egress, "tun2socks:", 10) == 0 && strcmp(egress + 10, name) == 0)
            return tunnel_name(t);
    }
    return NULL;
}

static void insert(struct udptun_engine *e, struct tun *t)
{
    struct list *at = e->tuns.next;
    while (at != &e->tuns && strcmp(tun_name(list_entry(at, struct tun, node)), tun_name(t)) < 0)
        at = at->next;
    list_insert_before(at, &t->node);
}

static void remove_tun(struct tun *t)
{
    engine_log(t->engine, UDPTUN_LOG_INFO, "tun2socks", "%s: removed", tun_name(t));
    list_remove(&t->node);
    tun_free(t);
}

void tun_clear(struct udptun_engine *e)
{
    while (!list_empty(&e->tuns))
        remove_tun(list_entry(e->tuns.next, struct tun, node));
}

/* ---- configure ----------------------------------------------------------------------------------
 */

struct configure_call {
    struct udptun_engine *engine;
    const struct udptun_tun2socks_config *given;
    bool *changed;
    struct udptun_error *err;
    int code;
};

/* What the names in a configuration have to be. */
static int check_names(const struct udptun_engine *e, const struct tun_config *config,
                       struct udptun_error *err)
{
    const char *name = config->given.name;
    if (registry_find(e, name))
        return error_set(err, UDPTUN_E_CONFLICT, "name", "name: '%s' is a tunnel", name);
    if (!config->tunnel)
        return UDPTUN_OK;
    const struct tunnel *tunnel = registry_find(e, config->tunnel);
    if (!tunnel)
        return error_set(err, UDPTUN_E_NOT_FOUND, "udp", "udp: no tunnel '%s'", config->tunnel);
    if (tunnel->config->given.role != UDPTUN_LOCAL)
        return error_set(err, UDPTUN_E_INVALID, "udp", "udp: tunnel '%s' is no local",
                         config->tunnel);
    return UDPTUN_OK;
}

/* A server that sends its flows here needs the pipe. */
static int check_user(const struct udptun_engine *e, const struct tun *old,
                      const struct tun_config *config, struct udptun_error *err)
{
    const char *user = server_using(e, tun_name(old));
    if (!user || old->config->kind != TUN_DEVICE_PIPE || config->kind == TUN_DEVICE_PIPE)
        return UDPTUN_OK;
    return error_set(err, UDPTUN_E_CONFLICT, "device", "device: tunnel '%s' uses the pipe", user);
}

/* Whether both cannot be had at the same time. Descriptors of one number are not one device. */
static bool is_same_device(const struct tun_config *a, const struct tun_config *b)
{
    return a->kind != TUN_DEVICE_FD && strcmp(a->given.device, b->given.device) == 0;
}

/* A device is held by one instance only, so the old one ends first; it comes back when the new one
 * cannot be had. */
static struct tun *take_over_device(struct udptun_engine *e, struct tun_config *config,
                                    struct tun *old, struct udptun_error *err)
{
    struct udptun_error why = {0};
    struct tun_config *before = tun_config_new(&old->config->given, err);
    if (!before)
        return NULL;
    remove_tun(old);
    struct tun *t = tun_new(e, config, err);
    struct tun *again = t ? NULL : tun_new(e, before, &why);
    if (again)
        insert(e, again);
    else
        tun_config_free(before);
    return t;
}

static int build(struct udptun_engine *e, struct tun_config *config, struct tun *old,
                 struct udptun_error *err)
{
    bool takes_over = old && is_same_device(old->config, config);
    struct tun *t = takes_over ? take_over_device(e, config, old, err) : tun_new(e, config, err);
    if (!t) {
        tun_config_free(config);
        return err->code ? err->code : UDPTUN_E_UNEXPECTED;
    }
    if (old && !takes_over)
        remove_tun(old);
    insert(e, t);
    return UDPTUN_OK;
}

static int configure(struct configure_call *call, struct udptun_error *err)
{
    struct udptun_engine *e = call->engine;
    struct tun_config *config = tun_config_new(call->given, err);
    if (!config)
        return err->code ? err->code : UDPTUN_E_UNEXPECTED;
    int code = check_names(e, config, err);
    if (code) {
        tun_config_free(config);
        return code;
    }
    struct tun *old = find(e, config->given.name);
    code = old ? check_user(e, old, config, err) : UDPTUN_OK;
    if (code) {
        tun_config_free(config);
        return code;
    }
    enum tun_change change = old ? tun_config_compare(old->config, config) : TUN_REBUILD;
    if (call->changed)
        *call->changed = change != TUN_SAME;
    switch (change) {
    case TUN_SAME:
        tun_config_free(config);
        return UDPTUN_OK;
    case TUN_LIVE:
    case TUN_LIVE_UDP:
        tun_reconfigure(old, config, change);
        return UDPTUN_OK;
    case TUN_REBUILD:
        break;
    }
    return build(e, config, old, err);
}

static void run_configure(void *arg)
{
    struct configure_call *call = (struct configure_call *)arg;
    struct udptun_error err = {0};
    engine_refresh(call->engine);
    call->code = configure(call, &err);
    if (call->code && call->changed)
        *call->changed = false;
    if (call->err)
        *call->err = err;
    engine_settle(call->engine);
}

int udptun_tun2socks_configure(udptun_engine *engine, const struct udptun_tun2socks_config *config,
                               bool *changed, struct udptun_error *err)
{
    struct configure_call call = {engine, config, changed, err, UDPTUN_OK};
    engine_call(engine, run_configure, &call);
    return call.code;
}

/* ---- remove -------------------------------------------------------------------------------------
 */

struct remove_call {
    struct udptun_engine *engine;
    const char *name;
    struct udptun_error *err;
    int code;
};

static void run_remove(void *arg)
{
    struct remove_call *call = (struct remove_call *)arg;
    struct tun *t = find(call->engine, call->name);
    engine_refresh(call->engine);
    const char *user = t ? server_using(call->engine, call->name) : NULL;
    if (user)
        call->code = error_set(call->err, UDPTUN_E_CONFLICT, "name", "name: tunnel '%s' uses '%s'",
                               user, call->name);
    else if (t)
        remove_tun(t);
    else
        call->code = error_set(call->err, UDPTUN_E_NOT_FOUND, "name",
                               "name: no tun2socks instance '%s'", call->name ? call->name : "");
    engine_settle(call->engine);
}

int udptun_tun2socks_remove(udptun_engine *engine, const char *name, struct udptun_error *err)
{
    struct remove_call call = {engine, name, err, UDPTUN_OK};
    engine_call(engine, run_remove, &call);
    return call.code;
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

struct each_call {
    struct udptun_engine *engine;
    void (*each)(void *arg, const char *name);
    void *arg;
};

static void run_each(void *arg)
{
    struct each_call *call = (struct each_call *)arg;
    LIST_FOREACH_SAFE (node, &call->engine->tuns)
        call->each(call->arg, tun_name(list_entry(node, struct tun, node)));
}

void udptun_each_tun2socks(udptun_engine *engine, void (*each)(void *arg, const char *name),
                           void *arg)
{
    struct each_call call = {engine, each, arg};
    engine_call(engine, run_each, &call);
}

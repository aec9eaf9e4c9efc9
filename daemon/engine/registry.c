/* SPDX-License-Identifier: Apache-2.0 */
/* registry.c - udptun_configure(), udptun_remove(): tunnels by name, in alphabetical order. */
#include "daemon/engine/registry.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/event.h"
#include "daemon/engine/tun_registry.h"
#include "proto/error.h"

struct tunnel *registry_find(const struct udptun_engine *e, const char *name)
{
    if (!name)
        return NULL;
    LIST_FOREACH (node, &e->tunnels) {
        struct tunnel *t = list_entry(node, struct tunnel, node);
        if (strcmp(tunnel_name(t), name) == 0)
            return t;
    }
    return NULL;
}

static void insert(struct udptun_engine *e, struct tunnel *t)
{
    struct list *at = e->tunnels.next;
    while (at != &e->tunnels &&
           strcmp(tunnel_name(list_entry(at, struct tunnel, node)), tunnel_name(t)) < 0)
        at = at->next;
    list_insert_before(at, &t->node);
}

/* ---- configure ----------------------------------------------------------------------------------
 */

struct configure_call {
    struct udptun_engine *engine;
    const struct udptun_tunnel_config *given;
    bool *changed;
    struct udptun_error *err;
    int code;
};

static int error_code(const struct udptun_error *err)
{
    return err->code ? err->code : UDPTUN_E_UNEXPECTED;
}

/* A new tunnel in the place of `old`, or of none. */
static int build(struct udptun_engine *e, struct tunnel_config *config, struct tunnel *old,
                 struct udptun_error *err)
{
    struct tunnel *t = tunnel_new(e, config, old, err);
    if (!t) {
        config_free(config);
        return error_code(err);
    }
    if (old)
        tunnel_bury(old);
    insert(e, t);
    tunnel_tell_ready(t);
    return UDPTUN_OK;
}

static int change(struct tunnel *t, struct tunnel_config *config, struct udptun_error *err)
{
    int code = tunnel_reconfigure(t, config, err);
    if (code)
        config_free(config);
    return code;
}

static int configure(struct configure_call *call, struct udptun_error *err)
{
    struct udptun_engine *e = call->engine;
    struct tunnel_config *config = config_new(call->given, err);
    if (!config)
        return error_code(err);
    if (tun_exists(e, config->given.name)) {
        config_free(config);
        return error_set(err, UDPTUN_E_CONFLICT, "name", "name: '%s' is a tun2socks instance",
                         call->given->name);
    }
    struct tunnel *old = registry_find(e, config->given.name);
    const char *user = old ? tun_using(e, config->given.name) : NULL;
    if (user && config->given.role != UDPTUN_LOCAL) {
        config_free(config);
        return error_set(err, UDPTUN_E_CONFLICT, "role",
                         "role: tun2socks instance '%s' needs it to be local", user);
    }
    enum config_change kind = old ? config_compare(old->config, config) : CONFIG_REBUILD;
    if (call->changed)
        *call->changed = kind != CONFIG_SAME;
    switch (kind) {
    case CONFIG_SAME:
        old->config->given.callbacks = config->given.callbacks;
        config_free(config);
        return UDPTUN_OK;
    case CONFIG_LIVE:
        return change(old, config, err);
    case CONFIG_REBUILD:
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

int udptun_configure(udptun_engine *engine, const struct udptun_tunnel_config *config,
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

static void remove_tunnel(struct tunnel *t)
{
    tunnel_enter_state(t, UDPTUN_DISABLED, "removed");
    tunnel_bury(t);
}

void registry_clear(struct udptun_engine *e)
{
    while (!list_empty(&e->tunnels))
        remove_tunnel(list_entry(e->tunnels.next, struct tunnel, node));
}

static void run_remove(void *arg)
{
    struct remove_call *call = (struct remove_call *)arg;
    struct tunnel *t = registry_find(call->engine, call->name);
    engine_refresh(call->engine);
    const char *user = t ? tun_using(call->engine, call->name) : NULL;
    if (user)
        call->code = error_set(call->err, UDPTUN_E_CONFLICT, "name",
                               "name: tun2socks instance '%s' uses '%s'", user, call->name);
    else if (t)
        remove_tunnel(t);
    else
        call->code = error_set(call->err, UDPTUN_E_NOT_FOUND, "name", "name: no tunnel '%s'",
                               call->name ? call->name : "");
    engine_settle(call->engine);
}

int udptun_remove(udptun_engine *engine, const char *name, struct udptun_error *err)
{
    struct remove_call call = {engine, name, err, UDPTUN_OK};
    engine_call(engine, run_remove, &call);
    return call.code;
}

/* ---- each ---------------------------------------------------------------------------------------
 */

struct each_call {
    struct udptun_engine *engine;
    void (*each)(void *arg, const char *name);
    void *arg;
};

/* Names are copied first: `each` may remove what comes next. Without memory none is visited. */
static void run_each(void *arg)
{
    struct each_call *call = (struct each_call *)arg;
    struct udptun_engine *e = call->engine;
    size_t count = 0, i = 0;
    LIST_FOREACH (node, &e->tunnels)
        count++;
    char(*names)[TUNNEL_NAME_SIZE] = calloc(count ? count : 1, sizeof *names);
    if (!names)
        return;
    LIST_FOREACH (node, &e->tunnels)
        strcpy(names[i++], tunnel_name(list_entry(node, struct tunnel, node)));
    for (i = 0; i < count; i++)
        if (registry_find(e, names[i]))
            call->each(call->arg, names[i]);
    free(names);
}

void udptun_each_tunnel(udptun_engine *engine, void (*each)(void *arg, const char *name), void *arg)
{
    struct each_call call = {engine, each, arg};
    engine_call(engine, run_each, &call);
}

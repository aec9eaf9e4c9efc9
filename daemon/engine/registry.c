/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - objects by name, whatever their kind: configure, remove, each.
 *
 * The order of a change is the same for all: check what was given, look what has to be done, do
 * it, and only then end what ran before. So a change that fails leaves it running.
 */
#include "daemon/engine/registry.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/engine/tunnel.h"
#include "proto/error.h"

static struct object *object_of(struct list *node)
{
    return list_entry(node, struct object, node);
}

static struct object *find(const struct udptun_engine *e, const char *name)
{
    if (!name)
        return NULL;
    LIST_FOREACH (node, &e->objects) {
        struct object *o = object_of(node);
        if (strcmp(o->name, name) == 0)
            return o;
    }
    return NULL;
}

struct object *registry_object(const struct udptun_engine *e, const struct object_kind *kind,
                               const char *name)
{
    struct object *o = find(e, name);
    return o && o->kind == kind ? o : NULL;
}

struct tunnel *registry_find(const struct udptun_engine *e, const char *name)
{
    struct object *o = registry_object(e, &tunnel_kind, name);
    return o ? tunnel_of(o) : NULL;
}

static void insert(struct udptun_engine *e, struct object *o)
{
    struct list *at = e->objects.next;
    while (at != &e->objects && strcmp(object_of(at)->name, o->name) < 0)
        at = at->next;
    list_insert_before(at, &o->node);
}

void registry_bury(struct udptun_engine *e, struct object *o)
{
    o->kind->bury(o);
    list_move(&e->dead, &o->node);
}

void registry_free_dead(struct udptun_engine *e)
{
    while (!list_empty(&e->dead)) {
        struct object *o = object_of(e->dead.next);
        o->kind->free(o);
    }
}

void registry_tell(struct udptun_engine *e, const char *name, enum udptun_state state,
                   const char *reason)
{
    LIST_FOREACH (node, &e->objects) {
        struct object *o = object_of(node);
        if (o->kind->used_state && o->kind->uses(o, name))
            o->kind->used_state(o, name, state, reason);
    }
}

/* ---- configure ----------------------------------------------------------------------------------
 */

struct configure_call {
    struct udptun_engine *engine;
    const struct object_kind *kind;
    const void *given;
    bool *changed;
    struct udptun_error *err;
    int code;
};

static int error_code(const struct udptun_error *err)
{
    return err->code ? err->code : UDPTUN_E_UNEXPECTED;
}

/* Those that name `old` can live with what it is to be. */
static int check_users(const struct udptun_engine *e, const struct object *old, const void *config,
                       struct udptun_error *err)
{
    int code = UDPTUN_OK;
    LIST_FOREACH (node, &e->objects) {
        const struct object *user = object_of(node);
        if (!code && user->kind->fits && user->kind->uses(user, old->name))
            code = user->kind->fits(user, old, config, err);
    }
    return code;
}

static int check(const struct udptun_engine *e, const struct object_kind *kind, const void *config,
                 const struct object *old, struct udptun_error *err)
{
    if (old && old->kind != kind)
        return error_set(err, UDPTUN_E_CONFLICT, "name", "name: '%s' is a %s", old->name,
                         old->kind->what);
    int code = kind->config_check ? kind->config_check(e, config, err) : UDPTUN_OK;
    return code || !old ? code : check_users(e, old, config, err);
}

static int rebuild(struct udptun_engine *e, const struct object_kind *kind, void *config,
                   struct object *old, struct udptun_error *err)
{
    struct object *o = kind->start(e, config, old, err);
    if (!o)
        return error_code(err);
    if (old)
        registry_bury(e, old);
    insert(e, o);
    if (kind->started)
        kind->started(o);
    return UDPTUN_OK;
}

static int configure(const struct configure_call *call, bool *changed, struct udptun_error *err)
{
    struct udptun_engine *e = call->engine;
    const struct object_kind *kind = call->kind;
    void *config = kind->config_new(call->given, err);
    if (!config)
        return error_code(err);
    struct object *old = find(e, kind->config_name(config));
    int code = check(e, kind, config, old, err);
    if (code) {
        kind->config_free(config);
        return code;
    }
    enum object_change change = old ? kind->compare(old, config) : OBJECT_REBUILD;
    *changed = change != OBJECT_SAME;
    switch (change) {
    case OBJECT_SAME:
        kind->adopt(old, config);
        kind->config_free(config);
        return UDPTUN_OK;
    case OBJECT_LIVE:
        code = kind->reconfigure(old, config, err);
        break;
    case OBJECT_REBUILD:
        code = rebuild(e, kind, config, old, err);
        break;
    }
    if (code)
        kind->config_free(config);
    return code;
}

static void run_configure(void *arg)
{
    struct configure_call *call = (struct configure_call *)arg;
    struct udptun_error err = {0};
    bool changed = false;
    engine_refresh(call->engine);
    call->code = configure(call, &changed, &err);
    if (call->changed)
        *call->changed = changed && !call->code;
    if (call->err)
        *call->err = err;
    engine_settle(call->engine);
}

int registry_configure(struct udptun_engine *e, const struct object_kind *kind, const void *given,
                       bool *changed, struct udptun_error *err)
{
    struct configure_call call = {e, kind, given, changed, err, UDPTUN_OK};
    engine_call(e, run_configure, &call);
    return call.code;
}

/* ---- remove -------------------------------------------------------------------------------------
 */

struct remove_call {
    struct udptun_engine *engine;
    const struct object_kind *kind;
    const char *name;
    struct udptun_error *err;
    int code;
};

static void remove_object(struct udptun_engine *e, struct object *o, bool with_engine)
{
    o->kind->removed(o, with_engine);
    registry_bury(e, o);
}

/* An object that names `o`; NULL: there is none. */
static const struct object *user_of(const struct udptun_engine *e, const struct object *o)
{
    LIST_FOREACH (node, &e->objects) {
        const struct object *user = object_of(node);
        if (user->kind->uses(user, o->name))
            return user;
    }
    return NULL;
}

/* Those that name others end before them: nobody is told of the end of what it uses. */
void registry_clear(struct udptun_engine *e)
{
    while (!list_empty(&e->objects)) {
        struct object *o = object_of(e->objects.next);
        for (const struct object *user; (user = user_of(e, o));)
            o = find(e, user->name);
        remove_object(e, o, true);
    }
}

static void run_remove(void *arg)
{
    struct remove_call *call = (struct remove_call *)arg;
    struct udptun_engine *e = call->engine;
    struct object *o = registry_object(e, call->kind, call->name);
    engine_refresh(e);
    const struct object *user = o ? user_of(e, o) : NULL;
    if (user)
        call->code = error_set(call->err, UDPTUN_E_CONFLICT, "name", "name: %s '%s' uses '%s'",
                               user->kind->what, user->name, call->name);
    else if (o)
        remove_object(e, o, false);
    else
        call->code = error_set(call->err, UDPTUN_E_NOT_FOUND, "name", "name: no %s '%s'",
                               call->kind->what, call->name ? call->name : "");
    engine_settle(e);
}

int registry_remove(struct udptun_engine *e, const struct object_kind *kind, const char *name,
                    struct udptun_error *err)
{
    struct remove_call call = {e, kind, name, err, UDPTUN_OK};
    engine_call(e, run_remove, &call);
    return call.code;
}

/* ---- each ---------------------------------------------------------------------------------------
 */

struct each_call {
    struct udptun_engine *engine;
    const struct object_kind *kind;
    void (*each)(void *arg, const char *name);
    void *arg;
};

/* Names are copied first: `each` may remove what comes next. */
static void run_each(void *arg)
{
    struct each_call *call = (struct each_call *)arg;
    struct udptun_engine *e = call->engine;
    size_t count = 0, i = 0;
    LIST_FOREACH (node, &e->objects)
        count += object_of(node)->kind == call->kind;
    char(*names)[OBJECT_NAME_SIZE] = calloc(count ? count : 1, sizeof *names);
    if (!names)
        return;
    LIST_FOREACH (node, &e->objects)
        if (object_of(node)->kind == call->kind)
            strcpy(names[i++], object_of(node)->name);
    for (i = 0; i < count; i++)
        if (registry_object(e, call->kind, names[i]))
            call->each(call->arg, names[i]);
    free(names);
}

void registry_each(struct udptun_engine *e, const struct object_kind *kind,
                   void (*each)(void *arg, const char *name), void *arg)
{
    struct each_call call = {e, kind, each, arg};
    engine_call(e, run_each, &call);
}

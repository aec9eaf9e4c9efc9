/* SPDX-License-Identifier: Apache-2.0 */
/*
 * registry.c - entries by name, whatever their kind: configure, remove, each.
 *
 * The order of a change is the same for all: check what was given, look what has to be done, do
 * it, and only then end what ran before. So a change that fails leaves it running.
 */
#include "daemon/engine/core/registry.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/platform/socket.h"
#include "proto/error.h"

static struct entry *entry_of(struct list *node)
{
    return list_entry(node, struct entry, node);
}

static struct entry *registry_find(const struct udptun_engine *e, const char *name)
{
    if (!name)
        return NULL;
    LIST_FOREACH (node, &e->entries) {
        struct entry *o = entry_of(node);
        if (strcmp(o->name, name) == 0)
            return o;
    }
    return NULL;
}

struct entry *registry_entry(const struct udptun_engine *e, const struct entry_kind *kind,
                             const char *name)
{
    struct entry *o = registry_find(e, name);
    return o && o->kind == kind ? o : NULL;
}

udptun_socket registry_pipe_open(struct udptun_engine *e, const char *name, const char *user)
{
    struct entry *o = registry_find(e, name);
    return o && o->kind->pipe ? o->kind->pipe->open(o, user) : NO_SOCKET;
}

void registry_pipe_close(struct udptun_engine *e, const char *user)
{
    LIST_FOREACH (node, &e->entries) {
        struct entry *o = entry_of(node);
        if (o->kind->pipe)
            o->kind->pipe->close(o, user);
    }
}

static void registry_insert(struct udptun_engine *e, struct entry *o)
{
    struct list *at = e->entries.next;
    while (at != &e->entries && strcmp(entry_of(at)->name, o->name) < 0)
        at = at->next;
    list_insert_before(at, &o->node);
}

void registry_bury(struct udptun_engine *e, struct entry *o)
{
    o->kind->bury(o);
    list_move(&e->dead, &o->node);
}

void registry_free_dead(struct udptun_engine *e)
{
    while (!list_empty(&e->dead)) {
        struct entry *o = entry_of(e->dead.next);
        o->kind->free(o);
    }
}

void registry_tell(struct udptun_engine *e, const char *name, enum udptun_state state,
                   const char *reason)
{
    LIST_FOREACH (node, &e->entries) {
        struct entry *o = entry_of(node);
        if (o->kind->used_state && o->kind->uses(o, name))
            o->kind->used_state(o, name, state, reason);
    }
}

/* ---- configure ----------------------------------------------------------------------------------
 */

struct configure_call {
    struct udptun_engine *engine;
    const struct entry_kind *kind;
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
static int check_users(const struct udptun_engine *e, const struct entry *old, const void *config,
                       struct udptun_error *err)
{
    int code = UDPTUN_OK;
    LIST_FOREACH (node, &e->entries) {
        const struct entry *user = entry_of(node);
        if (!code && user->kind->fits && user->kind->uses(user, old->name))
            code = user->kind->fits(user, old, config, err);
    }
    return code;
}

static int registry_check(const struct udptun_engine *e, const struct entry_kind *kind,
                          const void *config, const struct entry *old, struct udptun_error *err)
{
    if (old && old->kind != kind)
        return error_set(err, UDPTUN_E_CONFLICT, "name", "name: '%s' is a %s", old->name,
                         old->kind->what);
    int code = kind->config_check ? kind->config_check(e, config, err) : UDPTUN_OK;
    return code || !old ? code : check_users(e, old, config, err);
}

static int rebuild(struct udptun_engine *e, const struct entry_kind *kind, void *config,
                   struct entry *old, struct udptun_error *err)
{
    struct entry *o = kind->start(e, config, old, err);
    if (!o)
        return error_code(err);
    if (old)
        registry_bury(e, old);
    registry_insert(e, o);
    if (kind->started)
        kind->started(o);
    return UDPTUN_OK;
}

static int registry_configure_entry(const struct configure_call *call, bool *changed,
                                    struct udptun_error *err)
{
    struct udptun_engine *e = call->engine;
    const struct entry_kind *kind = call->kind;
    void *config = kind->config_new(call->given, err);
    if (!config)
        return error_code(err);
    struct entry *old = registry_find(e, kind->config_name(config));
    int code = registry_check(e, kind, config, old, err);
    if (code) {
        kind->config_free(config);
        return code;
    }
    enum entry_change change = old ? kind->compare(old, config) : ENTRY_REBUILD;
    *changed = change != ENTRY_SAME;
    switch (change) {
    case ENTRY_SAME:
        kind->adopt(old, config);
        kind->config_free(config);
        return UDPTUN_OK;
    case ENTRY_LIVE:
        code = kind->reconfigure(old, config, err);
        break;
    case ENTRY_REBUILD:
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
    call->code = registry_configure_entry(call, &changed, &err);
    if (call->changed)
        *call->changed = changed && !call->code;
    if (call->err)
        *call->err = err;
    engine_settle(call->engine);
}

int registry_configure(struct udptun_engine *e, const struct entry_kind *kind, const void *given,
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
    const struct entry_kind *kind;
    const char *name;
    struct udptun_error *err;
    int code;
};

static void remove_entry(struct udptun_engine *e, struct entry *o, bool with_engine)
{
    o->kind->removed(o, with_engine);
    registry_bury(e, o);
}

/* An entry that names `o`; NULL: there is none. */
static const struct entry *user_of(const struct udptun_engine *e, const struct entry *o)
{
    LIST_FOREACH (node, &e->entries) {
        const struct entry *user = entry_of(node);
        if (user->kind->uses(user, o->name))
            return user;
    }
    return NULL;
}

/* Those that name others end before them: nobody is told of the end of what it uses. */
void registry_clear(struct udptun_engine *e)
{
    while (!list_empty(&e->entries)) {
        struct entry *o = entry_of(e->entries.next);
        for (const struct entry *user; (user = user_of(e, o));)
            o = registry_find(e, user->name);
        remove_entry(e, o, true);
    }
}

static void registry_run_remove(void *arg)
{
    struct remove_call *call = (struct remove_call *)arg;
    struct udptun_engine *e = call->engine;
    struct entry *o = registry_entry(e, call->kind, call->name);
    engine_refresh(e);
    const struct entry *user = o ? user_of(e, o) : NULL;
    if (user)
        call->code = error_set(call->err, UDPTUN_E_CONFLICT, "name", "name: %s '%s' uses '%s'",
                               user->kind->what, user->name, call->name);
    else if (o)
        remove_entry(e, o, false);
    else
        call->code = error_set(call->err, UDPTUN_E_NOT_FOUND, "name", "name: no %s '%s'",
                               call->kind->what, call->name ? call->name : "");
    engine_settle(e);
}

int registry_remove(struct udptun_engine *e, const struct entry_kind *kind, const char *name,
                    struct udptun_error *err)
{
    struct remove_call call = {e, kind, name, err, UDPTUN_OK};
    engine_call(e, registry_run_remove, &call);
    return call.code;
}

/* ---- each ---------------------------------------------------------------------------------------
 */

struct each_call {
    struct udptun_engine *engine;
    const struct entry_kind *kind;
    void (*each)(void *arg, const char *name);
    void *arg;
};

/* Names are copied first: `each` may remove what comes next. */
static void run_each(void *arg)
{
    struct each_call *call = (struct each_call *)arg;
    struct udptun_engine *e = call->engine;
    size_t count = 0, i = 0;
    LIST_FOREACH (node, &e->entries)
        count += entry_of(node)->kind == call->kind;
    char(*names)[ENTRY_NAME_SIZE] = calloc(count ? count : 1, sizeof *names);
    if (!names)
        return;
    LIST_FOREACH (node, &e->entries)
        if (entry_of(node)->kind == call->kind)
            strcpy(names[i++], entry_of(node)->name);
    for (i = 0; i < count; i++)
        if (registry_entry(e, call->kind, names[i]))
            call->each(call->arg, names[i]);
    free(names);
}

void registry_each(struct udptun_engine *e, const struct entry_kind *kind,
                   void (*each)(void *arg, const char *name), void *arg)
{
    struct each_call call = {e, kind, each, arg};
    engine_call(e, run_each, &call);
}

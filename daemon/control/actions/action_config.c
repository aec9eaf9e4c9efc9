/* SPDX-License-Identifier: Apache-2.0 */
/* action_config.c - exportConfig and applyConfig: every object at once. */
#include "daemon/control/actions/actions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/change/authority.h"
#include "daemon/control/change/change.h"
#include "daemon/control/store/object_fields.h"
#include "daemon/control/store/secrets.h"
#include "daemon/control/store/state.h"
#include "daemon/control/store/tunnel_message.h"
#include "proto/control/codec.h"

/* ---- exportConfig ---------------------------------------------------------------------------- */

/* A copy of every object; NULL when memory is short. */
static config_msg *copy_of_all(const struct objects *objects, bool show_secrets)
{
    config_msg *config = (void *)codec_new(&udptun__control__config__descriptor);
    if (!config)
        return NULL;
    config->udp_tunnels = calloc(objects->count + 1, sizeof *config->udp_tunnels);
    config->tun2socks = calloc(objects->count + 1, sizeof *config->tun2socks);
    bool complete = config->udp_tunnels && config->tun2socks;
    for (size_t i = 0; complete && i < objects->count; i++) {
        if (!objects->items[i].message)
            continue;
        ProtobufCMessage *copy = codec_copy(objects->items[i].message);
        complete = copy != NULL;
        if (copy)
            config_place(config, copy);
        if (copy && !show_secrets)
            complete = object_redact(copy) == 0;
    }
    if (complete)
        return config;
    protobuf_c_message_free_unpacked(&config->base, NULL);
    return NULL;
}

void action_export_config(struct call *call)
{
    const Udptun__Control__ExportConfigParameters *given =
        (const Udptun__Control__ExportConfigParameters *)call->parameters;
    bool show_secrets = given->has_show_secrets && given->show_secrets;
    if (show_secrets && call->role < ROLE_ADMIN) {
        action_fail(call, UDPTUN_E_PERMISSION, "parameters.showSecrets",
                    "parameters.showSecrets: needs the role admin");
        return;
    }
    config_msg *config = copy_of_all(&call->control->objects, show_secrets);
    if (!config) {
        action_fail(call, UDPTUN_E_NOMEM, NULL, "out of memory");
        return;
    }
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_EXPORT_CONFIG;
    value.export_config = config;
    call_return(call, &value);
    protobuf_c_message_free_unpacked(&config->base, NULL);
}

/* ---- applyConfig ----------------------------------------------------------------------------- */

static const Udptun__Control__ApplyConfigParameters *given_to(const struct change *c)
{
    return (const Udptun__Control__ApplyConfigParameters *)c->call->parameters;
}

/* An object of the config that is to be applied. */
struct given {
    const ProtobufCMessage *message;
    const char *name; /* NULL: it has none */
    const char *kind; /* the name of the config's list */
    size_t at;        /* in that list */
};

/* The path of an object, for errors. */
static void path_of(const struct given *given, char path[OBJECT_PATH_SIZE])
{
    snprintf(path, OBJECT_PATH_SIZE, "parameters.config.%s[%zu]", given->kind, given->at);
}

/* By name; of the same name in the order in which they were given. */
static int by_name(const void *a, const void *b)
{
    const struct given *x = *(const struct given *const *)a, *y = *(const struct given *const *)b;
    int order = strcmp(x->name ? x->name : "", y->name ? y->name : "");
    return order ? order : (x > y) - (x < y);
}

/* Every object has a name, and none has that of another. `sorted` becomes all of them by name. */
static int sort_given(struct change *c, const struct given *all, size_t count,
                      const struct given **sorted)
{
    char path[OBJECT_PATH_SIZE];
    for (size_t i = 0; i < count; i++) {
        path_of(&all[i], path);
        if (!all[i].name)
            return tunnel_message_invalid(&c->err, path, "name", "is missing");
        sorted[i] = &all[i];
    }
    qsort((void *)sorted, count, sizeof *sorted, by_name);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) != 0)
            continue;
        path_of(sorted[i], path);
        return tunnel_message_invalid(&c->err, path, "name", "is there twice");
    }
    return 0;
}

/* What can be told without a copy, of all objects before the first copy is made. */
static int check_given(struct change *c, const struct given *given)
{
    const struct object *object = objects_find(&c->control->objects, given->name);
    char path[OBJECT_PATH_SIZE];
    path_of(given, path);
    int rc = tunnel_message_check_kept(given->message, path, &c->err);
    if (rc == 0 && !(object && object_admin_field(object->message))) /* such a one may be left */
        rc = authority_check_given(c->call, given->message, path, &c->err);
    return rc;
}

static int action_config_plan_object(struct change *c, const struct given *given)
{
    const struct object *object = objects_find(&c->control->objects, given->name);
    const ProtobufCMessage *present = object ? object->message : NULL;
    char path[OBJECT_PATH_SIZE];
    path_of(given, path);
    ProtobufCMessage *wanted = codec_copy(given->message);
    if (!wanted)
        return error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
    bool same_kind = present && present->descriptor == wanted->descriptor;
    int rc = object_fill_redacted(wanted, same_kind ? present : NULL, path, &c->err);
    bool left = rc == 0 && c->call->role < ROLE_ADMIN && object_admin_field(wanted) && same_kind &&
                codec_equal(wanted, present);
    if (rc < 0 || left) { /* what an admin set may stay, and is not touched */
        protobuf_c_message_free_unpacked(wanted, NULL);
        return rc;
    }
    return change_edit(c, given->name, wanted, object && object->of_file, path);
}

/* Objects that the config does not name. */
static int plan_prune(struct change *c, const struct given *const *sorted, size_t count)
{
    const struct objects *objects = &c->control->objects; /* by name as well */
    size_t at = 0;
    for (size_t i = 0; i < objects->count; i++) {
        const struct object *object = &objects->items[i];
        while (at < count && strcmp(sorted[at]->name, object->name) < 0)
            at++;
        bool named = at < count && strcmp(sorted[at]->name, object->name) == 0;
        if (named || !object->message)
            continue;
        int rc = change_edit(c, object->name, NULL, object->of_file, "");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static size_t list_given(const config_msg *config, struct given *all)
{
    size_t count = 0;
    for (size_t i = 0; i < config->n_udp_tunnels; i++)
        all[count++] = (struct given){&config->udp_tunnels[i]->base, config->udp_tunnels[i]->name,
                                      "udpTunnels", i};
    for (size_t i = 0; i < config->n_tun2socks; i++)
        all[count++] =
            (struct given){&config->tun2socks[i]->base, config->tun2socks[i]->name, "tun2socks", i};
    return count;
}

static int plan_apply(struct change *c)
{
    const config_msg *config = given_to(c)->config;
    size_t room = config->n_udp_tunnels + config->n_tun2socks + 1;
    struct given *all = calloc(room, sizeof *all);
    const struct given **sorted = calloc(room, sizeof *sorted);
    int rc = UDPTUN_E_NOMEM;
    c->dry_run = given_to(c)->has_dry_run && given_to(c)->dry_run;
    if (all && sorted) {
        size_t count = list_given(config, all);
        rc = sort_given(c, all, count, sorted);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = check_given(c, &all[i]);
        for (size_t i = 0; rc == 0 && i < count; i++)
            rc = action_config_plan_object(c, &all[i]);
        if (rc == 0 && given_to(c)->has_prune && given_to(c)->prune)
            rc = plan_prune(c, sorted, count);
    } else {
        error_set(&c->err, rc, NULL, "out of memory");
    }
    free(all);
    free((void *)sorted);
    return rc;
}

static void applied(struct change *c)
{
    Udptun__Control__ApplyConfigReturn result = UDPTUN__CONTROL__APPLY_CONFIG_RETURN__INIT;
    return_msg value = UDPTUN__CONTROL__RETURN_VALUE__INIT;
    /* One row for each kind of outcome; the names stay the edits' own. */
    char **names = c->err.code == 0 ? calloc(3 * c->count + 1, sizeof *names) : NULL;
    if (c->err.code == 0 && !names)
        error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
    if (c->err.code < 0) {
        call_fail(c->call, &c->err);
        return;
    }
    result.created = names;
    result.changed = names + c->count;
    result.removed = names + 2 * c->count;
    for (size_t i = 0; i < c->count; i++) {
        struct edit *e = &c->edits[i];
        if (!(c->dry_run ? e->differs : e->changed))
            continue;
        if (e->is_removal)
            result.removed[result.n_removed++] = e->name;
        else if (e->is_new)
            result.created[result.n_created++] = e->name;
        else
            result.changed[result.n_changed++] = e->name;
    }
    if (c->unwritten)
        result.unwritten = c->disk.message;
    value.action_case = UDPTUN__CONTROL__RETURN_VALUE__ACTION_APPLY_CONFIG;
    value.apply_config = &result;
    call_return(c->call, &value);
    free(names);
}

const struct change_kind change_apply_config = {plan_apply, applied, .is_of_all = true};

void action_apply_config(struct call *call)
{
    change_start(call->control, &change_apply_config, call, NULL);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* action_config.c - exportConfig and applyConfig: every object at once. */
#include "daemon/control/actions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/control.h"
#include "daemon/control/secrets.h"
#include "daemon/control/tunnel_config.h"
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

static bool is_planned(const struct change *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->edits[i].name, name) == 0)
            return true;
    }
    return false;
}

static int plan_object(struct change *c, const ProtobufCMessage *given, const char *name,
                       const char *path)
{
    const struct object *object = name ? objects_find(&c->control->objects, name) : NULL;
    const ProtobufCMessage *present = object ? object->message : NULL;
    if (!name)
        return tunnel_config_invalid(&c->err, path, "name", "is missing");
    if (is_planned(c, name))
        return tunnel_config_invalid(&c->err, path, "name", "is there twice");
    int rc = tunnel_config_check_kept(given, path, &c->err);
    if (rc < 0)
        return rc;
    ProtobufCMessage *wanted = codec_copy(given);
    if (!wanted)
        return error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
    bool same_kind = present && present->descriptor == wanted->descriptor;
    rc = object_fill_redacted(wanted, same_kind ? present : NULL, path, &c->err);
    /* What is there already may stay, whoever set it. */
    if (rc == 0 && c->call->role < ROLE_ADMIN && !(same_kind && codec_equal(wanted, present)))
        rc = object_check_admin_fields(wanted, path, &c->err);
    if (rc < 0) {
        protobuf_c_message_free_unpacked(wanted, NULL);
        return rc;
    }
    return change_edit(c, name, wanted, object && object->of_file, path);
}

/* Objects that the config does not name. */
static int plan_prune(struct change *c)
{
    const struct objects *objects = &c->control->objects;
    for (size_t i = 0; i < objects->count; i++) {
        const struct object *object = &objects->items[i];
        if (!object->message || is_planned(c, object->name))
            continue;
        int rc = change_edit(c, object->name, NULL, object->of_file, "");
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int plan_apply(struct change *c)
{
    const config_msg *config = given_to(c)->config;
    char path[OBJECT_PATH_SIZE];
    int rc = 0;
    c->dry_run = given_to(c)->has_dry_run && given_to(c)->dry_run;
    for (size_t i = 0; rc == 0 && i < config->n_udp_tunnels; i++) {
        snprintf(path, sizeof path, "parameters.config.udpTunnels[%zu]", i);
        rc = plan_object(c, &config->udp_tunnels[i]->base, config->udp_tunnels[i]->name, path);
    }
    for (size_t i = 0; rc == 0 && i < config->n_tun2socks; i++) {
        snprintf(path, sizeof path, "parameters.config.tun2socks[%zu]", i);
        rc = plan_object(c, &config->tun2socks[i]->base, config->tun2socks[i]->name, path);
    }
    if (rc == 0 && given_to(c)->has_prune && given_to(c)->prune)
        rc = plan_prune(c);
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

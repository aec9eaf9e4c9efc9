/* SPDX-License-Identifier: Apache-2.0 */
/* authority.c - see authority.h. */
#include "daemon/control/change/authority.h"

#include <stdio.h>

#include "daemon/control/store/object_fields.h"
#include "proto/control/codec.h"

static int deny(const char *field, const char *why, struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_PERMISSION, field, "%s: %s", field, why);
}

static bool may_all(const struct call *call)
{
    return !call || call->role >= ROLE_ADMIN;
}

int authority_check_given(const struct call *call, const ProtobufCMessage *message,
                          const char *path, struct udptun_error *err)
{
    const ProtobufCFieldDescriptor *needs = may_all(call) ? NULL : object_admin_field(message);
    char json_name[CODEC_NAME_SIZE], field[sizeof err->field];
    if (!needs)
        return 0;
    snprintf(field, sizeof field, "%.36s.%.26s", path, codec_json_name(needs->name, json_name));
    return deny(field, "needs the role admin", err);
}

int authority_check_edit(const struct call *call, const ProtobufCMessage *present,
                         const struct edit *edit, struct udptun_error *err)
{
    const ProtobufCFieldDescriptor *held = may_all(call) ? NULL : object_admin_field(present);
    char json_name[CODEC_NAME_SIZE], field[sizeof err->field], why[160];
    int rc = authority_check_given(call, edit->wanted, edit->path, err);
    if (rc < 0 || !held)
        return rc;
    snprintf(why, sizeof why, "'%.64s' has '%.26s', so only an admin may change or remove it",
             edit->name, codec_json_name(held->name, json_name));
    if (!*edit->path) /* the edit follows from what the config does not name */
        return deny("parameters.prune", why, err);
    snprintf(field, sizeof field, "%.36s.name", edit->path);
    return deny(field, why, err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel_message.c - see tunnel_message.h. The fields of one value each are carried over by the
 * table of object_fields.c; what has a shape of its own is carried over here. */
#include "daemon/control/store/tunnel_message.h"

#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control/store/object_fields.h"
#include "proto/control/codec.h"
#include "proto/error.h"

void tunnel_message_error_path(struct udptun_error *err, const char *path)
{
    char field[sizeof err->field];
    if (!err || !err->field[0] || !*path)
        return;
    snprintf(field, sizeof field, "%.36s.%.26s", path, err->field);
    memcpy(err->field, field, sizeof field);
}

int tunnel_message_invalid(struct udptun_error *err, const char *path, const char *name,
                           const char *what)
{
    char json_name[CODEC_NAME_SIZE], field[sizeof err->field];
    codec_json_name(name, json_name);
    snprintf(field, sizeof field, "%.36s%s%.25s", path, *path ? "." : "", json_name);
    return error_set(err, UDPTUN_E_INVALID, field, "%s: %s", field, what);
}

static int carry_key(const tunnel_msg *message, const char *path, struct tunnel_message *out,
                     struct udptun_error *err)
{
    if (!message->key)
        return 0;
    const char *text =
        message->key->value_case == UDPTUN__CONTROL__SECRET__VALUE_TEXT ? message->key->text : "";
    size_t size = 0;
    const char *end = NULL;
    if (sodium_base642bin(out->key, sizeof out->key, text, strlen(text), " \t\r\n", &size, &end,
                          sodium_base64_VARIANT_ORIGINAL) != 0 ||
        *end || size != sizeof out->key)
        return tunnel_message_invalid(err, path, "key", "32 bytes in base64 are expected");
    out->engine.key = out->key;
    return 0;
}

int tunnel_message_read(const tunnel_msg *message, const struct object_inputs *inputs,
                        const char *path, struct tunnel_message *out, struct udptun_error *err)
{
    if (!message->name)
        return tunnel_message_invalid(err, path, "name", "is missing");
    if (!message->has_role)
        return tunnel_message_invalid(err, path, "role", "is missing");
    bool server = message->role == UDPTUN__CONTROL__TUNNEL__ROLE__SERVER;
    struct udptun_tunnel_config *config = &out->engine;
    udptun_tunnel_config_init(config, server ? UDPTUN_SERVER : UDPTUN_LOCAL);
    object_fields_carry(&message->base, config);
    if (message->allow_targets) {
        config->allow_given = true;
        config->allow_targets = (const char *const *)message->allow_targets->items;
        config->allow_count = message->allow_targets->n_items;
    }
    if (message->deny_targets) {
        config->deny_targets = (const char *const *)message->deny_targets->items;
        config->deny_count = message->deny_targets->n_items;
    }
    int rc = carry_key(message, path, out, err);
    if (rc < 0)
        return rc;
    if (inputs && inputs->has_key) {
        memcpy(out->key, inputs->key, sizeof out->key);
        config->key = out->key;
        config->key_file = NULL;
    }
    rc = udptun_tunnel_config_check(config, err);
    if (rc < 0)
        tunnel_message_error_path(err, path);
    else if (!server && (message->deny_targets || message->has_insecure))
        rc = tunnel_message_invalid(err, path, message->deny_targets ? "deny_targets" : "insecure",
                                    "is not a field of a local");
    return rc;
}

int tunnel_message_check_kept(const ProtobufCMessage *message, const char *path,
                              struct udptun_error *err)
{
    static const char *const names[] = {"merge", "wait"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (codec_has(message, codec_field(message->descriptor, names[i])))
            return tunnel_message_invalid(err, path, names[i], "unknown field");
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel_config.c - see tunnel_config.h. A field is one row of `fields`; the message's own type
 * and the row's kind say how it is carried over. */
#include "daemon/control/tunnel_config.h"

#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "proto/control/codec.h"
#include "proto/error.h"

enum kind {
    KIND_TEXT,      /* string or Secret -> const char * */
    KIND_INT,       /* integer -> int */
    KIND_INT64,     /* integer -> int64_t */
    KIND_BOOL,      /* bool -> bool */
    KIND_FILTERING, /* enum -> its word */
    KIND_APART,     /* not by this table: not the engine's, or of a shape of its own */
};

struct field {
    const char *name; /* in control.proto */
    enum kind kind;
    size_t offset; /* in struct udptun_tunnel_config */
};

#define AT(member) offsetof(struct udptun_tunnel_config, member)

static const struct field fields[] = {
    {"name", KIND_TEXT, AT(name)},
    {"role", KIND_APART, 0},
    {"listen", KIND_TEXT, AT(listen)},
    {"target", KIND_TEXT, AT(target)},
    {"server", KIND_TEXT, AT(server)},
    {"via", KIND_TEXT, AT(via)},
    {"tcp_proxy", KIND_TEXT, AT(tcp_proxy)},
    {"connections", KIND_INT, AT(connections)},
    {"key", KIND_APART, 0},
    {"key_file", KIND_TEXT, AT(key_file)},
    {"insecure", KIND_BOOL, AT(insecure)},
    {"egress", KIND_TEXT, AT(egress)},
    {"allow_targets", KIND_APART, 0},
    {"deny_targets", KIND_APART, 0},
    {"filtering", KIND_FILTERING, AT(filtering)},
    {"port_range", KIND_TEXT, AT(port_range)},
    {"heartbeat_interval", KIND_INT64, AT(heartbeat_interval_s)},
    {"dead_interval", KIND_INT64, AT(dead_interval_s)},
    {"resume_timeout", KIND_INT64, AT(resume_timeout_s)},
    {"flow_timeout", KIND_INT64, AT(flow_timeout_s)},
    {"max_sessions", KIND_INT64, AT(max_sessions)},
    {"max_flows", KIND_INT64, AT(max_flows)},
    {"max_flows_per_session", KIND_INT64, AT(max_flows_per_session)},
    {"max_queue_delay_ms", KIND_INT64, AT(max_queue_delay_ms)},
    {"max_queue_bytes", KIND_INT64, AT(max_queue_bytes)},
    {"redundancy", KIND_INT64, AT(redundancy)},
    {"redundancy_max_size", KIND_INT64, AT(redundancy_max_size)},
    {"mark", KIND_INT64, AT(mark)},
    {"bind_device", KIND_TEXT, AT(bind_device)},
    {"ephemeral", KIND_APART, 0},
    {"enabled", KIND_BOOL, AT(enabled)},
    {"merge", KIND_APART, 0},
    {"wait", KIND_APART, 0},
};

void tunnel_config_error_path(struct udptun_error *err, const char *path)
{
    char field[sizeof err->field];
    if (!err || !err->field[0] || !*path)
        return;
    snprintf(field, sizeof field, "%.36s.%.26s", path, err->field);
    memcpy(err->field, field, sizeof field);
}

int tunnel_config_invalid(struct udptun_error *err, const char *path, const char *name,
                          const char *what)
{
    char json_name[CODEC_NAME_SIZE], field[sizeof err->field];
    codec_json_name(name, json_name);
    snprintf(field, sizeof field, "%.36s%s%.25s", path, *path ? "." : "", json_name);
    return error_set(err, UDPTUN_E_INVALID, field, "%s: %s", field, what);
}

/* The member of `message` at `field`, as bytes. */
static const void *value_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (const char *)message + field->offset;
}

static bool is_secret(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE &&
           field->descriptor == &udptun__control__secret__descriptor;
}

const char *object_text(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (!codec_has(message, field))
        return NULL;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return *(const char *const *)value_at(message, field);
    if (!is_secret(field))
        return NULL;
    const secret_msg *secret = *(const secret_msg *const *)value_at(message, field);
    return secret->value_case == UDPTUN__CONTROL__SECRET__VALUE_TEXT ? secret->text : NULL;
}

static int64_t integer_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *value = value_at(message, field);
    if (field->type == PROTOBUF_C_TYPE_UINT32)
        return *(const uint32_t *)value;
    uint64_t wide = *(const uint64_t *)value;
    return wide > INT64_MAX ? INT64_MAX : (int64_t)wide; /* the engine's range is far below */
}

/* The words that the engine knows are those of JSON: lower case, hyphens. */
static const char *filtering_word(const tunnel_msg *message)
{
    switch (message->filtering) {
    case UDPTUN__CONTROL__TUNNEL__FILTERING__ENDPOINT_INDEPENDENT:
        return "endpoint-independent";
    case UDPTUN__CONTROL__TUNNEL__FILTERING__ADDRESS:
        return "address";
    case UDPTUN__CONTROL__TUNNEL__FILTERING__ADDRESS_PORT:
        return "address-port";
    case _UDPTUN__CONTROL__TUNNEL__FILTERING_IS_INT_SIZE:
        break;
    }
    return "";
}

static void carry(const tunnel_msg *message, const struct field *row,
                  struct udptun_tunnel_config *config)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->base.descriptor, row->name);
    void *to = (char *)config + row->offset;
    if (row->kind == KIND_APART || !codec_has(&message->base, field))
        return;
    switch (row->kind) {
    case KIND_TEXT:
        *(const char **)to = object_text(&message->base, field);
        break;
    case KIND_INT: {
        int64_t value = integer_of(&message->base, field);
        *(int *)to = value > INT_MAX ? INT_MAX : (int)value;
        break;
    }
    case KIND_INT64:
        *(int64_t *)to = integer_of(&message->base, field);
        break;
    case KIND_BOOL:
        *(bool *)to = *(const protobuf_c_boolean *)value_at(&message->base, field) != 0;
        break;
    case KIND_FILTERING:
        *(const char **)to = filtering_word(message);
        break;
    case KIND_APART:
        break;
    }
}

static int carry_key(const tunnel_msg *message, const char *path, struct tunnel_config *out,
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
        return tunnel_config_invalid(err, path, "key", "32 bytes in base64 are expected");
    out->engine.key = out->key;
    return 0;
}

int tunnel_config_from(const tunnel_msg *message, const struct means *means, const char *path,
                       struct tunnel_config *out, struct udptun_error *err)
{
    if (!message->name)
        return tunnel_config_invalid(err, path, "name", "is missing");
    if (!message->has_role)
        return tunnel_config_invalid(err, path, "role", "is missing");
    bool server = message->role == UDPTUN__CONTROL__TUNNEL__ROLE__SERVER;
    struct udptun_tunnel_config *config = &out->engine;
    udptun_tunnel_config_init(config, server ? UDPTUN_SERVER : UDPTUN_LOCAL);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        carry(message, &fields[i], config);
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
    if (means && means->has_key) {
        memcpy(out->key, means->key, sizeof out->key);
        config->key = out->key;
        config->key_file = NULL;
    }
    rc = udptun_tunnel_config_check(config, err);
    if (rc < 0)
        tunnel_config_error_path(err, path);
    else if (!server && (message->deny_targets || message->has_insecure))
        rc = tunnel_config_invalid(err, path, message->deny_targets ? "deny_targets" : "insecure",
                                   "is not a field of a local");
    return rc;
}

int tunnel_config_check_kept(const ProtobufCMessage *message, const char *path,
                             struct udptun_error *err)
{
    static const char *const names[] = {"merge", "wait"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (codec_has(message, codec_field(message->descriptor, names[i])))
            return tunnel_config_invalid(err, path, names[i], "unknown field");
    }
    return 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* object_fields.c - see object_fields.h. The message's own type and the row's kind say how a field
 * is carried over. */
#include "daemon/control/store/object_fields.h"

#include <limits.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>

#include <udptun/engine.h>

#define COUNT(array)      (sizeof(array) / sizeof *(array))
#define TUNNEL(member)    offsetof(struct udptun_tunnel_config, member)
#define TUN2SOCKS(member) offsetof(struct udptun_tun2socks_config, member)

static const struct object_field tunnel_fields[] = {
    {"name", FIELD_TEXT, TUNNEL(name), AUTHORITY_ANY},
    {"role", FIELD_APART, 0, AUTHORITY_ANY},
    {"listen", FIELD_TEXT, TUNNEL(listen), AUTHORITY_PATH},
    {"target", FIELD_TEXT, TUNNEL(target), AUTHORITY_PATH},
    {"server", FIELD_TEXT, TUNNEL(server), AUTHORITY_PATH},
    {"via", FIELD_TEXT, TUNNEL(via), AUTHORITY_PATH},
    {"tcp_proxy", FIELD_TEXT, TUNNEL(tcp_proxy), AUTHORITY_PATH},
    {"connections", FIELD_INT, TUNNEL(connections), AUTHORITY_ANY},
    {"key", FIELD_APART, 0, AUTHORITY_ANY},
    {"key_file", FIELD_TEXT, TUNNEL(key_file), AUTHORITY_ADMIN},
    {"insecure", FIELD_BOOL, TUNNEL(insecure), AUTHORITY_ANY},
    {"port_preservation", FIELD_BOOL, TUNNEL(port_preservation), AUTHORITY_ANY},
    {"egress", FIELD_TEXT, TUNNEL(egress), AUTHORITY_PATH},
    {"allow_targets", FIELD_APART, 0, AUTHORITY_ANY},
    {"deny_targets", FIELD_APART, 0, AUTHORITY_ANY},
    {"filtering", FIELD_WORD, TUNNEL(filtering), AUTHORITY_ANY},
    {"port_range", FIELD_TEXT, TUNNEL(port_range), AUTHORITY_ANY},
    {"heartbeat_interval", FIELD_INT64, TUNNEL(heartbeat_interval_s), AUTHORITY_ANY},
    {"dead_interval", FIELD_INT64, TUNNEL(dead_interval_s), AUTHORITY_ANY},
    {"resume_timeout", FIELD_INT64, TUNNEL(resume_timeout_s), AUTHORITY_ANY},
    {"flow_timeout", FIELD_INT64, TUNNEL(flow_timeout_s), AUTHORITY_ANY},
    {"max_sessions", FIELD_INT64, TUNNEL(max_sessions), AUTHORITY_ANY},
    {"max_flows", FIELD_INT64, TUNNEL(max_flows), AUTHORITY_ANY},
    {"max_flows_per_session", FIELD_INT64, TUNNEL(max_flows_per_session), AUTHORITY_ANY},
    {"max_queue_delay_ms", FIELD_INT64, TUNNEL(max_queue_delay_ms), AUTHORITY_ANY},
    {"max_queue_bytes", FIELD_INT64, TUNNEL(max_queue_bytes), AUTHORITY_ANY},
    {"redundancy", FIELD_INT64, TUNNEL(redundancy), AUTHORITY_ANY},
    {"redundancy_max_size", FIELD_INT64, TUNNEL(redundancy_max_size), AUTHORITY_ANY},
    {"min_version", FIELD_INT64, TUNNEL(min_version), AUTHORITY_ANY},
    {"mark", FIELD_INT64, TUNNEL(mark), AUTHORITY_ADMIN},
    {"bind_device", FIELD_TEXT, TUNNEL(bind_device), AUTHORITY_ADMIN},
    {"ephemeral", FIELD_APART, 0, AUTHORITY_ANY},
    {"enabled", FIELD_BOOL, TUNNEL(enabled), AUTHORITY_ANY},
    {"merge", FIELD_APART, 0, AUTHORITY_ANY},
    {"wait", FIELD_APART, 0, AUTHORITY_ANY},
};

static const struct object_field tun2socks_fields[] = {
    {"name", FIELD_TEXT, TUN2SOCKS(name), AUTHORITY_ANY},
    {"device", FIELD_TEXT, TUN2SOCKS(device), AUTHORITY_DEVICE},
    {"address", FIELD_TEXT, TUN2SOCKS(address), AUTHORITY_ANY}, /* of a tun: device only */
    {"address6", FIELD_TEXT, TUN2SOCKS(address6), AUTHORITY_ANY},
    {"mtu", FIELD_INT64, TUN2SOCKS(mtu), AUTHORITY_ANY},
    {"tcp", FIELD_TEXT, TUN2SOCKS(tcp), AUTHORITY_PATH},
    {"udp", FIELD_TEXT, TUN2SOCKS(udp), AUTHORITY_PATH},
    {"icmp_echo", FIELD_WORD, TUN2SOCKS(icmp_echo), AUTHORITY_ANY},
    {"block_quic", FIELD_BOOL, TUN2SOCKS(block_quic), AUTHORITY_ANY},
    {"max_tcp_flows", FIELD_INT64, TUN2SOCKS(max_tcp_flows), AUTHORITY_ANY},
    {"max_udp_flows", FIELD_INT64, TUN2SOCKS(max_udp_flows), AUTHORITY_ANY},
    {"udp_flow_timeout", FIELD_INT64, TUN2SOCKS(udp_flow_timeout_s), AUTHORITY_ANY},
    {"dns", FIELD_TEXT, TUN2SOCKS(dns), AUTHORITY_ANY},
    {"dns_cache", FIELD_INT64, TUN2SOCKS(dns_cache), AUTHORITY_ANY},
    {"mark", FIELD_INT64, TUN2SOCKS(mark), AUTHORITY_ADMIN},
    {"bind_device", FIELD_TEXT, TUN2SOCKS(bind_device), AUTHORITY_ADMIN},
    {"ephemeral", FIELD_APART, 0, AUTHORITY_ANY},
    {"enabled", FIELD_BOOL, TUN2SOCKS(enabled), AUTHORITY_ANY},
    {"keep_disabled", FIELD_APART, 0, AUTHORITY_ANY},
    {"merge", FIELD_APART, 0, AUTHORITY_ANY},
    {"wait", FIELD_APART, 0, AUTHORITY_ANY},
};

const struct object_field *object_field_row(const ProtobufCMessageDescriptor *object,
                                            const char *name)
{
    bool tunnel = object == &udptun__control__tunnel__descriptor;
    const struct object_field *rows = tunnel ? tunnel_fields : tun2socks_fields;
    size_t count = tunnel ? COUNT(tunnel_fields) : COUNT(tun2socks_fields);
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].name, name) == 0)
            return &rows[i];
    }
    return NULL;
}

/* The member of `message` at `field`, as bytes. */
static const void *value_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (const char *)message + field->offset;
}

const char *object_text(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (!codec_has(message, field))
        return NULL;
    if (field->type == PROTOBUF_C_TYPE_STRING)
        return *(const char *const *)value_at(message, field);
    if (field->type != PROTOBUF_C_TYPE_MESSAGE ||
        field->descriptor != &udptun__control__secret__descriptor)
        return NULL;
    const secret_msg *secret = *(const secret_msg *const *)value_at(message, field);
    return secret->value_case == UDPTUN__CONTROL__SECRET__VALUE_TEXT ? secret->text : NULL;
}

/* ---- what a field says ----------------------------------------------------------------------- */

static int64_t integer_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *value = value_at(message, field);
    if (field->type == PROTOBUF_C_TYPE_UINT32)
        return *(const uint32_t *)value;
    uint64_t wide = *(const uint64_t *)value;
    return wide > INT64_MAX ? INT64_MAX : (int64_t)wide; /* the engine's range is far below */
}

static const char *filtering_word(Udptun__Control__Tunnel__Filtering filtering)
{
    switch (filtering) {
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

static const char *icmp_echo_word(Udptun__Control__Tun2socks__IcmpEcho echo)
{
    switch (echo) {
    case UDPTUN__CONTROL__TUN2SOCKS__ICMP_ECHO__REPLY:
        return "reply";
    case UDPTUN__CONTROL__TUN2SOCKS__ICMP_ECHO__DROP:
        return "drop";
    case _UDPTUN__CONTROL__TUN2SOCKS__ICMP_ECHO_IS_INT_SIZE:
        break;
    }
    return "";
}

/* The words that the engine knows are those of JSON: lower case, hyphens. */
static const char *word_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const void *value = value_at(message, field);
    if (field->descriptor == &udptun__control__tunnel__filtering__descriptor)
        return filtering_word(*(const Udptun__Control__Tunnel__Filtering *)value);
    return icmp_echo_word(*(const Udptun__Control__Tun2socks__IcmpEcho *)value);
}

static void carry(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                  const struct object_field *row, void *to)
{
    switch (row->kind) {
    case FIELD_TEXT:
        *(const char **)to = object_text(message, field);
        break;
    case FIELD_INT: {
        int64_t value = integer_of(message, field);
        *(int *)to = value > INT_MAX ? INT_MAX : (int)value;
        break;
    }
    case FIELD_INT64:
        *(int64_t *)to = integer_of(message, field);
        break;
    case FIELD_BOOL:
        *(bool *)to = *(const protobuf_c_boolean *)value_at(message, field) != 0;
        break;
    case FIELD_WORD:
        *(const char **)to = word_of(message, field);
        break;
    case FIELD_APART:
        break;
    }
}

void object_fields_carry(const ProtobufCMessage *message, void *config)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const struct object_field *row = object_field_row(message->descriptor, field->name);
        if (row && codec_has(message, field))
            carry(message, field, row, (char *)config + row->offset);
    }
}

/* ---- whose rights a field uses --------------------------------------------------------------- */

/* The engine's URLs take schemes in either case. */
static bool is_path(const char *text)
{
    return text && strncasecmp(text, "unix:", 5) == 0;
}

static bool is_operators_device(const char *text)
{
    return text && (strncmp(text, "fd:", 3) == 0 || strcmp(text, "pipe") == 0);
}

static bool needs_admin(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const struct object_field *row = object_field_row(message->descriptor, field->name);
    if (!row)
        return true;
    switch (row->authority) {
    case AUTHORITY_ANY:
        return false;
    case AUTHORITY_ADMIN:
        return true;
    case AUTHORITY_PATH:
        return is_path(object_text(message, field));
    case AUTHORITY_DEVICE:
        return !is_operators_device(object_text(message, field));
    }
    return true;
}

const ProtobufCFieldDescriptor *object_admin_field(const ProtobufCMessage *message)
{
    for (unsigned i = 0; message && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (codec_has(message, field) && needs_admin(message, field))
            return field;
    }
    return NULL;
}

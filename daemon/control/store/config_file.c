/* SPDX-License-Identifier: Apache-2.0 */
/* config_file.c - see config_file.h. */
#include "daemon/control/store/config_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/store/object_check.h"
#include "daemon/control/store/object_fields.h"
#include "daemon/control/store/secrets.h"
#include "daemon/control/store/state.h"
#include "daemon/control/store/tunnel_message.h"
#include "daemon/platform/files.h"
#include "proto/control/envelope.h"

#define CONFIG_MAX_SIZE ((size_t)16 << 20)

/* Whether an object before `message` has its name. */
static bool is_twice(const config_msg *config, const ProtobufCMessage *message)
{
    for (size_t i = 0; i < config->n_udp_tunnels; i++) {
        const ProtobufCMessage *other = &config->udp_tunnels[i]->base;
        if (other == message)
            return false;
        if (strcmp(object_name(other), object_name(message)) == 0)
            return true;
    }
    for (size_t i = 0; i < config->n_tun2socks; i++) {
        const ProtobufCMessage *other = &config->tun2socks[i]->base;
        if (other == message)
            return false;
        if (strcmp(object_name(other), object_name(message)) == 0)
            return true;
    }
    return false;
}

static int check_object(const config_msg *config, ProtobufCMessage *message, const char *kind,
                        size_t i, struct udptun_error *err)
{
    char path[OBJECT_PATH_SIZE], field[64];
    snprintf(path, sizeof path, "%s[%zu]", kind, i);
    int rc = tunnel_message_check_kept(message, path, err);
    if (rc == 0)
        rc = object_fill_redacted(message, NULL, path, err);
    if (rc == 0)
        rc = object_check(message, NULL, path, err);
    if (rc == 0 && is_twice(config, message)) {
        snprintf(field, sizeof field, "%s.name", path);
        rc = error_set(err, UDPTUN_E_INVALID, field, "%s is there twice", object_name(message));
    }
    if (rc < 0 && err && !err->field[0]) /* said of the whole object */
        snprintf(err->field, sizeof err->field, "%s", path);
    return rc;
}

/* The tunnel that an instance sends datagrams through has to be there, before the instance is: what
 * the state file has is started after what the config file has. */
static int check_reference(const config_msg *config, size_t i, struct udptun_error *err)
{
    static const char prefix[] = "tunnel:";
    const tun2socks_msg *instance = config->tun2socks[i];
    const ProtobufCFieldDescriptor *udp = codec_field(instance->base.descriptor, "udp");
    const char *text = object_text(&instance->base, udp), *what = "there is no such tunnel";
    char path[OBJECT_PATH_SIZE];
    if (!text || strncmp(text, prefix, sizeof prefix - 1) != 0)
        return 0;
    for (size_t k = 0; k < config->n_udp_tunnels; k++) {
        const tunnel_msg *tunnel = config->udp_tunnels[k];
        if (strcmp(tunnel->name, text + sizeof prefix - 1) != 0)
            continue;
        if (tunnel->role == UDPTUN__CONTROL__TUNNEL__ROLE__LOCAL)
            return 0;
        what = "the tunnel is not a udp-local";
    }
    snprintf(path, sizeof path, "tun2socks[%zu]", i);
    return tunnel_message_invalid(err, path, "udp", what);
}

int config_check(const config_msg *config, struct udptun_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < config->n_udp_tunnels; i++)
        rc = check_object(config, &config->udp_tunnels[i]->base, "udpTunnels", i, err);
    for (size_t i = 0; rc == 0 && i < config->n_tun2socks; i++)
        rc = check_object(config, &config->tun2socks[i]->base, "tun2socks", i, err);
    for (size_t i = 0; rc == 0 && i < config->n_tun2socks; i++)
        rc = check_reference(config, i, err);
    return rc;
}

/* `text` without "NAME: " at its beginning, if it begins so. */
static const char *behind(const char *text, const char *name)
{
    size_t size = strlen(name);
    bool is = size > 0 && strncmp(text, name, size) == 0 && strncmp(text + size, ": ", 2) == 0;
    return is ? text + size + 2 : text;
}

int config_file_error(const char *path, struct udptun_error *err)
{
    struct udptun_error why = *err;
    const char *last = strrchr(why.field, '.'); /* what the engine calls the field */
    const char *what = behind(behind(why.message, why.field), last ? last + 1 : why.field);
    error_set(err, why.code, why.field, "%.100s: %s%s%s", path, why.field, why.field[0] ? ": " : "",
              what);
    err->sys_errno = why.sys_errno;
    return why.code;
}

int config_file_load(const char *path, config_msg **out, struct udptun_error *err)
{
    char *text = NULL;
    size_t size = 0;
    struct udptun_error own;
    *out = NULL;
    int rc = read_file(path, CONFIG_MAX_SIZE, &text, &size, err);
    if (rc < 0)
        return rc;
    err = err ? err : &own;
    json_t *json = envelope_parse_json(text, size, err);
    free(text);
    if (!json)
        return config_file_error(path, err);
    ProtobufCMessage *message = NULL;
    rc = codec_from_json(&udptun__control__config__descriptor, json, NULL, &message, err);
    json_decref(json);
    if (rc == 0)
        rc = config_check((const config_msg *)message, err);
    if (rc < 0) {
        if (message)
            protobuf_c_message_free_unpacked(message, NULL);
        return config_file_error(path, err);
    }
    *out = (config_msg *)message;
    return 0;
}

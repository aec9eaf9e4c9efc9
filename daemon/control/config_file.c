/* SPDX-License-Identifier: Apache-2.0 */
/* config_file.c - see config_file.h. */
#include "daemon/control/config_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/control.h"
#include "daemon/control/files.h"
#include "daemon/control/secrets.h"
#include "daemon/control/tunnel_config.h"
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
    int rc = tunnel_config_check_kept(message, path, err);
    if (rc == 0)
        rc = object_fill_redacted(message, NULL, path, err);
    if (rc == 0)
        rc = control_check(message, NULL, path, err);
    if (rc == 0 && is_twice(config, message)) {
        snprintf(field, sizeof field, "%s.name", path);
        rc = error_set(err, UDPTUN_E_INVALID, field, "%s is there twice", object_name(message));
    }
    return rc;
}

int config_check(const config_msg *config, struct udptun_error *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < config->n_udp_tunnels; i++)
        rc = check_object(config, &config->udp_tunnels[i]->base, "udpTunnels", i, err);
    for (size_t i = 0; rc == 0 && i < config->n_tun2socks; i++)
        rc = check_object(config, &config->tun2socks[i]->base, "tun2socks", i, err);
    return rc;
}

/* "FILE: FIELD: what is wrong", the field said once. */
static int in_file(const char *path, int rc, struct udptun_error *err)
{
    struct udptun_error why = *err;
    bool said = !why.field[0] || strncmp(why.message, why.field, strlen(why.field)) == 0;
    error_set(err, rc, why.field, "%.100s: %s%s%s", path, said ? "" : why.field, said ? "" : ": ",
              why.message);
    err->sys_errno = why.sys_errno;
    return rc;
}

int config_file_load(const char *path, config_msg **out, struct udptun_error *err)
{
    char *text = NULL;
    size_t size = 0;
    struct udptun_error own;
    *out = NULL;
    int rc = read_file(AT_FDCWD, path, CONFIG_MAX_SIZE, &text, &size, err);
    if (rc < 0)
        return rc;
    err = err ? err : &own;
    json_t *json = envelope_parse_json(text, size, err);
    free(text);
    if (!json)
        return in_file(path, err->code, err);
    ProtobufCMessage *message = NULL;
    rc = codec_from_json(&udptun__control__config__descriptor, json, NULL, &message, err);
    json_decref(json);
    if (rc == 0)
        rc = config_check((const config_msg *)message, err);
    if (rc < 0) {
        if (message)
            protobuf_c_message_free_unpacked(message, NULL);
        return in_file(path, rc, err);
    }
    *out = (config_msg *)message;
    return 0;
}

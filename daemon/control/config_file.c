/* SPDX-License-Identifier: Apache-2.0 */
/* config_file.c - see config_file.h. */
#include "daemon/control/config_file.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/files.h"
#include "daemon/control/tunnel_config.h"
#include "proto/control/envelope.h"

#define CONFIG_MAX_SIZE ((size_t)16 << 20)

static int check_tunnel(const config_msg *config, size_t i, struct udptun_error *err)
{
    tunnel_msg *tunnel = config->udp_tunnels[i];
    char path[40], field[64];
    snprintf(path, sizeof path, "udpTunnels[%zu]", i);
    struct tunnel_config engine_config;
    int rc = tunnel_config_check_kept(tunnel, path, err);
    if (rc == 0)
        rc = object_fill_redacted(&tunnel->base, NULL, path, err);
    if (rc == 0)
        rc = tunnel_config_from(tunnel, path, &engine_config, err);
    for (size_t k = 0; rc == 0 && k < i; k++) {
        if (strcmp(config->udp_tunnels[k]->name, tunnel->name) == 0) {
            snprintf(field, sizeof field, "%s.name", path);
            rc = error_set(err, UDPTUN_E_INVALID, field, "%s is there twice", tunnel->name);
        }
    }
    return rc;
}

int config_check(const config_msg *config, struct udptun_error *err)
{
    for (size_t i = 0; i < config->n_udp_tunnels; i++) {
        int rc = check_tunnel(config, i, err);
        if (rc < 0)
            return rc;
    }
    if (config->n_tun2socks > 0)
        return error_set(err, UDPTUN_E_UNSUPPORTED, "tun2socks[0]",
                         "tun2socks instances are not supported by this version");
    return 0;
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

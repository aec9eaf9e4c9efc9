/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel_config.h - a tunnel object of control.proto as the engine's config struct. */
#ifndef CONTROL_TUNNEL_CONFIG_H
#define CONTROL_TUNNEL_CONFIG_H

#include <udptun/engine.h>

#include "proto/control/messages.h"

struct tunnel_config {
    struct udptun_tunnel_config engine; /* points into the message and into `key` */
    uint8_t key[32];
};

/*
 * Convert and check `message`, which has to outlive `out`. Errors are the engine's own and those
 * of what only the message has; `path` ("parameters", "udpTunnels[2]") goes before their field.
 */
int tunnel_config_from(const tunnel_msg *message, const char *path, struct tunnel_config *out,
                       struct udptun_error *err);

/* Put `path` before err->field. */
void tunnel_config_error_path(struct udptun_error *err, const char *path);

/* An object that is to be kept has no field of the command ("merge", "wait"). */
int tunnel_config_check_kept(const tunnel_msg *message, const char *path, struct udptun_error *err);

/* Nothing given needs admin: 0 or UDPTUN_E_PERMISSION with the field. Any object. */
int object_check_admin_fields(const ProtobufCMessage *message, const char *path,
                              struct udptun_error *err);

/* Put what `present` (NULL: nothing) has in the place of every redacted secret of `message`:
 * 0, UDPTUN_E_INVALID where there is nothing to put, UDPTUN_E_NOMEM. Any object. */
int object_fill_redacted(ProtobufCMessage *message, const ProtobufCMessage *present,
                         const char *path, struct udptun_error *err);

#endif

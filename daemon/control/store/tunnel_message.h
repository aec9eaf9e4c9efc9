/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel_message.h - a tunnel object of control.proto as the engine's config struct. */
#ifndef CONTROL_TUNNEL_MESSAGE_H
#define CONTROL_TUNNEL_MESSAGE_H

#include <udptun/engine.h>

#include "daemon/control/store/object_inputs.h"
#include "proto/control/messages.h"

struct tunnel_message {
    struct udptun_tunnel_config engine; /* points into the message and into `key` */
    uint8_t key[32];
};

/*
 * Convert and check `message`, which has to outlive `out`. `means` (NULL: none) has what its
 * keyFile holds; without it the file is read here, which blocks. Any thread. Errors are the
 * engine's own and those of what only the message has; `path` ("parameters", "udpTunnels[2]") goes
 * before their field.
 */
int tunnel_message_read(const tunnel_msg *message, const struct object_inputs *inputs,
                        const char *path, struct tunnel_message *out, struct udptun_error *err);

/* Put `path` before err->field. */
void tunnel_message_error_path(struct udptun_error *err, const char *path);

/* An object that is to be kept has no field of the command ("merge", "wait"). */
int tunnel_message_check_kept(const ProtobufCMessage *message, const char *path,
                              struct udptun_error *err);

/* UDPTUN_E_INVALID at `path`.`name`; `name` in either spelling. */
int tunnel_message_invalid(struct udptun_error *err, const char *path, const char *name,
                           const char *what);

#endif

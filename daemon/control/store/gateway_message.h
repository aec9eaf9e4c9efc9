/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_message.h - a tun2socks object of control.proto as the engine's config struct. */
#ifndef CONTROL_GATEWAY_MESSAGE_H
#define CONTROL_GATEWAY_MESSAGE_H

#include <udptun/engine.h>

#include "daemon/control/store/object_inputs.h"
#include "proto/control/messages.h"

/* As tunnel_message_read(): `out` points into the message; `means` (NULL: none) has the descriptor.
 */
int gateway_message_read(const tun2socks_msg *message, const struct object_inputs *inputs,
                         const char *path, struct udptun_tun2socks_config *out,
                         struct udptun_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* tun2socks_config.h - a tun2socks object of control.proto as the engine's config struct. */
#ifndef CONTROL_TUN2SOCKS_CONFIG_H
#define CONTROL_TUN2SOCKS_CONFIG_H

#include <udptun/engine.h>

#include "daemon/control/means.h"
#include "proto/control/messages.h"

/* As tunnel_config_from(): `out` points into the message; `means` (NULL: none) has the descriptor.
 */
int tun2socks_config_from(const tun2socks_msg *message, const struct means *means, const char *path,
                          struct udptun_tun2socks_config *out, struct udptun_error *err);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* object_check.c - see object_check.h. */
#include "daemon/control/store/object_check.h"

#include <sodium.h>
#include <string.h>

#include "daemon/control/store/gateway_message.h"
#include "daemon/control/store/objects.h"
#include "daemon/control/store/tunnel_message.h"

int object_check(ProtobufCMessage *message, const struct object_inputs *inputs, const char *path,
                 struct udptun_error *err)
{
    struct tunnel_message config;
    struct udptun_tun2socks_config tun2socks;
    if (!object_tunnel(message))
        return gateway_message_read(object_tun2socks(message), inputs, path, &tun2socks, err);
    int rc = tunnel_message_read(object_tunnel(message), inputs, path, &config, err);
    sodium_memzero(config.key, sizeof config.key);
    return rc;
}

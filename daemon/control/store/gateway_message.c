/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_message.c - see gateway_message.h. */
#include "daemon/control/store/gateway_message.h"

#include <stdio.h>
#include <string.h>

#include "daemon/control/store/object_fields.h"
#include "daemon/control/store/tunnel_message.h"
#include "proto/error.h"

static int gateway_message_invalid(struct udptun_error *err, int code, const char *path,
                                   const char *name, const char *what)
{
    char field[sizeof err->field];
    snprintf(field, sizeof field, "%.36s%s%.25s", path, *path ? "." : "", name);
    return error_set(err, code, field, "%s: %s", field, what);
}

int gateway_message_read(const tun2socks_msg *message, const struct object_inputs *inputs,
                         const char *path, struct udptun_tun2socks_config *out,
                         struct udptun_error *err)
{
    if (!message->name)
        return gateway_message_invalid(err, UDPTUN_E_INVALID, path, "name", "is missing");
    udptun_tun2socks_config_init(out);
    object_fields_carry(&message->base, out);
    if (inputs && inputs->has_fd)
        out->fd = inputs->fd;
    int rc = udptun_tun2socks_config_check(out, err);
    if (rc < 0)
        tunnel_message_error_path(err, path);
    return rc;
}

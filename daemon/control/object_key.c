/* SPDX-License-Identifier: Apache-2.0 */
/* object_key.c - see object_key.h. */
#include "daemon/control/object_key.h"

#include <udptun/engine.h>

#include "daemon/control/tunnel_config.h"

bool object_has_key_file(const ProtobufCMessage *message)
{
    if (!message || message->descriptor != &udptun__control__tunnel__descriptor)
        return false;
    const tunnel_msg *tunnel = (const tunnel_msg *)message;
    return tunnel->key_file && !tunnel->key;
}

int object_read_key(const ProtobufCMessage *message, const char *path, struct file_key *key,
                    struct udptun_error *err)
{
    *key = (struct file_key){0};
    if (!object_has_key_file(message))
        return 0;
    int rc =
        udptun_read_key(((const tunnel_msg *)message)->key_file, key->bytes, &key->exposed, err);
    key->given = rc == 0;
    if (rc < 0)
        tunnel_config_error_path(err, path);
    return rc;
}

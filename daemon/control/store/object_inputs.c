/* SPDX-License-Identifier: Apache-2.0 */
/* object_inputs.c - see object_inputs.h. */
#include "daemon/control/store/object_inputs.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/store/identities.h"
#include "daemon/control/store/tunnel_message.h"
#include "daemon/platform/socket.h"

#define FD_DEVICE "fd:"

void object_inputs_fini(struct object_inputs *m)
{
    if (m->has_fd)
        socket_close(m->fd);
    sodium_memzero(m, sizeof *m);
}

bool object_has_key_file(const ProtobufCMessage *message)
{
    if (!message || message->descriptor != &udptun__control__tunnel__descriptor)
        return false;
    const tunnel_msg *tunnel = (const tunnel_msg *)message;
    return tunnel->key_file && !tunnel->key;
}

int object_read_key(const ProtobufCMessage *message, const char *path, struct object_inputs *m,
                    struct udptun_error *err)
{
    if (!object_has_key_file(message))
        return 0;
    int rc = udptun_read_key(((const tunnel_msg *)message)->key_file, m->key, &m->exposed, err);
    m->has_key = rc == 0;
    if (rc < 0)
        tunnel_message_error_path(err, path);
    return rc;
}

void object_keep_key(const ProtobufCMessage *message, const ProtobufCMessage *present,
                     const struct object_inputs *present_inputs, struct object_inputs *m)
{
    if (!object_has_key_file(message) || !object_has_key_file(present) ||
        !present_inputs->has_key ||
        strcmp(((const tunnel_msg *)message)->key_file, ((const tunnel_msg *)present)->key_file) !=
            0)
        return;
    memcpy(m->key, present_inputs->key, sizeof m->key);
    m->has_key = true;
}

void object_inputs_read_identity(struct object_inputs *m, struct store *store, const char *name)
{
    m->identity_size = identity_load(store, name, m->identity);
}

static const char *device_of(const ProtobufCMessage *message)
{
    if (!message || message->descriptor != &udptun__control__tun2socks__descriptor)
        return "";
    const char *device = ((const tun2socks_msg *)message)->device;
    return device ? device : "";
}

bool object_has_fd(const ProtobufCMessage *message)
{
    return strncmp(device_of(message), FD_DEVICE, sizeof FD_DEVICE - 1) == 0;
}

bool object_waits_for_fd(const ProtobufCMessage *message)
{
    if (!object_has_fd(message))
        return false;
    const tun2socks_msg *instance = (const tun2socks_msg *)message;
    return instance->has_keep_disabled && instance->keep_disabled;
}

void object_lose_fd(ProtobufCMessage *message)
{
    char *none = object_waits_for_fd(message) ? strdup(FD_DEVICE "none") : NULL;
    if (!none)
        return;
    tun2socks_msg *instance = (tun2socks_msg *)message;
    free(instance->device);
    instance->device = none;
    instance->has_enabled = true;
    instance->enabled = false;
}

void object_take_fd(const ProtobufCMessage *message, udptun_socket *fds, size_t count,
                    const ProtobufCMessage *present, const struct object_inputs *present_inputs,
                    struct object_inputs *m)
{
    const char *number = device_of(message) + sizeof FD_DEVICE - 1;
    char *end;
    if (!object_has_fd(message) || *number < '0' || *number > '9')
        return;
    unsigned long n = strtoul(number, &end, 10);
    if (*end)
        return;
    if (n < count && fds[n] != NO_SOCKET) {
        m->fd = fds[n];
        m->has_fd = true;
        fds[n] = NO_SOCKET;
    } else if (strcmp(device_of(present), device_of(message)) == 0 && present_inputs->has_fd) {
        m->has_fd = socket_copy(present_inputs->fd, &m->fd) == 0;
    }
}

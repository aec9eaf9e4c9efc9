/* SPDX-License-Identifier: Apache-2.0 */
/* device_callback.c - packets by function calls, for an app without a descriptor, and for tests. */
#include <stdlib.h>

#include "daemon/platform/device.h"
#include "proto/error.h"

struct callback_device {
    struct device base;
    void (*write)(void *arg, const struct io_span *parts, int count);
    void *arg;
};

static ssize_t callback_read(struct device *d, void *data, struct packet_offload *offload)
{
    (void)d;
    (void)data;
    (void)offload;
    return DEVICE_AGAIN;
}

static ssize_t callback_write(struct device *d, const struct io_span *parts, int count,
                              const struct packet_offload *offload)
{
    struct callback_device *c = (struct callback_device *)d;
    (void)offload;
    size_t size = 0;
    for (int i = 0; i < count; i++)
        size += parts[i].size;
    c->write(c->arg, parts, count);
    return (ssize_t)size;
}

static void callback_close(struct device *d)
{
    free(d);
}

static const struct device_ops callback_ops = {
    .read = callback_read, .write = callback_write, .close = callback_close};

struct device *device_open_callback(uint32_t mtu,
                                    void (*write)(void *arg, const struct io_span *parts,
                                                  int count),
                                    void *arg, struct udptun_error *err)
{
    struct callback_device *c = calloc(1, sizeof *c);
    if (!c) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        return NULL;
    }
    c->base = (struct device){.ops = &callback_ops, .mtu = mtu ? mtu : 1500, .name = "callback"};
    c->write = write;
    c->arg = arg;
    return &c->base;
}

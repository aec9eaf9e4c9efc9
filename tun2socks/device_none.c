/* SPDX-License-Identifier: Apache-2.0 */
/* device_none.c - a system where packets come and go by function calls alone: device_callback.c. */
#include "proto/error.h"
#include "tun2socks/device.h"

static struct device *refuse(const char *kind, struct udptun_error *err)
{
    error_set(err, UDPTUN_E_UNSUPPORTED, "device", "device: %s: not on this platform", kind);
    return NULL;
}

struct device *device_open_tun(const struct tun_device_config *config, char notice[160],
                               struct udptun_error *err)
{
    (void)config;
    if (notice)
        notice[0] = '\0';
    return refuse("tun", err);
}

struct device *device_open_fd(int fd, uint32_t mtu, struct udptun_error *err)
{
    (void)fd;
    (void)mtu;
    return refuse("fd", err);
}

struct device *device_open_pipe(int *peer_fd, struct udptun_error *err)
{
    (void)peer_fd;
    return refuse("pipe", err);
}

struct device *device_open_unix(const char *path, uint32_t mtu, struct udptun_error *err)
{
    (void)path;
    (void)mtu;
    return refuse("unix", err);
}

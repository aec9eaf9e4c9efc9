/* SPDX-License-Identifier: Apache-2.0 */
/* device_tun.c - a system without a TUN device of ours: descriptors and callbacks remain. */
#include <string.h>

#include "daemon/platform/posix/device_fd.h"
#include "proto/error.h"

bool tun_describe(int fd, struct device *d, struct tun_traits *traits)
{
    (void)fd;
    (void)d;
    (void)traits;
    return false;
}

void tun_write_prefix(uint8_t prefix[DEVICE_PREFIX_SIZE], bool is_ip6)
{
    (void)is_ip6; /* no device has it */
    memset(prefix, 0, DEVICE_PREFIX_SIZE);
}

ssize_t tun_vnet_read(struct device *d, void *data, struct packet_offload *offload)
{
    return device_fd_read(d, data, offload);
}

ssize_t tun_vnet_write(struct device *d, const struct io_span *parts, int count,
                       const struct packet_offload *offload)
{
    return device_fd_write(d, parts, count, offload);
}

struct device *device_open_tun(const struct tun_device_config *config, char notice[160],
                               struct udptun_error *err)
{
    if (notice)
        notice[0] = '\0';
    error_set(err, UDPTUN_E_UNSUPPORTED, "device", "device: tun:%s: not on this platform",
              config->name);
    return NULL;
}

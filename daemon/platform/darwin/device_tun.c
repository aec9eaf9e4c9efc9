/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_tun.c - the descriptor of a utun interface, which a packet tunnel extension or a
 * privileged program opened (macOS, iOS): a system socket, with the address family before each
 * packet.
 */
#include <arpa/inet.h>
#include <net/if.h>
#include <net/if_utun.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/sys_domain.h>
#include <unistd.h>

#include "daemon/platform/posix/device_fd.h"
#include "proto/error.h"

static uint32_t interface_mtu(const char *name)
{
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, sizeof request.ifr_name - 1);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    bool known = fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0;
    if (fd >= 0)
        close(fd);
    return known ? (uint32_t)request.ifr_mtu : 1500;
}

bool tun_describe(int fd, struct device *d, struct tun_traits *traits)
{
    char name[IFNAMSIZ] = "";
    socklen_t size = sizeof name;
    if (getsockopt(fd, SYSPROTO_CONTROL, UTUN_OPT_IFNAME, name, &size) < 0)
        return false;
    traits->has_prefix = true;
    d->mtu = interface_mtu(name);
    strncpy(d->name, name, sizeof d->name - 1);
    return true;
}

void tun_write_prefix(uint8_t prefix[DEVICE_PREFIX_SIZE], bool is_ip6)
{
    uint32_t family = htonl(is_ip6 ? AF_INET6 : AF_INET);
    memcpy(prefix, &family, DEVICE_PREFIX_SIZE);
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

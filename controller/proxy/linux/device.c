/* SPDX-License-Identifier: Apache-2.0 */
/* device.c - see device.h: its life. device_link.c has what is done to a link by netlink. */
#include "controller/proxy/linux/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "controller/proxy/linux/device_link.h"

enum {
    MTU_USUAL = 1500, /* a tun2socks that attaches by name expects nothing else */
    MTU_PLAIN = 9000,
    MTU_WITH_OFFLOAD = 65535,
};

bool device_address_parse(const char *text, struct device_address *address)
{
    char copy[ENDPOINT_TEXT_SIZE];
    *address = (struct device_address){0};
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    char *slash = strchr(copy, '/'), *end = NULL;
    if (slash)
        *slash = '\0';
    if (!endpoint_parse_ip(copy, &address->ip) || address->ip.scope)
        return false;
    unsigned long most = address->ip.family == UDPTUN_ENDPOINT_IP4 ? 32 : 128, size = most;
    if (slash) {
        size = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || size > most)
            return false;
    }
    address->prefix_size = (uint8_t)size;
    return true;
}

bool device_address_covers(const struct device_address *address, const struct udptun_endpoint *ip)
{
    if (address->ip.family != ip->family)
        return false;
    unsigned whole = address->prefix_size / 8, rest = address->prefix_size % 8;
    if (memcmp(address->ip.ip, ip->ip, whole) != 0)
        return false;
    return rest == 0 || (address->ip.ip[whole] ^ ip->ip[whole]) >> (8 - rest) == 0;
}

/* TUNSETIFF on a descriptor of its own, which is returned, or -errno. */
static int attach(const char *name, int flags)
{
    struct ifreq request = {.ifr_flags = (short)flags};
    memcpy(request.ifr_name, name, sizeof request.ifr_name);
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (ioctl(fd, TUNSETIFF, &request) < 0) {
        int cause = errno;
        close(fd);
        return -cause;
    }
    return fd;
}

static int attach_error(const struct proxy_device *d, int rc, const char *taken,
                        struct udptun_error *err)
{
    if (rc == -EBUSY || rc == -EINVAL || rc == -EEXIST)
        return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: %s", d->name, taken);
    int code = rc == -EPERM || rc == -EACCES ? UDPTUN_E_PERMISSION : UDPTUN_E_SYSTEM;
    return error_set_errno(err, code, -rc, NULL, "cannot create TUN device %s", d->name);
}

bool proxy_device_exists(const struct proxy_device *d)
{
    return d->index != 0 && if_nametoindex(d->name) == d->index;
}

int proxy_device_make(struct proxy_device *d, struct udptun_error *err)
{
    if (proxy_device_exists(d))
        return UDPTUN_OK;
    proxy_device_detach(d);
    d->index = 0;
    int fd = attach(d->name, IFF_TUN | IFF_NO_PI | IFF_TUN_EXCL);
    if (fd < 0)
        return attach_error(d, fd, "there is a device of this name that is not ours", err);
    d->index = if_nametoindex(d->name);
    int rc = link_prepare(d->nl, d->index, MTU_USUAL, err);
    if (rc == 0 && ioctl(fd, TUNSETPERSIST, 1) < 0)
        rc = error_set_errno(err, UDPTUN_E_SYSTEM, errno, NULL, "%s", d->name);
    close(fd); /* and with it the device, if something failed */
    if (rc < 0)
        d->index = 0;
    return rc;
}

int proxy_device_clear(struct proxy_device *d, bool adopt, struct udptun_error *err)
{
    uint32_t index = adopt ? if_nametoindex(d->name) : 0;
    bool found = false;
    int rc = link_delete_ours(d->nl, index, &found, err);
    if (rc == 0 && found)
        d->index = index;
    return rc;
}

bool proxy_device_is_read(const struct proxy_device *d)
{
    return link_has_carrier(d->nl, d->index);
}

void proxy_device_destroy(struct proxy_device *d)
{
    proxy_device_detach(d);
    if (proxy_device_exists(d))
        link_delete(d->nl, d->index);
    d->index = 0;
}

int proxy_device_up(struct proxy_device *d, struct udptun_error *err)
{
    int rc = link_add_address(d->nl, d->index, &d->address, err);
    if (rc == 0)
        rc = link_set_up(d->nl, d->index, true, err);
    /* An IPv6 address goes on what is up; where IPv6 is off for new devices the device has none,
     * and its IPv6 route is the unreachable one. */
    struct udptun_error ignored;
    if (rc == 0 && d->address6.ip.family != UDPTUN_ENDPOINT_NONE)
        link_add_address(d->nl, d->index, &d->address6, &ignored);
    return rc;
}

int proxy_device_down(struct proxy_device *d, struct udptun_error *err)
{
    struct udptun_error ignored;
    if (!proxy_device_exists(d))
        return UDPTUN_OK;
    int rc = link_set_up(d->nl, d->index, false, err);
    int rc4 = link_delete_address(d->nl, d->index, &d->address, rc < 0 ? &ignored : err);
    if (d->address6.ip.family != UDPTUN_ENDPOINT_NONE)
        link_delete_address(d->nl, d->index, &d->address6, &ignored); /* went with `down` */
    return rc < 0 ? rc : rc4;
}

void proxy_device_drain(const struct proxy_device *d)
{
    char packet[MTU_WITH_OFFLOAD + 64];
    while (d->fd >= 0 && read(d->fd, packet, sizeof packet) > 0)
        ;
}

int proxy_device_attach(struct proxy_device *d, uint32_t mtu, struct udptun_error *err)
{
    if (d->fd < 0) {
        int fd = attach(d->name, IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
        if (fd < 0)
            return attach_error(d, fd, "another program is attached to it", err);
        d->fd = fd;
        if (!proxy_device_exists(
                d)) { /* deleted meanwhile, and just made again without our alias */
            close(fd);
            d->fd = -1;
            return error_set(err, UDPTUN_E_CONFLICT, NULL, "%s: was deleted", d->name);
        }
    }
    bool offload = ioctl(d->fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0;
    return link_set_mtu(d->nl, d->index, mtu ? mtu : offload ? MTU_WITH_OFFLOAD : MTU_PLAIN, err);
}

void proxy_device_detach(struct proxy_device *d)
{
    if (d->fd < 0)
        return;
    /* As it was made, for one that attaches by name. */
    struct udptun_error ignored;
    ioctl(d->fd, TUNSETOFFLOAD, 0);
    if (proxy_device_exists(d))
        link_set_mtu(d->nl, d->index, MTU_USUAL, &ignored);
    close(d->fd);
    d->fd = -1;
}

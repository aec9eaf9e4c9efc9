/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_tun.c - the kernel's TUN device, made and set up by ioctl.
 *
 * With IFF_VNET_HDR each packet is preceded by a virtio header: the kernel hands over 64 KiB of
 * TCP at once, without checksums, and takes the same. Without it packets are plain.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/ipv6.h>
#include <linux/virtio_net.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/platform/posix/device_fd.h"
#include "daemon/platform/posix/vector.h"
#include "proto/error.h"

enum {
    MTU_WITH_OFFLOAD = 65535,
    MTU_PLAIN = 9000,
    /* The kernel's own default of 500 packets dropped some with four bulk flows. */
    TX_QUEUE_PACKETS = 10000,
};

ssize_t tun_vnet_read(struct device *d, void *data, struct packet_offload *offload)
{
    struct virtio_net_hdr header;
    uint8_t prefix[DEVICE_PREFIX_SIZE];
    ssize_t before = (ssize_t)sizeof header + (d->has_prefix ? DEVICE_PREFIX_SIZE : 0);
    struct iovec parts[3] = {
        {prefix, sizeof prefix}, {&header, sizeof header}, {data, PACKET_MAX_SIZE}};
    *offload = (struct packet_offload){0};
    int fd = fd_device_of(d)->fd;
    ssize_t size = d->has_prefix ? readv(fd, parts, 3) : readv(fd, parts + 1, 2);
    if (size < 0)
        return device_fd_result(d);
    if (size <= before)
        return DEVICE_AGAIN;
    if (d->is_prefix_unknown && size > before + DEVICE_PREFIX_SIZE) {
        device_fd_learn_prefix(d, (const uint8_t *)&header);
        if (d->has_prefix) { /* what was read as the header is the prefix and the header's begin */
            memmove(&header, (uint8_t *)&header + DEVICE_PREFIX_SIZE,
                    sizeof header - DEVICE_PREFIX_SIZE);
            before += DEVICE_PREFIX_SIZE;
            memmove(data, (uint8_t *)data + DEVICE_PREFIX_SIZE, (size_t)(size - before));
        }
    }
    offload->checksum_is_good =
        header.flags & (VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID);
    return size - before;
}

ssize_t tun_vnet_write(struct device *d, const struct io_span *parts, int count,
                       const struct packet_offload *offload)
{
    struct virtio_net_hdr header = {0};
    uint8_t prefix[DEVICE_PREFIX_SIZE];
    struct io_span all[DEVICE_MAX_PARTS + 2] = {{prefix, sizeof prefix}, {&header, sizeof header}};
    memcpy(all + 2, parts, (size_t)count * sizeof *parts);
    bool is_ip6 = *(const uint8_t *)parts[0].data >> 4 == 6;
    tun_write_prefix(prefix, is_ip6);
    if (offload->checksum_wanted) {
        header.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
        header.csum_start = offload->checksum_start;
        header.csum_offset = offload->checksum_offset;
    }
    if (offload->segment_size) {
        header.gso_type = is_ip6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4;
        header.gso_size = offload->segment_size;
        header.hdr_len = (uint16_t)parts[0].size;
    }
    int fd = fd_device_of(d)->fd;
    ssize_t size = d->has_prefix ? writev(fd, vector_of(all), count + 2)
                                 : writev(fd, vector_of(all + 1), count + 1);
    return size > 0 ? size : device_fd_result(d);
}

static const struct device_ops plain_ops = {.read = device_fd_read,
                                            .write = device_fd_write,
                                            .close = device_fd_close,
                                            .watch = device_fd_watch};
static const struct device_ops vnet_ops = {.read = tun_vnet_read,
                                           .write = tun_vnet_write,
                                           .close = device_fd_close,
                                           .watch = device_fd_watch};

static uint32_t interface_mtu(const char *name)
{
    struct ifreq request = {0};
    memcpy(request.ifr_name, name, IFNAMSIZ);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool known = fd >= 0 && ioctl(fd, SIOCGIFMTU, &request) == 0 && request.ifr_mtu > 0;
    if (fd >= 0)
        close(fd);
    return known ? (uint32_t)request.ifr_mtu : 1500;
}

/* struct tun_pi: flags, and the packet's type as in Ethernet. */
void tun_write_prefix(uint8_t prefix[DEVICE_PREFIX_SIZE], bool is_ip6)
{
    const struct tun_pi pi = {.proto = htons(is_ip6 ? ETH_P_IPV6 : ETH_P_IP)};
    _Static_assert(sizeof pi == DEVICE_PREFIX_SIZE, "what the kernel writes");
    memcpy(prefix, &pi, sizeof pi);
}

bool tun_describe(int fd, struct device *d, struct tun_traits *traits)
{
    struct ifreq request = {0};
    if (ioctl(fd, TUNGETIFF, &request) < 0)
        return false;
    traits->is_tap = request.ifr_flags & IFF_TAP;
    /* With this very bit the kernel says as well that no filter is attached (IFF_NOFILTER). */
    traits->is_prefix_unknown = request.ifr_flags & IFF_NO_PI;
    traits->has_prefix = !traits->is_prefix_unknown;
    traits->has_vnet_header = request.ifr_flags & IFF_VNET_HDR;
    if (traits->has_vnet_header && !traits->is_tap) {
        int size = sizeof(struct virtio_net_hdr);
        d->checksum_offload = true;
        d->segmentation_offload =
            ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) == 0;
        (void)ioctl(fd, TUNSETVNETHDRSZ, &size);
    }
    d->mtu = interface_mtu(request.ifr_name);
    snprintf(d->name, sizeof d->name, "%.15s", request.ifr_name);
    return true;
}

/* "ADDRESS/PREFIX" into its parts; without a prefix a host's own. False: it is none. */
static bool device_tun_parse_cidr(const char *text, int family, void *address, unsigned *prefix)
{
    char copy[INET6_ADDRSTRLEN + 5];
    unsigned most = family == AF_INET ? 32 : 128;
    if (strlen(text) >= sizeof copy)
        return false;
    strcpy(copy, text);
    char *slash = strchr(copy, '/'), *end = NULL;
    *prefix = most;
    if (slash) {
        *slash = '\0';
        unsigned long value = strtoul(slash + 1, &end, 10);
        if (slash[1] < '0' || slash[1] > '9' || *end || value > most)
            return false;
        *prefix = (unsigned)value;
    }
    return inet_pton(family, copy, address) == 1;
}

static int set_address4(int fd, struct ifreq *request, const char *text, struct udptun_error *err)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    unsigned prefix;
    if (!device_tun_parse_cidr(text, AF_INET, &address.sin_addr, &prefix))
        return error_set(err, UDPTUN_E_INVALID, "address",
                         "address: '%s' is not an IPv4 address/prefix", text);
    memcpy(&request->ifr_addr, &address, sizeof address);
    if (ioctl(fd, SIOCSIFADDR, request) < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, "address", "address: %s", text);
    address.sin_addr.s_addr = prefix ? htonl(UINT32_MAX << (32 - prefix)) : 0;
    memcpy(&request->ifr_netmask, &address, sizeof address);
    if (ioctl(fd, SIOCSIFNETMASK, request) < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, "address", "address: %s", text);
    return UDPTUN_OK;
}

static int ip6_failed(int cause, const char *text, struct udptun_error *err)
{
    /* The caller could set an IPv4 address: it is not that it may not. */
    if (cause == EACCES || cause == EAFNOSUPPORT)
        return error_set(err, UDPTUN_E_SYSTEM, "address6",
                         "address6: %s: IPv6 is switched off on this host "
                         "(net.ipv6.conf.all.disable_ipv6, .default.disable_ipv6)",
                         text);
    return error_set_errno(err, UDPTUN_E_SYSTEM, cause, "address6", "address6: %s", text);
}

static int set_address6(const char *name, const char *text, struct udptun_error *err)
{
    struct in6_ifreq request = {.ifr6_ifindex = (int)if_nametoindex(name)};
    unsigned prefix;
    if (!device_tun_parse_cidr(text, AF_INET6, &request.ifr6_addr, &prefix))
        return error_set(err, UDPTUN_E_INVALID, "address6",
                         "address6: '%s' is not an IPv6 address/prefix", text);
    request.ifr6_prefixlen = prefix;
    int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0), code = UDPTUN_OK;
    if (fd < 0 || (ioctl(fd, SIOCSIFADDR, &request) < 0 && errno != EEXIST))
        code = ip6_failed(errno, text, err);
    if (fd >= 0)
        close(fd);
    return code;
}

/* MTU, queue, addresses, up. What was there before and is not given stays. */
static int set_up(const struct tun_device_config *config, struct device *d, bool created,
                  struct udptun_error *err)
{
    struct ifreq request = {0};
    int code = UDPTUN_OK;
    memcpy(request.ifr_name, d->name, IFNAMSIZ);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return error_set_errno(err, UDPTUN_E_SYSTEM, errno, "device", "socket");
    if (created || config->mtu) {
        uint32_t usual = d->segmentation_offload ? MTU_WITH_OFFLOAD : MTU_PLAIN;
        request.ifr_mtu = (int)(config->mtu ? config->mtu : usual);
        if (ioctl(fd, SIOCSIFMTU, &request) < 0) {
            code = error_set_errno(err, UDPTUN_E_SYSTEM, errno, "mtu", "mtu: %d", request.ifr_mtu);
            goto done;
        }
    }
    if (created) {
        request.ifr_qlen = TX_QUEUE_PACKETS;
        (void)ioctl(fd, SIOCSIFTXQLEN, &request); /* the device works without, with more drops */
    }
    if (config->address && (code = set_address4(fd, &request, config->address, err)) != UDPTUN_OK)
        goto done;
    if (ioctl(fd, SIOCGIFFLAGS, &request) == 0 && !(request.ifr_flags & IFF_UP)) {
        request.ifr_flags |= IFF_UP;
        if (ioctl(fd, SIOCSIFFLAGS, &request) < 0) {
            code = error_set_errno(err, UDPTUN_E_SYSTEM, errno, "device", "%s: up", d->name);
            goto done;
        }
    }
    if (config->address6)
        code = set_address6(d->name, config->address6, err);
done:
    close(fd);
    return code;
}

struct device *device_open_tun(const struct tun_device_config *config, char notice[160],
                               struct udptun_error *err)
{
    struct ifreq request = {0};
    if (notice)
        notice[0] = '\0';
    if (strlen(config->name) >= IFNAMSIZ) {
        error_set(err, UDPTUN_E_INVALID, "device", "device: '%s' is too long a name", config->name);
        return NULL;
    }
    strcpy(request.ifr_name, config->name);
    bool created = !config->name[0] || if_nametoindex(config->name) == 0;
    struct fd_device *f = (struct fd_device *)calloc(1, sizeof *f);
    if (!f) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        return NULL;
    }
    struct device *d = &f->base;
    f->base.ops = &vnet_ops;
    f->fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (f->fd < 0) {
        int code = errno == EACCES || errno == EPERM ? UDPTUN_E_PERMISSION : UDPTUN_E_SYSTEM;
        error_set_errno(err, code, errno, "device", "/dev/net/tun");
        goto fail;
    }
    request.ifr_flags = IFF_TUN | IFF_NO_PI | IFF_VNET_HDR;
    if (ioctl(f->fd, TUNSETIFF, &request) < 0 && errno == EINVAL) {
        request.ifr_flags = IFF_TUN | IFF_NO_PI;
        (void)ioctl(f->fd, TUNSETIFF, &request); /* TUNGETIFF below tells */
    }
    struct tun_traits traits = {0};
    int cause = errno;
    if (!tun_describe(f->fd, d, &traits)) {
        int code = cause == EPERM   ? UDPTUN_E_PERMISSION
                   : cause == EBUSY ? UDPTUN_E_CONFLICT
                                    : UDPTUN_E_SYSTEM;
        if (code == UDPTUN_E_PERMISSION)
            error_set(err, code, "device",
                      "tun:%s: making a TUN device needs CAP_NET_ADMIN: run as root, or give it by "
                      "AmbientCapabilities=CAP_NET_ADMIN",
                      config->name);
        else
            error_set_errno(err, code, cause, "device", "tun:%s", config->name);
        goto fail;
    }
    if (!traits.has_vnet_header)
        d->ops = &plain_ops;
    if (notice && !d->segmentation_offload)
        snprintf(notice, 160, "%.15s: the kernel gives no segmentation offload, TCP will be slower",
                 d->name);
    if (set_up(config, d, created, err) != UDPTUN_OK)
        goto fail;
    d->mtu = interface_mtu(d->name);
    return d;
fail:
    device_fd_close(d);
    return NULL;
}

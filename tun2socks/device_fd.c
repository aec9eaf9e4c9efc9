/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_fd.c - a descriptor that somebody else opened: a TUN device, with or without a virtio
 * header, or a socket that keeps packets apart.
 */
#include "tun2socks/device_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/error.h"

enum { BURST_BYTES = 4 * 1024 * 1024 };

ssize_t device_fd_result(void)
{
    switch (errno) {
    case EAGAIN:
#if EAGAIN != EWOULDBLOCK
    case EWOULDBLOCK:
#endif
    case EINTR:
    case ENOBUFS:
    case ENOMEM:
    case EMSGSIZE:
    case EINVAL: /* a packet that the kernel dislikes; the device stands */
        return DEVICE_AGAIN;
    default:
        return DEVICE_LOST;
    }
}

ssize_t device_fd_read(struct device *d, void *data, struct packet_offload *offload)
{
    *offload = (struct packet_offload){0};
    ssize_t size = read(d->fd, data, PACKET_MAX_SIZE);
    if (size > 0)
        return size;
    if (size == 0) {
        errno = ECONNRESET;
        return DEVICE_LOST;
    }
    return device_fd_result();
}

ssize_t device_fd_write(struct device *d, const struct iovec *parts, int count,
                        const struct packet_offload *offload)
{
    (void)offload;
    ssize_t size = writev(d->fd, parts, count);
    return size > 0 ? size : device_fd_result();
}

void device_fd_close(struct device *d)
{
    if (d->fd >= 0)
        close(d->fd);
    free(d);
}

void device_fd_widen(int fd)
{
    int size = BURST_BYTES;
#ifdef SO_SNDBUFFORCE /* with the right to do so it is not bound by the system's limit */
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size) == 0)
        return;
#endif
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
}

int device_fd_prepare(int fd, struct udptun_error *err)
{
    int flags = fcntl(fd, F_GETFL), fd_flags = fcntl(fd, F_GETFD);
    if (flags < 0 || fd_flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
        fcntl(fd, F_SETFD, fd_flags | FD_CLOEXEC) < 0)
        return error_set_errno(err, UDPTUN_E_INVALID, errno, "device", "descriptor %d", fd);
    return UDPTUN_OK;
}

static const struct device_ops plain_ops = {
    .read = device_fd_read, .write = device_fd_write, .close = device_fd_close};
static const struct device_ops vnet_ops = {
    .read = tun_vnet_read, .write = tun_vnet_write, .close = device_fd_close};

struct device *device_open_fd(int fd, uint32_t mtu, struct udptun_error *err)
{
    struct device *d = calloc(1, sizeof *d);
    if (!d) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        close(fd);
        return NULL;
    }
    *d = (struct device){.ops = &plain_ops, .fd = fd, .mtu = 1500, .name = "fd"};
    bool has_vnet_header = false;
    if (device_fd_prepare(fd, err) != UDPTUN_OK) {
        device_fd_close(d);
        return NULL;
    }
    if (tun_describe(fd, d, &has_vnet_header) && has_vnet_header)
        d->ops = &vnet_ops;
    if (mtu)
        d->mtu = mtu;
    return d;
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_fd.c - a descriptor that somebody else opened: a TUN device, with or without packet
 * information and a virtio header, or a socket that keeps packets apart. Any other is refused.
 */
#include "daemon/platform/posix/device_fd.h"
#include "daemon/platform/posix/vector.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/platform/socket.h"

enum { BURST_BYTES = 4 * 1024 * 1024 };

ssize_t device_fd_result(struct device *d)
{
    enum io what = io_of(errno);
    /* A packet that the kernel dislikes is lost; the device stands. */
    if (what == IO_AGAIN || what == IO_NO_MEMORY || what == IO_TOO_BIG || what == IO_INVALID)
        return DEVICE_AGAIN;
    d->failure = errno;
    return DEVICE_LOST;
}

/* struct tun_pi of Linux: flags, of which one means that the packet was cut off, and an EtherType.
 * No IP packet begins so, nor does a virtio header: its third and fourth bytes are the size of
 * headers, none of which is 8 or 56,710. */
void device_fd_learn_prefix(struct device *d, const uint8_t *first)
{
    static const uint8_t ip4[] = {0x08, 0x00}, ip6[] = {0x86, 0xdd};
    d->is_prefix_unknown = false;
    d->has_prefix =
        first[0] <= 1 && (memcmp(first + 2, ip4, 2) == 0 || memcmp(first + 2, ip6, 2) == 0);
}

ssize_t device_fd_read(struct device *d, void *data, struct packet_offload *offload)
{
    uint8_t prefix[DEVICE_PREFIX_SIZE];
    struct iovec parts[2] = {{prefix, sizeof prefix}, {data, PACKET_MAX_SIZE}};
    *offload = (struct packet_offload){0};
    int fd = fd_device_of(d)->fd;
    ssize_t size = d->has_prefix ? readv(fd, parts, 2) : read(fd, data, PACKET_MAX_SIZE);
    if (size == 0)
        errno = ECONNRESET;
    if (size <= 0)
        return device_fd_result(d);
    if (d->has_prefix)
        return size > DEVICE_PREFIX_SIZE ? size - DEVICE_PREFIX_SIZE : DEVICE_AGAIN;
    if (d->is_prefix_unknown && size > DEVICE_PREFIX_SIZE) {
        device_fd_learn_prefix(d, data);
        if (d->has_prefix) {
            size -= DEVICE_PREFIX_SIZE;
            memmove(data, (uint8_t *)data + DEVICE_PREFIX_SIZE, (size_t)size);
        }
    }
    return size;
}

ssize_t device_fd_write(struct device *d, const struct io_span *parts, int count,
                        const struct packet_offload *offload)
{
    uint8_t prefix[DEVICE_PREFIX_SIZE];
    struct io_span all[DEVICE_MAX_PARTS + 1] = {{prefix, sizeof prefix}};
    (void)offload;
    if (d->has_prefix) {
        tun_write_prefix(prefix, *(const uint8_t *)parts[0].data >> 4 == 6);
        memcpy(all + 1, parts, (size_t)count * sizeof *parts);
        parts = all;
        count++;
    }
    ssize_t size = writev(fd_device_of(d)->fd, vector_of(parts), count);
    return size > 0 ? size : device_fd_result(d);
}

void device_fd_close(struct device *d)
{
    struct fd_device *f = fd_device_of(d);
    watch_stop(&f->watch);
    if (f->fd >= 0)
        close(f->fd);
    free(f);
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

static void on_readable(void *arg, unsigned events)
{
    const struct fd_device *f = (const struct fd_device *)arg;
    (void)events;
    f->readable(f->arg);
}

int device_fd_watch(struct device *d, struct loop *loop, void (*readable)(void *arg), void *arg)
{
    struct fd_device *f = fd_device_of(d);
    f->readable = readable;
    f->arg = arg;
    watch_init(&f->watch, loop, on_readable, f);
    return watch_start(&f->watch, f->fd, LOOP_READ);
}

int device_fd_prepare(int fd, struct udptun_error *err)
{
    int failure = socket_adopt(fd);
    return failure ? error_set_errno(err, UDPTUN_E_INVALID, failure, "device", "descriptor %d", fd)
                   : UDPTUN_OK;
}

static const struct device_ops plain_ops = {.read = device_fd_read,
                                            .write = device_fd_write,
                                            .close = device_fd_close,
                                            .watch = device_fd_watch};
static const struct device_ops vnet_ops = {.read = tun_vnet_read,
                                           .write = tun_vnet_write,
                                           .close = device_fd_close,
                                           .watch = device_fd_watch};

static int device_fd_refuse(struct udptun_error *err, const char *what)
{
    return error_set(err, UDPTUN_E_INVALID, "device",
                     "device: the descriptor is %s; a TUN device or a connected datagram or "
                     "seqpacket socket is needed",
                     what);
}

static int check_traits(const struct tun_traits *traits, struct udptun_error *err)
{
    if (traits->is_tap)
        return device_fd_refuse(err, "a TAP device, which carries Ethernet frames");
    return UDPTUN_OK;
}

/* What is no TUN device: it keeps packets apart and has a peer, or cannot serve. */
static int check_socket(int fd, struct udptun_error *err)
{
    struct stat st;
    int type = 0, listens = 0;
    socklen_t size = sizeof type;
    struct sockaddr_storage peer;
    if (fstat(fd, &st) == 0 && !S_ISSOCK(st.st_mode))
        return device_fd_refuse(err, S_ISFIFO(st.st_mode)  ? "a pipe"
                                     : S_ISREG(st.st_mode) ? "a file"
                                                           : "not a TUN device nor a socket");
    if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) < 0 ||
        (type != SOCK_SEQPACKET && type != SOCK_DGRAM))
        return device_fd_refuse(err, "a socket that does not keep packets apart");
    size = sizeof listens;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &size) == 0 && listens)
        return device_fd_refuse(err, "a listening socket");
    size = sizeof peer;
    if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0)
        return device_fd_refuse(err, "a socket without a peer");
    return UDPTUN_OK;
}

struct device *device_open_fd(int fd, uint32_t mtu, struct udptun_error *err)
{
    struct fd_device *f = (struct fd_device *)calloc(1, sizeof *f);
    if (!f) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        close(fd);
        return NULL;
    }
    struct device *d = &f->base;
    *f = (struct fd_device){.base = {.ops = &plain_ops, .mtu = 1500, .name = "fd"}, .fd = fd};
    struct tun_traits traits = {0};
    if (device_fd_prepare(fd, err) != UDPTUN_OK ||
        (tun_describe(fd, d, &traits) ? check_traits(&traits, err) : check_socket(fd, err)) !=
            UDPTUN_OK) {
        device_fd_close(d);
        return NULL;
    }
    if (traits.has_vnet_header)
        d->ops = &vnet_ops;
    d->has_prefix = traits.has_prefix;
    d->is_prefix_unknown = traits.is_prefix_unknown;
    if (mtu)
        d->mtu = mtu;
    return d;
}

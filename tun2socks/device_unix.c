/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_unix.c - IP packets on a SOCK_SEQPACKET socket, for a peer process.
 *
 * The device listens; while a peer is connected no other is taken, and when it goes the next one
 * is. So the descriptor to poll is the listening one or the peer's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/error.h"
#include "tun2socks/device_fd.h"

struct unix_device {
    struct device base;
    int listen_fd;
    struct sockaddr_un address;
};

static void lose_peer(struct unix_device *u)
{
    close(u->base.fd);
    u->base.fd = u->listen_fd;
}

static ssize_t unix_read(struct device *d, void *data, struct packet_offload *offload)
{
    struct unix_device *u = (struct unix_device *)d;
    if (d->fd == u->listen_fd) {
        int fd = accept(u->listen_fd, NULL, NULL);
        if (fd < 0)
            return device_fd_result();
        if (device_fd_prepare(fd, NULL) != UDPTUN_OK) {
            close(fd);
            return DEVICE_AGAIN;
        }
        device_fd_widen(fd);
        d->fd = fd;
        return DEVICE_AGAIN;
    }
    ssize_t size = device_fd_read(d, data, offload);
    if (size == DEVICE_LOST) {
        lose_peer(u);
        return DEVICE_AGAIN;
    }
    return size;
}

static ssize_t unix_write(struct device *d, const struct iovec *parts, int count,
                          const struct packet_offload *offload)
{
    struct unix_device *u = (struct unix_device *)d;
    (void)offload;
    if (d->fd == u->listen_fd)
        return DEVICE_AGAIN;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts,
                             .msg_iovlen = (size_t)count};
    ssize_t size = sendmsg(d->fd, &message, MSG_NOSIGNAL);
    return size > 0 ? size : DEVICE_AGAIN; /* that the peer is gone is for the next read to find */
}

static void unix_close(struct device *d)
{
    struct unix_device *u = (struct unix_device *)d;
    if (d->fd != u->listen_fd)
        lose_peer(u);
    close(u->listen_fd);
    unlink(u->address.sun_path);
    free(u);
}

static const struct device_ops unix_ops = {
    .read = unix_read, .write = unix_write, .close = unix_close};

/* Whether the socket at the path has nobody behind it; then it may be replaced. */
static bool is_stale(const struct sockaddr_un *address)
{
    struct stat st;
    if (lstat(address->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (fd < 0)
        return false;
    bool refused =
        connect(fd, (const struct sockaddr *)address, sizeof *address) < 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

struct device *device_open_unix(const char *path, uint32_t mtu, struct udptun_error *err)
{
    struct unix_device *u = calloc(1, sizeof *u);
    if (!u) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        return NULL;
    }
    u->address.sun_family = AF_UNIX;
    int fd = -1;
    if (strlen(path) >= sizeof u->address.sun_path) {
        error_set(err, UDPTUN_E_INVALID, "device", "unix:%s: the path is too long", path);
        goto fail;
    }
    memcpy(u->address.sun_path, path, strlen(path) + 1);
    if (is_stale(&u->address))
        unlink(path);
    fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&u->address, sizeof u->address) < 0 ||
        listen(fd, 4) < 0) {
        int code = errno == EADDRINUSE ? UDPTUN_E_PORT_IN_USE : UDPTUN_E_SYSTEM;
        error_set_errno(err, code, errno, "device", "unix:%s", path);
        goto fail;
    }
    if (device_fd_prepare(fd, err) != UDPTUN_OK)
        goto fail;
    u->base = (struct device){
        .ops = &unix_ops, .fd = fd, .mtu = mtu ? mtu : PACKET_MAX_SIZE, .name = "unix"};
    u->listen_fd = fd;
    return &u->base;
fail:
    if (fd >= 0)
        close(fd);
    free(u);
    return NULL;
}

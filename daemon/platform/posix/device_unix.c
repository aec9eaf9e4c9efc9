/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_unix.c - IP packets on a SOCK_SEQPACKET socket, for a peer process.
 *
 * The device listens; while a peer is connected no other is taken, and when it goes the next one
 * is. So the descriptor that is watched is the listening one or the peer's.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/platform/posix/address.h"
#include "daemon/platform/posix/device_fd.h"

/* base.fd is the listening descriptor or the peer's. */
struct unix_device {
    struct fd_device base;
    int listen_fd;
    struct sockaddr_un address;
};

/* Wait for what comes on `fd` from now on. False: out of memory. */
static bool turn_to(struct unix_device *u, int fd)
{
    watch_stop(&u->base.watch);
    u->base.fd = fd;
    return !u->base.readable || watch_start(&u->base.watch, fd, LOOP_READ) == UDPTUN_OK;
}

/* False: the device is lost. */
static bool lose_peer(struct unix_device *u)
{
    int fd = u->base.fd;
    bool is_kept = turn_to(u, u->listen_fd);
    close(fd);
    if (!is_kept)
        u->base.base.failure = ENOMEM;
    return is_kept;
}

static ssize_t unix_read(struct device *d, void *data, struct packet_offload *offload)
{
    struct unix_device *u = (struct unix_device *)(void *)d;
    if (u->base.fd == u->listen_fd) {
        udptun_socket peer;
        if (socket_accept(u->listen_fd, NULL, &peer) != 0)
            return device_fd_result(d);
        device_fd_widen(peer);
        if (turn_to(u, peer))
            return DEVICE_AGAIN;
        return lose_peer(u) ? DEVICE_AGAIN : DEVICE_LOST;
    }
    ssize_t size = device_fd_read(d, data, offload);
    if (size == DEVICE_LOST)
        return lose_peer(u) ? DEVICE_AGAIN : DEVICE_LOST;
    return size;
}

static ssize_t unix_write(struct device *d, const struct io_span *parts, int count,
                          const struct packet_offload *offload)
{
    struct unix_device *u = (struct unix_device *)(void *)d;
    size_t sent;
    (void)offload;
    if (u->base.fd == u->listen_fd)
        return DEVICE_AGAIN;
    socket_write_spans(u->base.fd, parts, (size_t)count, &sent);
    return sent > 0 ? (ssize_t)sent
                    : DEVICE_AGAIN; /* that the peer is gone is for the next read to find */
}

static void unix_close(struct device *d)
{
    struct unix_device *u = (struct unix_device *)(void *)d;
    watch_stop(&u->base.watch);
    if (u->base.fd != u->listen_fd)
        close(u->base.fd);
    close(u->listen_fd);
    unlink(u->address.sun_path);
    free(u);
}

static const struct device_ops unix_ops = {
    .read = unix_read, .write = unix_write, .close = unix_close, .watch = device_fd_watch};

/* Whether the socket at the path has nobody behind it; then it may be replaced. */
static bool device_unix_is_stale(const struct sockaddr_un *address)
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
    struct unix_device *u = (struct unix_device *)calloc(1, sizeof *u);
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
    if (device_unix_is_stale(&u->address))
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
    u->base = (struct fd_device){
        .base = {.ops = &unix_ops, .mtu = mtu ? mtu : PACKET_MAX_SIZE, .name = "unix"}, .fd = fd};
    u->listen_fd = fd;
    return &u->base.base;
fail:
    if (fd >= 0)
        close(fd);
    free(u);
    return NULL;
}

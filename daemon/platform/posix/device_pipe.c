/* SPDX-License-Identifier: Apache-2.0 */
/* device_pipe.c - a socket pair that carries IP packets; a udp-server holds the other end. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/platform/posix/device_fd.h"
#include "proto/error.h"

static const struct device_ops pipe_ops = {.read = device_fd_read,
                                           .write = device_fd_write,
                                           .close = device_fd_close,
                                           .watch = device_fd_watch};

struct device *device_open_pipe(udptun_socket *peer, struct udptun_error *err)
{
    int fds[2];
    struct fd_device *f = (struct fd_device *)calloc(1, sizeof *f);
    if (!f) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        return NULL;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) < 0) {
        error_set_errno(err, UDPTUN_E_SYSTEM, errno, "device", "pipe");
        free(f);
        return NULL;
    }
    for (int i = 0; i < 2; i++)
        device_fd_widen(fds[i]);
    struct device *d = &f->base;
    *f = (struct fd_device){.base = {.ops = &pipe_ops, .mtu = PACKET_MAX_SIZE, .name = "pipe"},
                            .fd = fds[0]};
    if (device_fd_prepare(fds[0], err) != UDPTUN_OK ||
        device_fd_prepare(fds[1], err) != UDPTUN_OK) {
        close(fds[1]);
        device_fd_close(d);
        return NULL;
    }
    *peer = fds[1];
    return d;
}

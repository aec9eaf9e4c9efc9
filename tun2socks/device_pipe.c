/* SPDX-License-Identifier: Apache-2.0 */
/* device_pipe.c - a socket pair that carries IP packets; a udp-server holds the other end. */
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/error.h"
#include "tun2socks/device_fd.h"

static const struct device_ops pipe_ops = {
    .read = device_fd_read, .write = device_fd_write, .close = device_fd_close};

struct device *device_open_pipe(int *peer_fd, struct udptun_error *err)
{
    int fds[2];
    struct device *d = calloc(1, sizeof *d);
    if (!d) {
        error_set(err, UDPTUN_E_NOMEM, "device", "out of memory");
        return NULL;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, fds) < 0) {
        error_set_errno(err, UDPTUN_E_SYSTEM, errno, "device", "pipe");
        free(d);
        return NULL;
    }
    for (int i = 0; i < 2; i++)
        device_fd_widen(fds[i]);
    *d = (struct device){.ops = &pipe_ops, .fd = fds[0], .mtu = PACKET_MAX_SIZE, .name = "pipe"};
    if (device_fd_prepare(fds[0], err) != UDPTUN_OK ||
        device_fd_prepare(fds[1], err) != UDPTUN_OK) {
        close(fds[1]);
        device_fd_close(d);
        return NULL;
    }
    *peer_fd = fds[1];
    return d;
}

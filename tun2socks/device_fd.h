/* SPDX-License-Identifier: Apache-2.0 */
/* device_fd.h - a device on a plain descriptor, for the other kinds to build on. */
#ifndef TUN2SOCKS_DEVICE_FD_H
#define TUN2SOCKS_DEVICE_FD_H

#include "tun2socks/device.h"

/* One packet, plain, from and to d->fd. */
ssize_t device_fd_read(struct device *d, void *data, struct packet_offload *offload);
ssize_t device_fd_write(struct device *d, const struct iovec *parts, int count,
                        const struct packet_offload *offload);
/* Closes d->fd and frees the device. */
void device_fd_close(struct device *d);

/* What the errno of a read or a write says: DEVICE_AGAIN or DEVICE_LOST. */
ssize_t device_fd_result(void);

/* Room for a burst while the peer of a socket, maybe on this very thread, has its turn. */
void device_fd_widen(int fd);

/* Not blocking, and closed on exec. */
int device_fd_prepare(int fd, struct udptun_error *err);

/* A TUN descriptor's flags and MTU; false for any other descriptor. Per platform. */
bool tun_describe(int fd, struct device *d, bool *has_vnet_header);

/* As device_fd_read() and _write(), with a virtio header before each packet. Per platform. */
ssize_t tun_vnet_read(struct device *d, void *data, struct packet_offload *offload);
ssize_t tun_vnet_write(struct device *d, const struct iovec *parts, int count,
                       const struct packet_offload *offload);

#endif

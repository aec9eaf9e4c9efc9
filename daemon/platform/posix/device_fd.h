/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device_fd.h - a device on a descriptor, for the other kinds to build on. Private to posix/ and
 * the systems that are built on it.
 */
#ifndef PLATFORM_POSIX_DEVICE_FD_H
#define PLATFORM_POSIX_DEVICE_FD_H

#include "daemon/platform/device.h"
#include "daemon/platform/loop.h"

/* `base` is the first member. */
struct fd_device {
    struct device base;
    int fd;
    struct io_watch watch;
    void (*readable)(void *arg);
    void *arg;
};

static inline struct fd_device *fd_device_of(struct device *d)
{
    return (struct fd_device *)(void *)d;
}

enum { DEVICE_PREFIX_SIZE = 4 };

/* One packet from and to the descriptor, plain or with the prefix. */
ssize_t device_fd_read(struct device *d, void *data, struct packet_offload *offload);
ssize_t device_fd_write(struct device *d, const struct io_span *parts, int count,
                        const struct packet_offload *offload);
/* While that is unknown: find out whether the device has a prefix, by the first bytes of a packet
 * of DEVICE_PREFIX_SIZE or more. */
void device_fd_learn_prefix(struct device *d, const uint8_t *first);
/* End the watch, close the descriptor and free the device. */
void device_fd_close(struct device *d);

int device_fd_watch(struct device *d, struct loop *loop, void (*readable)(void *arg), void *arg);

/* What errno says of a read or a write: DEVICE_AGAIN or DEVICE_LOST. */
ssize_t device_fd_result(struct device *d);

/* Room for a burst while the peer of a socket, maybe on this very thread, has its turn. */
void device_fd_widen(int fd);

/* Not blocking, and closed on exec. */
int device_fd_prepare(int fd, struct udptun_error *err);

/* What the descriptor of an interface says of it. */
struct tun_traits {
    bool is_tap; /* Ethernet frames: not for us */
    bool has_vnet_header, has_prefix;
    bool is_prefix_unknown;
};

/* A TUN descriptor's traits, name and MTU; false for any other descriptor. Per platform. */
bool tun_describe(int fd, struct device *d, struct tun_traits *traits);

/* The four bytes before a packet of a device that has_prefix. Per platform. */
void tun_write_prefix(uint8_t prefix[DEVICE_PREFIX_SIZE], bool is_ip6);

/* As device_fd_read() and _write(), with a virtio header before each packet. Per platform. */
ssize_t tun_vnet_read(struct device *d, void *data, struct packet_offload *offload);
ssize_t tun_vnet_write(struct device *d, const struct io_span *parts, int count,
                       const struct packet_offload *offload);

#endif

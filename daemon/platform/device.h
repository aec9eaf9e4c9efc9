/* SPDX-License-Identifier: Apache-2.0 */
/*
 * device.h - where IP packets come from and go to: a file per kind behind this header.
 *
 *   device_tun.c   tun:NAME   the kernel's TUN device, with TSO and checksum offload
 *   device_fd.c    fd:N       a descriptor that somebody else opened
 *   device_pipe.c  pipe       a socket pair; the other end is a udp-server's
 *   device_unix.c  unix:PATH  a SOCK_SEQPACKET socket for a peer process
 *   (tun2socks/device_callback.c: two functions, for an app that reads and writes itself)
 *
 * One packet per read and per write. That there is something to read is told by a callback: what a
 * device waits on (a descriptor, an event, a function of the app's) is its own business. A device
 * is freed by its close(), which also ends its watch.
 */
#ifndef PLATFORM_DEVICE_H
#define PLATFORM_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <udptun/error.h>
#include <udptun/loop.h>

#include "daemon/platform/span.h"

struct loop;

/* The largest IP packet, of IPv6, and what is read at once. */
#define PACKET_MAX_SIZE (40 + 65535)

/* What goes along with a packet on a device that does part of the work. */
struct packet_offload {
    /* In: the device vouches for the checksum of TCP or UDP. */
    bool checksum_is_good;
    /* Out: the field holds the pseudo header's sum, the device does the rest. */
    bool checksum_wanted;
    uint16_t checksum_start;  /* offset of the TCP or UDP header */
    uint16_t checksum_offset; /* of the field in it */
    /* Out: the device cuts a TCP packet into segments of this payload size, 0: as it is. */
    uint16_t segment_size;
};

enum device_result {
    DEVICE_AGAIN = 0, /* read: nothing is there; write: no room, the packet was dropped */
    DEVICE_LOST = -1, /* the device is gone; `failure` says how */
};

struct device;

struct device_ops {
    /* The size of the packet read into `data` (PACKET_MAX_SIZE bytes), or enum device_result. */
    ssize_t (*read)(struct device *d, void *data, struct packet_offload *offload);
    /* The size written (then it is not 0), or enum device_result. At most DEVICE_MAX_PARTS. */
    ssize_t (*write)(struct device *d, const struct io_span *parts, int count,
                     const struct packet_offload *offload);
    void (*close)(struct device *d);
    /* Call readable(arg) on the loop while there is something to read. UDPTUN_OK or
     * UDPTUN_E_NOMEM. NULL: it never has, packets come by another way. */
    int (*watch)(struct device *d, struct loop *loop, void (*readable)(void *arg), void *arg);
};

#define DEVICE_MAX_PARTS 64

struct device {
    const struct device_ops *ops;
    int failure;            /* the system's error number, of DEVICE_LOST */
    uint32_t mtu;           /* largest packet to write */
    bool has_prefix;        /* four bytes before each packet, which name its IP version */
    bool is_prefix_unknown; /* whether it has: the first packet shows */
    bool checksum_offload;
    bool segmentation_offload;
    char name[128]; /* of the interface, or the path; for status */
};

struct tun_device_config {
    const char *name;     /* of the interface; "" or with "%d": the kernel chooses */
    const char *address;  /* "10.0.0.1/24", or NULL */
    const char *address6; /* "fd00::1/64", or NULL */
    uint32_t mtu;         /* 0: 65535 with segmentation offload, else 9000 */
};

/* All of them: the device, or NULL and `err`. */

/* Creates the interface where it is absent, else attaches to it. `*notice` (may be NULL) gets a
 * line for the log when an offload is not available, else "". */
struct device *device_open_tun(const struct tun_device_config *config, char notice[160],
                               struct udptun_error *err);
/* `fd` becomes the device's, also on failure: a TUN device's, or a connected socket that keeps
 * packets apart; UDPTUN_E_INVALID for any other. `mtu` 0: the interface's, else 1500. */
struct device *device_open_fd(int fd, uint32_t mtu, struct udptun_error *err);
/* `*peer` is the other end, a socket that keeps packets apart and does not block; the caller's. */
struct device *device_open_pipe(udptun_socket *peer, struct udptun_error *err);
/* Listens at `path` (a stale socket is replaced) and takes one peer at a time. */
struct device *device_open_unix(const char *path, uint32_t mtu, struct udptun_error *err);
/* Packets go to `write`; they come by tun2socks_packet(). */
struct device *device_open_callback(uint32_t mtu,
                                    void (*write)(void *arg, const struct io_span *parts,
                                                  int count),
                                    void *arg, struct udptun_error *err);

#endif

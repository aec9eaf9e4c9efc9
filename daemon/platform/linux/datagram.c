/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datagram.c - many datagrams per system call on Linux: receiving, and ICMP errors.
 *
 * recvmmsg over 32 slots, each of which UDP_GRO may fill with a run of datagrams of one source.
 * An ICMP error that waits on a socket fails the next call in place of its work; the queue that
 * udp_errors() drains tells the same with the destination. Sending is in datagram_send.c.
 */
#include <time.h>

#include <linux/errqueue.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/platform/datagram.h"
#include "daemon/platform/posix/address.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

enum {
    SLOTS = 32,
    SLOT_SIZE = 65536,
    CONTROL_SIZE = 128, /* UDP_GRO and packet information, each below 40 bytes */
    BUFFER_BYTES = 2 * 1024 * 1024,
    ERRORS_PER_CALL = 64,
};

/* ---- sockets ------------------------------------------------------------------------------- */

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

void udp_set_up(udptun_socket fd, bool ip6, unsigned wants)
{
    set(fd, IPPROTO_UDP, UDP_GRO, 1);
    /* Beyond net.core.rmem_max where we may; a burst waits here while the loop is elsewhere. */
    int bytes = BUFFER_BYTES;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        set(fd, SOL_SOCKET, SO_RCVBUF, bytes);
    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof bytes) < 0)
        set(fd, SOL_SOCKET, SO_SNDBUF, bytes);
    if (wants & UDP_WANT_LOCAL) {
        if (ip6)
            set(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO, 1);
        else
            set(fd, IPPROTO_IP, IP_PKTINFO, 1);
    }
    if (wants & UDP_WANT_ERRORS) {
        if (ip6)
            set(fd, IPPROTO_IPV6, IPV6_RECVERR, 1);
        else
            set(fd, IPPROTO_IP, IP_RECVERR, 1);
    }
}

/* ---- receiving ----------------------------------------------------------------------------- */

union ancillary {
    struct cmsghdr align;
    uint8_t bytes[CONTROL_SIZE];
};

struct udp_batch {
    uint8_t *slots; /* mapped, SLOTS of SLOT_SIZE */
    bool touched;   /* since the last trim */
    int used;       /* messages that the last call filled */
    struct mmsghdr messages[SLOTS];
    struct iovec iov[SLOTS];
    struct sockaddr_in6 names[SLOTS]; /* the larger of the two */
    union ancillary control[SLOTS];
};

struct udp_batch *udp_batch_new(void)
{
    struct udp_batch *batch = (struct udp_batch *)calloc(1, sizeof *batch);
    if (!batch)
        return NULL;
    size_t size = (size_t)SLOTS * SLOT_SIZE;
    void *slots = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (slots == MAP_FAILED) {
        free(batch);
        return NULL;
    }
    /* A huge page would make all of it resident with the first datagram. */
    madvise(slots, size, MADV_NOHUGEPAGE);
    batch->slots = (uint8_t *)slots;
    for (size_t i = 0; i < SLOTS; i++)
        batch->iov[i] =
            (struct iovec){.iov_base = batch->slots + i * SLOT_SIZE, .iov_len = SLOT_SIZE};
    batch->used = SLOTS;
    return batch;
}

void udp_batch_free(struct udp_batch *batch)
{
    if (!batch)
        return;
    munmap(batch->slots, (size_t)SLOTS * SLOT_SIZE);
    free(batch);
}

void udp_batch_trim(struct udp_batch *batch)
{
    if (!batch->touched)
        return;
    madvise(batch->slots, (size_t)SLOTS * SLOT_SIZE, MADV_DONTNEED);
    batch->touched = false;
}

static struct udptun_endpoint endpoint_of_name(const struct sockaddr_in6 *name, socklen_t size)
{
    union socket_address sa;
    memcpy(&sa, name, sizeof *name);
    struct udptun_endpoint ep = sockaddr_to_endpoint(&sa, size);
    return endpoint_unmapped(&ep);
}

/* Message `i` is from where the one before it is from: so it mostly is in a busy flow. */
static bool same_source(const struct udp_batch *batch, int i)
{
    socklen_t size = batch->messages[i].msg_hdr.msg_namelen;
    return i > 0 && size == batch->messages[i - 1].msg_hdr.msg_namelen &&
           size <= sizeof batch->names[i] &&
           memcmp(&batch->names[i], &batch->names[i - 1], size) == 0;
}

static void read_control(struct msghdr *header, struct udp_run *run)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_GRO) {
            int segment_size;
            memcpy(&segment_size, CMSG_DATA(c), sizeof segment_size);
            if (segment_size > 0)
                run->segment_size = (size_t)segment_size;
        } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
            struct in_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            run->local.family = UDPTUN_ENDPOINT_IP4;
            memcpy(run->local.ip, &info.ipi_spec_dst, 4);
        } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            struct in6_pktinfo info;
            memcpy(&info, CMSG_DATA(c), sizeof info);
            if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
                continue;
            run->local.family = UDPTUN_ENDPOINT_IP6;
            memcpy(run->local.ip, &info.ipi6_addr, 16);
            if (endpoint_is_link_local(&run->local))
                run->local.scope = info.ipi6_ifindex;
            run->local = endpoint_unmapped(&run->local);
        }
    }
}

/* The kernel has overwritten the sizes in those that it filled. */
static void datagram_prepare(struct udp_batch *batch)
{
    for (int i = 0; i < batch->used; i++)
        batch->messages[i].msg_hdr = (struct msghdr){
            .msg_name = &batch->names[i],
            .msg_namelen = sizeof batch->names[i],
            .msg_iov = &batch->iov[i],
            .msg_iovlen = 1,
            .msg_control = &batch->control[i],
            .msg_controllen = sizeof batch->control[i],
        };
    batch->used = 0;
}

bool udp_batch_was_full(const struct udp_batch *batch)
{
    return batch->used == SLOTS;
}

int udp_receive(struct udp_batch *batch, udptun_socket socket, udp_received *received, void *arg)
{
    datagram_prepare(batch);
    int count = recvmmsg(socket, batch->messages, SLOTS, MSG_DONTWAIT, NULL);
    if (count < 0)
        return 0;
    batch->touched = true;
    batch->used = count;
    struct udptun_endpoint source = {0};
    for (int i = 0; i < count; i++) {
        struct mmsghdr *message = &batch->messages[i];
        if (!same_source(batch, i))
            source = endpoint_of_name(&batch->names[i], message->msg_hdr.msg_namelen);
        struct udp_run run = {
            .source = source,
            .data = batch->slots + (size_t)i * SLOT_SIZE,
            .size = message->msg_len,
            .segment_size = message->msg_len,
        };
        read_control(&message->msg_hdr, &run);
        if (!received(arg, &run))
            return i + 1;
    }
    return count;
}

/* ---- errors -------------------------------------------------------------------------------- */

/* Whether it was one of the network, which `failed` is then told of. */
static bool report_error(struct msghdr *header, const struct udptun_endpoint *dest,
                         udp_failed *failed, void *arg)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c; c = CMSG_NXTHDR(header, c)) {
        bool is_error = (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_RECVERR) ||
                        (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_RECVERR);
        if (!is_error)
            continue;
        struct sock_extended_err info;
        memcpy(&info, CMSG_DATA(c), sizeof info);
        /* Errors raised by this host were already reported by the failed send. */
        if (info.ee_origin != SO_EE_ORIGIN_ICMP && info.ee_origin != SO_EE_ORIGIN_ICMP6)
            return false;
        enum io why = io_of((int)info.ee_errno);
        failed(arg, dest, why, why == IO_TOO_BIG ? info.ee_info : 0);
        return true;
    }
    return false;
}

int udp_errors(udptun_socket socket, udp_failed *failed, void *arg)
{
    int count = 0;
    for (int i = 0; i < ERRORS_PER_CALL; i++) {
        struct sockaddr_in6 name;
        union {
            struct cmsghdr align;
            uint8_t bytes[512];
        } control;
        struct msghdr header = {.msg_name = &name,
                                .msg_namelen = sizeof name,
                                .msg_control = &control,
                                .msg_controllen = sizeof control};
        if (recvmsg(socket, &header, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
            break;
        struct udptun_endpoint dest = endpoint_of_name(&name, header.msg_namelen);
        count += report_error(&header, &dest, failed, arg);
    }
    return count;
}

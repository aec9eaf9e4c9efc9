/* SPDX-License-Identifier: Apache-2.0 */
/*
 * posix/udp_io.c - one datagram, one system call: for systems without anything better.
 *
 * It knows neither the local address of a datagram nor ICMP errors. linux/udp_io.c is its fast
 * twin behind the same header.
 */
#include <errno.h>
#include <stdlib.h>

#include "daemon/platform/sockaddr.h"
#include "daemon/platform/udp_sender.h"

enum { SLOT_SIZE = 65536, BUFFER_BYTES = 2 * 1024 * 1024 };

struct udp_batch {
    uint8_t slot[SLOT_SIZE];
};

void udp_setup(int fd, unsigned wants)
{
    int bytes = BUFFER_BYTES;
    (void)wants;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
}

struct udp_batch *udp_batch_new(void)
{
    return (struct udp_batch *)malloc(sizeof(struct udp_batch));
}

void udp_batch_free(struct udp_batch *batch)
{
    free(batch);
}

void udp_batch_trim(struct udp_batch *batch)
{
    (void)batch; /* one datagram's worth is not worth it */
}

/* What a connected socket says of an earlier datagram, not of this call. */
static bool is_old_news(int sys_errno)
{
    return sys_errno == ECONNREFUSED || sys_errno == EHOSTUNREACH || sys_errno == ENETUNREACH ||
           sys_errno == ECONNRESET;
}

int udp_receive(struct udp_batch *batch, int fd, udp_received *received, void *arg)
{
    union socket_address sa;
    socklen_t sa_size = sizeof sa;
    ssize_t size = recvfrom(fd, batch->slot, sizeof batch->slot, 0, &sa.any, &sa_size);
    if (size < 0) {
        bool nothing = errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        return nothing || is_old_news(errno) ? 0 : -errno;
    }
    struct endpoint source = sockaddr_to_endpoint(&sa, sa_size);
    struct udp_run run = {.source = endpoint_unmapped(&source),
                          .data = batch->slot,
                          .size = (size_t)size,
                          .segment_size = (size_t)size};
    received(arg, &run);
    return 1;
}

bool udp_batch_was_full(const struct udp_batch *batch)
{
    (void)batch;
    return true; /* one datagram a call */
}

int udp_errors(int fd, udp_failed *failed, void *arg)
{
    (void)fd;
    (void)failed;
    (void)arg;
    return 0;
}

/* 0, or the errno. */
static int send_entry(int fd, const struct udp_entry *entry)
{
    union socket_address sa;
    socklen_t sa_size = sockaddr_from_endpoint(&sa, &entry->dest);
    for (bool again = true;;) {
        if (sendto(fd, entry->data, entry->size, 0, sa_size ? &sa.any : NULL, sa_size) >= 0)
            return 0;
        if (errno == EINTR)
            continue;
        if (!is_old_news(errno) || !again)
            return errno == EWOULDBLOCK || errno == ENOBUFS ? EAGAIN : errno;
        again = false;
    }
}

void udp_send_chain(struct udp_sender *sender, const struct udp_chain *chain)
{
    for (uint16_t i = chain->first; i != UDP_SENDER_END; i = sender->entries[i].next) {
        int failure = send_entry(chain->fd, &sender->entries[i]);
        if (failure == EAGAIN) {
            udp_sender_report_rest(sender, i, failure);
            return;
        }
        if (failure)
            udp_sender_report(sender, &sender->entries[i], failure);
    }
}

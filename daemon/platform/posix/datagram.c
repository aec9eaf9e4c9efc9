/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datagram.c - one datagram, one system call: for systems without anything better.
 *
 * It knows neither the local address of a datagram nor ICMP errors.
 */
#include <stdlib.h>

#include "daemon/platform/datagram_sender.h"
#include "daemon/platform/posix/address.h"

enum { SLOT_SIZE = 65536, BUFFER_BYTES = 2 * 1024 * 1024 };

struct udp_batch {
    uint8_t slot[SLOT_SIZE];
};

void udp_set_up(udptun_socket fd, bool ip6, unsigned wants)
{
    int bytes = BUFFER_BYTES;
    (void)ip6;
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

int udp_receive(struct udp_batch *batch, udptun_socket s, udp_received *received, void *arg)
{
    union socket_address sa;
    socklen_t sa_size = sizeof sa;
    ssize_t size = recvfrom(s, batch->slot, sizeof batch->slot, MSG_DONTWAIT, &sa.any, &sa_size);
    if (size < 0)
        return 0;
    struct udptun_endpoint source = sockaddr_to_endpoint(&sa, sa_size);
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

int udp_errors(udptun_socket s, udp_failed *failed, void *arg)
{
    (void)s;
    (void)failed;
    (void)arg;
    return 0;
}

/* What a connected socket says of an earlier datagram, not of this call. */
static bool is_earlier_error(enum io what)
{
    return what == IO_REFUSED || what == IO_HOST_UNREACHABLE || what == IO_NET_UNREACHABLE ||
           what == IO_RESET;
}

static enum io send_entry(udptun_socket s, const struct udp_entry *entry)
{
    const struct io_span all = {entry->data, entry->size};
    const struct udptun_endpoint *to =
        entry->dest.family == UDPTUN_ENDPOINT_NONE ? NULL : &entry->dest;
    enum io what = io_of(udp_send(s, to, &all, 1));
    return is_earlier_error(what) ? io_of(udp_send(s, to, &all, 1)) : what;
}

void udp_send_chain(struct udp_sender *sender, const struct udp_chain *chain)
{
    for (uint16_t i = chain->first; i != UDP_SENDER_END; i = sender->entries[i].next) {
        enum io what = send_entry(chain->socket, &sender->entries[i]);
        if (what == IO_AGAIN) {
            udp_sender_report_rest(sender, i, what);
            return;
        }
        if (what != IO_OK)
            udp_sender_report(sender, &sender->entries[i], what);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * datagram_send.c - many datagrams per system call on Linux: sending.
 *
 * Neighbours of one socket, destination and size become one message with UDP_SEGMENT, and up to
 * 64 messages go with one sendmmsg.
 *
 * Facts relied on: an ICMP error that waits on a socket fails the next call in place of its work,
 * so that call is made once more; UDP_SEGMENT is refused where a segment exceeds the MTU (EINVAL)
 * or the path cannot offload (EIO), and the datagrams then go one by one, which fragments as
 * usual; a message with UDP_SEGMENT is sent whole or not at all.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/platform/datagram_sender.h"
#include "daemon/platform/posix/address.h"

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum {
    MESSAGES = 64,
    SEGMENTS = 64,         /* UDP_MAX_SEGMENTS of the oldest kernels that can */
    MESSAGE_BYTES = 65507, /* largest IPv4 payload; IPv6 carries a little more */
};

/* Whether it is an ICMP error of an earlier datagram, not of this call (the table of the kernel's
 * net/ipv4/icmp.c). */
static bool is_icmp_error(int os_error)
{
    static const int icmp[] = {ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EHOSTDOWN,
                               ENOPROTOOPT,  EOPNOTSUPP,   EPROTO,      EACCES,
                               ENONET,       EMSGSIZE,     ENETDOWN};
    for (size_t i = 0; i < sizeof icmp / sizeof *icmp; i++)
        if (os_error == icmp[i])
            return true;
    return false;
}

/* Messages under construction: enough for one sendmmsg. On the stack, 16 KiB. */
struct send_batch {
    size_t count, iov_count;
    struct mmsghdr messages[MESSAGES];
    uint16_t first[MESSAGES]; /* the entry that each starts with */
    struct iovec iov[UDP_SENDER_ENTRIES];
    struct sockaddr_in6 names[MESSAGES];
    union {
        struct cmsghdr align;
        uint8_t bytes[CMSG_SPACE(sizeof(uint16_t)) + CMSG_SPACE(sizeof(struct in6_pktinfo))];
    } control[MESSAGES];
};

static void *add_control(struct msghdr *header, int level, int type, size_t size)
{
    struct cmsghdr *c =
        (struct cmsghdr *)(void *)((uint8_t *)header->msg_control + header->msg_controllen);
    memset(c, 0, CMSG_SPACE(size));
    c->cmsg_level = level;
    c->cmsg_type = type;
    c->cmsg_len = CMSG_LEN(size);
    header->msg_controllen += CMSG_SPACE(size);
    return CMSG_DATA(c);
}

static void add_source(struct msghdr *header, const struct udptun_endpoint *from)
{
    if (from->family == UDPTUN_ENDPOINT_IP4) {
        struct in_pktinfo info = {0};
        memcpy(&info.ipi_spec_dst, from->ip, 4);
        memcpy(add_control(header, IPPROTO_IP, IP_PKTINFO, sizeof info), &info, sizeof info);
    } else if (from->family == UDPTUN_ENDPOINT_IP6) {
        struct in6_pktinfo info = {.ipi6_ifindex = from->scope};
        memcpy(&info.ipi6_addr, from->ip, 16);
        memcpy(add_control(header, IPPROTO_IPV6, IPV6_PKTINFO, sizeof info), &info, sizeof info);
    }
}

/* A new message with the one entry. */
static struct mmsghdr *start_message(struct send_batch *out, uint16_t index,
                                     const struct udp_entry *entry)
{
    size_t at = out->count++;
    struct mmsghdr *message = &out->messages[at];
    union socket_address sa;
    socklen_t name_size = sockaddr_from_endpoint(&sa, &entry->dest);
    out->first[at] = index;
    memcpy(&out->names[at], &sa, name_size);
    message->msg_hdr = (struct msghdr){.msg_name = name_size ? &out->names[at] : NULL,
                                       .msg_namelen = name_size,
                                       .msg_iov = &out->iov[out->iov_count],
                                       .msg_iovlen = 0,
                                       .msg_control = &out->control[at],
                                       .msg_controllen = 0};
    add_source(&message->msg_hdr, &entry->from);
    return message;
}

static void add_iov(struct send_batch *out, struct mmsghdr *message, const struct udp_entry *entry)
{
    out->iov[out->iov_count++] =
        (struct iovec){.iov_base = (void *)(uintptr_t)entry->data, .iov_len = entry->size};
    message->msg_hdr.msg_iovlen++;
}

/* Whether `entry` may be one more segment of the message that begins with `head` and so far ends
 * with `last`, `total` bytes long. */
static bool joins(const struct mmsghdr *message, const struct udp_entry *head,
                  const struct udp_entry *last, const struct udp_entry *entry, size_t total)
{
    /* A shorter one ends the run; an empty one would vanish in it. */
    return last->size == head->size && entry->size > 0 && entry->size <= head->size &&
           total + entry->size <= MESSAGE_BYTES && message->msg_hdr.msg_iovlen < SEGMENTS &&
           endpoint_equal(&entry->dest, &head->dest) && endpoint_equal(&entry->from, &head->from);
}

/* Builds one message from the entries at `index`; returns the first that is not in it. */
static uint16_t build_message(const struct udp_sender *sender, struct send_batch *out,
                              uint16_t index, bool segment)
{
    const struct udp_entry *head = &sender->entries[index], *last = head;
    struct mmsghdr *message = start_message(out, index, head);
    size_t total = head->size;
    add_iov(out, message, head);
    while (segment && last->next != UDP_SENDER_END &&
           joins(message, head, last, &sender->entries[last->next], total)) {
        last = &sender->entries[last->next];
        add_iov(out, message, last);
        total += last->size;
    }
    if (message->msg_hdr.msg_iovlen > 1) {
        uint16_t size = (uint16_t)head->size;
        memcpy(add_control(&message->msg_hdr, IPPROTO_UDP, UDP_SEGMENT, sizeof size), &size,
               sizeof size);
    }
    if (message->msg_hdr.msg_controllen == 0)
        message->msg_hdr.msg_control = NULL;
    return last->next;
}

/* A chain on its way out. */
struct sending {
    struct udp_sender *sender;
    udptun_socket socket;
    bool full; /* the socket takes no more: what is left is reported, in order */
};

static void send_range(struct sending *s, uint16_t first, uint16_t end, bool segment);

/* The message of the entries from `first` up to but not `end` could not be sent. */
static void message_failed(struct sending *s, const struct mmsghdr *message, uint16_t first,
                           uint16_t end, int failure)
{
    bool segments = message->msg_hdr.msg_iovlen > 1;
    if (segments && (failure == EINVAL || failure == EIO || failure == EMSGSIZE)) {
        send_range(s, first, end, false);
        return;
    }
    for (uint16_t i = first; i != end; i = s->sender->entries[i].next)
        udp_sender_report(s->sender, &s->sender->entries[i], io_of(failure));
}

/* Sends what was built, the last message of which ends before entry `end`. */
static void send_messages(struct sending *s, struct send_batch *out, uint16_t end)
{
    bool repeated = false;
    size_t done = 0;
    while (done < out->count) {
        int sent = -1, failure = EAGAIN;
        if (!s->full) {
            sent = sendmmsg(s->socket, &out->messages[done], (unsigned)(out->count - done),
                            MSG_DONTWAIT | MSG_NOSIGNAL);
            failure = sent < 0 ? errno : 0;
        }
        if (sent > 0) {
            done += (size_t)sent;
            repeated = false;
            continue;
        }
        if (is_icmp_error(failure) && !repeated) {
            repeated = true;
            continue;
        }
        if (io_of(failure) == IO_AGAIN)
            s->full = true;
        uint16_t next = done + 1 < out->count ? out->first[done + 1] : end;
        message_failed(s, &out->messages[done], out->first[done], next, failure);
        done++;
        repeated = false;
    }
}

/* The entries from `first` up to but not `end`. */
static void send_range(struct sending *s, uint16_t first, uint16_t end, bool segment)
{
    struct send_batch out;
    for (uint16_t next = first; next != end;) {
        out.count = out.iov_count = 0;
        while (next != end && out.count < MESSAGES)
            next = build_message(s->sender, &out, next, segment);
        send_messages(s, &out, next);
    }
}

void udp_send_chain(struct udp_sender *sender, const struct udp_chain *chain)
{
    struct sending s = {.sender = sender, .socket = chain->socket, .full = false};
    send_range(&s, chain->first, UDP_SENDER_END, true);
}

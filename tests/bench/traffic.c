/* SPDX-License-Identifier: Apache-2.0 */
/* traffic.c - numbered datagrams, sent and received in batches. */
#include "tests/bench/traffic.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/bench/cpu.h"

#ifndef UDP_GRO
#define UDP_GRO 104
#endif

#define RUN_SIZE 65536 /* of the largest run */

/* Room for one IP_PKTINFO, aligned as cmsg_firsthdr wants it. */
union source {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(struct in_pktinfo))];
};

/* TRAFFIC_BATCH messages with a buffer and an address each. */
struct batch {
    struct mmsghdr messages[TRAFFIC_BATCH];
    struct iovec pieces[TRAFFIC_BATCH];
    struct sockaddr_in names[TRAFFIC_BATCH];
    uint8_t *bytes;
    size_t size; /* of one buffer */
};

struct traffic {
    int fd;
    unsigned flows, next_flow;
    uint64_t next_number;
    uint32_t run;
    struct sockaddr_in to;
    uint32_t from; /* source of the first flow, host byte order; the others follow */
    struct batch out, in;
    union source sources[TRAFFIC_BATCH];
};

static bool batch_init(struct batch *b, size_t size)
{
    b->size = size;
    b->bytes = calloc(TRAFFIC_BATCH, size);
    if (!b->bytes)
        return false;
    for (size_t i = 0; i < TRAFFIC_BATCH; i++) {
        b->pieces[i] = (struct iovec){.iov_base = b->bytes + i * size, .iov_len = size};
        struct msghdr *h = &b->messages[i].msg_hdr;
        h->msg_iov = &b->pieces[i];
        h->msg_iovlen = 1;
        h->msg_name = &b->names[i];
        h->msg_namelen = sizeof b->names[i];
    }
    return true;
}

int traffic_bind(const struct sockaddr_in *at, unsigned wait_ms)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    /* Losses are to be the tunnel's: 4 MiB where we may, else what the system allows. */
    int size = 4 << 20;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) != 0)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    struct timeval wait = {.tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000};
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait) == 0 &&
        bind(fd, (const struct sockaddr *)at, sizeof *at) == 0)
        return fd;
    int saved = errno;
    close(fd);
    errno = saved;
    return -1;
}

struct traffic *traffic_new(const struct sockaddr_in *to, struct in_addr from, unsigned flows,
                            size_t size)
{
    struct traffic *t = calloc(1, sizeof *t);
    if (!t)
        return NULL;
    struct sockaddr_in any = {.sin_family = AF_INET};
    t->to = *to;
    t->from = ntohl(from.s_addr);
    t->flows = flows;
    t->run = (uint32_t)clock_now_ns() ^ (uint32_t)getpid() << 16;
    t->fd = traffic_bind(&any, 100);
    if (t->fd < 0 || !batch_init(&t->out, size) || !batch_init(&t->in, size)) {
        traffic_free(t);
        return NULL;
    }
    for (size_t i = 0; i < TRAFFIC_BATCH; i++) {
        t->out.names[i] = *to;
        t->sources[i].header = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(struct in_pktinfo)),
                                                .cmsg_level = IPPROTO_IP,
                                                .cmsg_type = IP_PKTINFO};
        t->out.messages[i].msg_hdr.msg_control = &t->sources[i];
        t->out.messages[i].msg_hdr.msg_controllen = sizeof t->sources[i].room;
    }
    return t;
}

void traffic_free(struct traffic *t)
{
    if (!t)
        return;
    if (t->fd >= 0)
        close(t->fd);
    free(t->out.bytes);
    free(t->in.bytes);
    free(t);
}

int traffic_socket(const struct traffic *t)
{
    return t->fd;
}

static bool send_batch(struct traffic *t, unsigned count, uint32_t epoch)
{
    struct stamp stamp = {.run = t->run, .epoch = epoch, .sent_ns = clock_now_ns()};
    for (unsigned i = 0; i < count; i++) {
        stamp.number = t->next_number++;
        memcpy(t->out.pieces[i].iov_base, &stamp, sizeof stamp);
        struct in_pktinfo info = {.ipi_spec_dst.s_addr = htonl(t->from + t->next_flow)};
        memcpy(CMSG_DATA(&t->sources[i].header), &info, sizeof info);
        t->next_flow = (t->next_flow + 1) % t->flows;
    }
    for (unsigned sent = 0; sent < count;) {
        int n = sendmmsg(t->fd, t->out.messages + sent, count - sent, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return false;
        sent += (unsigned)n;
    }
    return true;
}

bool traffic_send(struct traffic *t, unsigned count, uint32_t epoch)
{
    while (count > 0) {
        unsigned n = count < TRAFFIC_BATCH ? count : TRAFFIC_BATCH;
        if (!send_batch(t, n, epoch))
            return false;
        count -= n;
    }
    return true;
}

bool traffic_join_runs(struct traffic *t, int fd)
{
    int on = 1;
    free(t->in.bytes);
    return batch_init(&t->in, RUN_SIZE) &&
           setsockopt(fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on) == 0;
}

/* Hand over the stamps of one message, which may be a run; returns how many datagrams it was. */
static int take_message(struct traffic *t, const struct mmsghdr *message,
                        void (*each)(void *arg, const struct stamp *s), void *arg)
{
    const uint8_t *bytes = message->msg_hdr.msg_iov->iov_base;
    int count = 0;
    for (size_t at = 0; at + t->out.size <= message->msg_len; at += t->out.size, count++) {
        struct stamp stamp;
        memcpy(&stamp, bytes + at, sizeof stamp);
        if (stamp.run == t->run)
            each(arg, &stamp);
    }
    return count;
}

int traffic_receive(struct traffic *t, int fd, void (*each)(void *arg, const struct stamp *s),
                    void *arg)
{
    int n = recvmmsg(fd, t->in.messages, TRAFFIC_BATCH, MSG_WAITFORONE, NULL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    int count = 0;
    for (int i = 0; i < n; i++)
        count += take_message(t, &t->in.messages[i], each, arg);
    return count;
}

void traffic_echo(int fd, size_t size)
{
    struct batch b = {0};
    if (!batch_init(&b, size))
        return;
    for (;;) {
        for (size_t i = 0; i < TRAFFIC_BATCH; i++) {
            b.pieces[i].iov_len = size;
            b.messages[i].msg_hdr.msg_namelen = sizeof b.names[i];
        }
        int n = recvmmsg(fd, b.messages, TRAFFIC_BATCH, MSG_WAITFORONE, NULL);
        for (int i = 0; i < n; i++)
            b.pieces[i].iov_len = b.messages[i].msg_len;
        for (int sent = 0; sent < n;) {
            int m = sendmmsg(fd, b.messages + sent, (unsigned)(n - sent), 0);
            sent += m > 0 ? m : 1; /* a datagram that cannot be sent is a loss, and counted so */
        }
    }
}

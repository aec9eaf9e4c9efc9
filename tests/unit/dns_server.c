/* SPDX-License-Identifier: Apache-2.0 */
/* dns_server.c - a name server for tests: A and AAAA over UDP, RFC 1035. */
#include "tests/unit/dns_server.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/platform/datagram.h"
#include "daemon/platform/posix/address.h"
#include "proto/buffer.h"

enum {
    TYPE_A = 1,
    TYPE_AAAA = 28,
    CLASS_IN = 1,
    HEADER_SIZE = 12,
    RCODE_FAILURE = 2,
    RCODE_NAME = 3
};

/* The name of the question, in text. */
static void read_name(struct reader *r, char name[256])
{
    size_t at = 0;
    for (uint8_t len = reader_u8(r); len && !r->failed; len = reader_u8(r)) {
        if (at)
            name[at++] = '.';
        reader_copy(r, name + at, len);
        at += len;
    }
    name[at] = '\0';
}

static void write_record(struct writer *w, const struct udptun_endpoint *ep, uint32_t ttl_s)
{
    size_t size = ep->family == UDPTUN_ENDPOINT_IP4 ? 4 : 16;
    writer_u16(w, 0xc000 | HEADER_SIZE); /* the name of the question */
    writer_u16(w, ep->family == UDPTUN_ENDPOINT_IP4 ? TYPE_A : TYPE_AAAA);
    writer_u16(w, CLASS_IN);
    writer_u32(w, ttl_s);
    writer_u16(w, (uint16_t)size);
    writer_bytes(w, ep->ip, size);
}

static size_t answer(const struct dns_server *s, const uint8_t *query, size_t size, uint8_t *out,
                     size_t room)
{
    char name[256];
    struct reader r = reader_of(query, size);
    uint16_t id = reader_u16(&r);
    reader_bytes(&r, HEADER_SIZE - 2);
    read_name(&r, name);
    uint16_t type = reader_u16(&r);
    reader_u16(&r);
    if (r.failed || (s->silent_about_ip6 && type == TYPE_AAAA))
        return 0;
    size_t question_size = (size_t)(r.at - query) - HEADER_SIZE;
    struct writer w = writer_of(out, room);
    uint16_t count = 0;
    bool known = false;
    writer_room(&w, HEADER_SIZE);
    writer_bytes(&w, query + HEADER_SIZE, question_size);
    for (const struct dns_record *record = s->records; record->name && !s->fails; record++) {
        struct udptun_endpoint ep;
        if (strcasecmp(record->name, name) != 0 || !endpoint_parse_ip(record->ip, &ep))
            continue;
        known = true;
        if (type != (ep.family == UDPTUN_ENDPOINT_IP4 ? TYPE_A : TYPE_AAAA))
            continue;
        write_record(&w, &ep, record->ttl_s);
        count++;
    }
    struct writer header = writer_of(out, HEADER_SIZE);
    writer_u16(&header, id);
    unsigned code = s->fails ? RCODE_FAILURE : known ? 0 : RCODE_NAME;
    writer_u16(&header, (uint16_t)(0x8180 | code)); /* an answer, recursion there */
    writer_u16(&header, 1);
    writer_u16(&header, count);
    writer_u32(&header, 0);
    return writer_size(&w);
}

static void on_question(struct ev_loop *loop, ev_io *io, int events)
{
    struct dns_server *s = (struct dns_server *)io->data;
    uint8_t query[512], reply[1024];
    union socket_address from;
    socklen_t from_size = sizeof from;
    (void)loop;
    (void)events;
    ssize_t got = recvfrom(io->fd, query, sizeof query, 0, &from.any, &from_size);
    if (got < 0)
        return;
    s->questions++;
    size_t size = s->silent ? 0 : answer(s, query, (size_t)got, reply, sizeof reply);
    if (size)
        sendto(io->fd, reply, size, 0, &from.any, from_size);
}

bool dns_server_start(struct dns_server *s, struct ev_loop *loop, const struct dns_record *records)
{
    return dns_server_start_at(s, loop, records, 1);
}

bool dns_server_start_at(struct dns_server *s, struct ev_loop *loop,
                         const struct dns_record *records, uint8_t host)
{
    struct udptun_endpoint ep = endpoint_ip4(127, 0, 0, host, 53);
    udptun_socket fd;
    if (udp_open(&ep, NULL, 0, &fd) != 0)
        return false;
    *s = (struct dns_server){.loop = loop, .records = records};
    ev_io_init(&s->io, on_question, fd, EV_READ);
    s->io.data = s;
    ev_io_start(loop, &s->io);
    return true;
}

void dns_server_stop(struct dns_server *s)
{
    ev_io_stop(s->loop, &s->io);
    close(s->io.fd);
}

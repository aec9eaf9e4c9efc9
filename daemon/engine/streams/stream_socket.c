/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stream_socket.c - a conn over a socket.
 *
 * Reading is bounded per turn, so that one busy stream does not starve the others; writing goes
 * on until the socket is full, and only then is its writability watched.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/engine/tunnel/carrier.h"
#include "daemon/platform/sockaddr.h"
#include "proto/error.h"

/* System calls per conn and turn. */
enum { MAX_READS = 4, MAX_WRITES = 16 };

struct fd_carrier {
    struct carrier base;
    int fd;
    ev_io readable;
    ev_io writable; /* active only while the socket is full */
};

static struct fd_carrier *of(struct carrier *c)
{
    return (struct fd_carrier *)c;
}

static void lost(struct fd_carrier *f, int sys_errno)
{
    struct tunnel *t = f->base.tunnel;
    char text[ERRNO_TEXT_SIZE];
    /* That the peer ended it means more to the machine, who knows how far things were. */
    const char *reason = sys_errno ? errno_text(sys_errno, text) : "";
    udpt_conn_lost(f->base.conn, reason, t->engine->now_us);
    tunnel_touch(t);
}

static void on_readable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct fd_carrier *f = (struct fd_carrier *)watcher->data;
    uint8_t *buffer = f->base.tunnel->engine->read_buffer;
    for (int i = 0; i < MAX_READS; i++) {
        ssize_t got = recv(f->fd, buffer, ENGINE_READ_SIZE, 0);
        if (got < 0) {
            if (errno != EAGAIN && errno != EINTR)
                lost(f, errno);
            return;
        }
        if (got == 0) {
            lost(f, 0);
            return;
        }
        if (!carrier_input(&f->base, buffer, (size_t)got) || got < ENGINE_READ_SIZE)
            return;
    }
}

/* Returns what sendmsg() returned, 0 when there was nothing to send. */
static ssize_t write_once(struct fd_carrier *f)
{
    struct udpt_span spans[2];
    struct iovec pieces[2];
    int count = udpt_conn_output(f->base.conn, spans);
    for (int i = 0; i < count; i++)
        pieces[i] = (struct iovec){(void *)(uintptr_t)spans[i].data, spans[i].size};
    if (count == 0)
        return 0;
    struct msghdr message = {.msg_iov = pieces, .msg_iovlen = (size_t)count};
    return sendmsg(f->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void flush(struct carrier *c)
{
    struct fd_carrier *f = of(c);
    struct udptun_engine *e = c->tunnel->engine;
    for (int i = 0; i < MAX_WRITES; i++) {
        ssize_t sent = write_once(f);
        if (sent > 0) {
            udpt_conn_sent(c->conn, (size_t)sent, e->now_us);
            continue;
        }
        if (sent == 0) {
            ev_io_stop(e->loop, &f->writable);
            return;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN) {
            lost(f, errno);
            return;
        }
        break;
    }
    ev_io_start(e->loop, &f->writable);
}

static void on_writable(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)loop;
    (void)events;
    struct fd_carrier *f = (struct fd_carrier *)watcher->data;
    struct tunnel *t = f->base.tunnel;
    flush(&f->base);
    tunnel_touch(t);
}

static void close_fd(struct carrier *c)
{
    struct fd_carrier *f = of(c);
    struct ev_loop *loop = c->tunnel->engine->loop;
    ev_io_stop(loop, &f->readable);
    ev_io_stop(loop, &f->writable);
    close(f->fd);
    free(f);
}

static const struct carrier_ops fd_ops = {.flush = flush, .close = close_fd};

bool carrier_attach_fd(struct tunnel *t, struct udpt_conn *conn, int fd)
{
    struct fd_carrier *f = (struct fd_carrier *)calloc(1, sizeof *f);
    if (!f) {
        close(fd);
        return false;
    }
    f->fd = fd;
    ev_io_init(&f->readable, on_readable, fd, EV_READ);
    ev_io_init(&f->writable, on_writable, fd, EV_WRITE);
    f->readable.data = f;
    f->writable.data = f;
    carrier_init(&f->base, &fd_ops, t, conn);
    ev_io_start(t->engine->loop, &f->readable);
    return true;
}

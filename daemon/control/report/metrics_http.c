/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_http.c - see metrics_http.h.
 *
 * One request a connection: it is read and parsed as it comes, answered, and the connection is
 * closed once the client has closed it, or after REQUEST_TIME_S at the latest. A request is
 * bounded by HEAD_SIZE, connections by MAX_SCRAPERS, so that a stranger on this host costs little.
 */
#include "daemon/control/report/metrics_http.h"

#include <errno.h>
#include <http_parser.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/control/report/metrics.h"
#include "daemon/control/report/status_reply.h"
#include "daemon/control/store/state.h"
#include "daemon/platform/network.h"
#include "daemon/platform/process/command_listener.h"
#include "proto/endpoint.h"

#define MAX_SCRAPERS   16
#define HEAD_SIZE      ((size_t)8 << 10)
#define TARGET_SIZE    64
#define REQUEST_TIME_S 5.
#define ACCEPT_PAUSE_S 1.
#define BACKLOG        16

struct metrics_http {
    struct control *control;
    struct command_listener listener; /* of a Unix socket; `socket` NO_SOCKET: none */
    int fd;
    ev_io accepting;
    ev_timer pause; /* until it is tried again, when descriptors ran out */
    struct list scrapers;
    unsigned count;
};

struct scraper {
    struct list node;
    struct metrics_http *http;
    http_parser parser;
    size_t received;
    char target[TARGET_SIZE];
    size_t target_size; /* may be more than fits, and then is no target of ours */
    bool complete;
    char *out;
    size_t out_size, out_at;
    ev_io io;
    ev_timer deadline;
};

static void scraper_end(struct scraper *s)
{
    struct ev_loop *loop = s->http->control->loop;
    ev_io_stop(loop, &s->io);
    ev_timer_stop(loop, &s->deadline);
    close(s->io.fd);
    list_remove(&s->node);
    s->http->count--;
    free(s->out);
    free(s);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static char *metrics_now(struct control *control)
{
    status_msg *status = status_of_all(control, NULL);
    char *text = status ? metrics_text(status) : NULL;
    if (status)
        protobuf_c_message_free_unpacked(&status->base, NULL);
    return text;
}

static void set_answer(struct scraper *s, const char *status, const char *type, const char *body,
                       bool head_only)
{
    FILE *out = open_memstream(&s->out, &s->out_size);
    if (!out)
        return;
    fprintf(out,
            "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
            "Cache-Control: no-store\r\nConnection: close\r\n\r\n",
            status, type, strlen(body));
    if (!head_only)
        fputs(body, out);
    fclose(out);
}

static void set_error(struct scraper *s, const char *status)
{
    char body[64];
    snprintf(body, sizeof body, "%s\n", status);
    set_answer(s, status, "text/plain; charset=utf-8", body, false);
}

static void answer(struct scraper *s)
{
    bool is_ours = strcmp(s->target, "/metrics") == 0 || strncmp(s->target, "/metrics?", 9) == 0;
    bool head_only = s->parser.method == HTTP_HEAD;
    if (!is_ours) {
        set_error(s, "404 Not Found");
    } else if (s->parser.method != HTTP_GET && !head_only) {
        set_error(s, "405 Method Not Allowed");
    } else {
        char *text = metrics_now(s->http->control);
        if (text)
            set_answer(s, "200 OK", METRICS_TYPE, text, head_only);
        else
            set_error(s, "500 Internal Server Error");
        free(text);
    }
}

/* ---- one connection -------------------------------------------------------------------------- */

static int on_target(http_parser *parser, const char *text, size_t size)
{
    struct scraper *s = parser->data;
    for (size_t i = 0; i < size; i++, s->target_size++) {
        if (s->target_size < TARGET_SIZE - 1)
            s->target[s->target_size] = text[i];
    }
    return 0;
}

static int on_complete(http_parser *parser)
{
    struct scraper *s = parser->data;
    s->complete = true;
    return 1; /* what comes behind it is nobody's */
}

static const http_parser_settings settings = {
    .on_url = on_target,
    .on_message_complete = on_complete,
};

/* False when the connection is over. */
static bool receive(struct scraper *s)
{
    char data[2048];
    ssize_t n = recv(s->io.fd, data, sizeof data, 0);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    if (s->out)
        return true; /* answered: it is read so that the close is no reset */
    s->received += (size_t)n;
    http_parser_execute(&s->parser, &settings, data, (size_t)n);
    if (s->complete)
        answer(s);
    else if (HTTP_PARSER_ERRNO(&s->parser) != HPE_OK || s->parser.upgrade)
        set_error(s, "400 Bad Request");
    else if (s->received > HEAD_SIZE)
        set_error(s, "431 Request Header Fields Too Large");
    else
        return true;
    return s->out != NULL;
}

static bool transmit(struct scraper *s)
{
    while (s->out_at < s->out_size) {
        ssize_t n = send(s->io.fd, s->out + s->out_at, s->out_size - s->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        s->out_at += (size_t)n;
    }
    shutdown(s->io.fd, SHUT_WR);
    return true;
}

static void on_io(struct ev_loop *loop, ev_io *watcher, int events)
{
    struct scraper *s = watcher->data;
    bool alive = !(events & EV_READ) || receive(s);
    bool sending = s->out_at < s->out_size;
    alive = alive && (!sending || transmit(s));
    if (!alive) {
        scraper_end(s);
        return;
    }
    int wanted = s->out_at < s->out_size ? EV_READ | EV_WRITE : EV_READ;
    ev_io_stop(loop, watcher);
    ev_io_set(watcher, watcher->fd, wanted);
    ev_io_start(loop, watcher);
}

static void on_deadline(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    scraper_end(timer->data);
}

static void on_accept(struct ev_loop *loop, ev_io *watcher, int events)
{
    (void)events;
    struct metrics_http *m = watcher->data;
    int fd = accept4(watcher->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)) {
        /* It stays readable, and the loop must not turn for nothing. */
        ev_io_stop(loop, watcher);
        ev_timer_set(&m->pause, ACCEPT_PAUSE_S, 0.);
        ev_timer_start(loop, &m->pause);
    }
    if (fd < 0)
        return;
    struct scraper *s = m->count < MAX_SCRAPERS ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        close(fd);
        return;
    }
    s->http = m;
    http_parser_init(&s->parser, HTTP_REQUEST);
    s->parser.data = s;
    ev_io_init(&s->io, on_io, fd, EV_READ);
    ev_timer_init(&s->deadline, on_deadline, REQUEST_TIME_S, 0.);
    s->io.data = s->deadline.data = s;
    list_append(&m->scrapers, &s->node);
    m->count++;
    ev_io_start(loop, &s->io);
    ev_timer_start(loop, &s->deadline);
}

static void on_pause_over(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)events;
    struct metrics_http *m = timer->data;
    ev_io_start(loop, &m->accepting);
}

/* ---- the listener ---------------------------------------------------------------------------- */

static socklen_t to_sockaddr(const struct udptun_endpoint *ep, struct sockaddr_storage *to)
{
    memset(to, 0, sizeof *to);
    if (ep->family == UDPTUN_ENDPOINT_IP4) {
        struct sockaddr_in *in = (struct sockaddr_in *)to;
        in->sin_family = AF_INET;
        in->sin_port = htons(ep->port);
        memcpy(&in->sin_addr, ep->ip, sizeof in->sin_addr);
        return sizeof *in;
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)to;
    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(ep->port);
    in6->sin6_scope_id = ep->scope;
    memcpy(&in6->sin6_addr, ep->ip, sizeof in6->sin6_addr);
    return sizeof *in6;
}

static bool parse_place(const char *text, struct udptun_endpoint *place)
{
    struct host_port host;
    return host_port_parse(text, false, &host) == NULL && network_address_of(&host, place) == IO_OK;
}

static int listen_tcp(struct metrics_http *m, const char *where, struct udptun_error *err)
{
    struct udptun_endpoint place;
    struct sockaddr_storage address;
    int yes = 1;
    if (!parse_place(where, &place))
        return error_set(err, UDPTUN_E_INVALID, "metrics",
                         "--metrics %.64s: HOST:PORT or unix:PATH is expected", where);
    if (!endpoint_is_loopback(&place))
        log_write(m->control->log, UDPTUN_LOG_WARN, "metrics",
                  "whoever can reach %.64s can read the names and numbers of all tunnels", where);
    socklen_t address_size = to_sockaddr(&place, &address);
    m->fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (m->fd < 0 || setsockopt(m->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(m->fd, (struct sockaddr *)&address, address_size) < 0 || listen(m->fd, BACKLOG) < 0)
        return error_set_errno(err, errno == EADDRINUSE ? UDPTUN_E_PORT_IN_USE : UDPTUN_E_SYSTEM,
                               errno, NULL, "--metrics %.64s", where);
    return 0;
}

struct metrics_http *metrics_http_open(struct control *control, const char *where,
                                       struct udptun_error *err)
{
    struct metrics_http *m = calloc(1, sizeof *m);
    if (!m) {
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        return NULL;
    }
    m->control = control;
    m->fd = m->listener.socket = -1;
    list_init(&m->scrapers);
    ev_init(&m->accepting, on_accept);
    ev_init(&m->pause, on_pause_over);
    m->pause.data = m;
    const struct command_access access = {
        .parents = true, .mode = 0660, .owner = NO_OWNER, .program = "udptund"};
    int rc;
    if (strncmp(where, "unix:", 5) == 0 && where[5]) {
        rc = command_listener_open(&m->listener, where + 5, &access, err);
        m->fd = m->listener.socket;
    } else {
        rc = listen_tcp(m, where, err);
    }
    if (rc < 0) {
        metrics_http_close(m);
        return NULL;
    }
    ev_io_init(&m->accepting, on_accept, m->fd, EV_READ);
    m->accepting.data = m;
    ev_io_start(control->loop, &m->accepting);
    log_write(control->log, UDPTUN_LOG_INFO, "metrics", "metrics on %s", where);
    return m;
}

void metrics_http_close(struct metrics_http *m)
{
    if (!m)
        return;
    ev_io_stop(m->control->loop, &m->accepting);
    ev_timer_stop(m->control->loop, &m->pause);
    LIST_FOREACH_SAFE (node, &m->scrapers)
        scraper_end(list_entry(node, struct scraper, node));
    if (m->listener.socket >= 0)
        command_listener_close(&m->listener);
    else if (m->fd >= 0)
        close(m->fd);
    free(m);
}

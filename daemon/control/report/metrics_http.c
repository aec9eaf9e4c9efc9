/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics_http.c - see metrics_http.h.
 *
 * One request a connection: it is read and parsed as it comes, answered, and the connection is
 * closed once the client has closed it, or after REQUEST_TIME_US at the latest. A request is
 * bounded by HEAD_SIZE, connections by MAX_SCRAPERS, so that a stranger on this host costs little.
 */
#include "daemon/control/report/metrics_http.h"

#include <http_parser.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/report/metrics.h"
#include "daemon/control/report/status_reply.h"
#include "daemon/control/store/state.h"
#include "daemon/platform/accepting.h"
#include "daemon/platform/network.h"
#include "daemon/platform/process/command_listener.h"
#include "proto/endpoint.h"

#define MAX_SCRAPERS    16
#define HEAD_SIZE       ((size_t)8 << 10)
#define TARGET_SIZE     64
#define REQUEST_TIME_US 5000000
#define ACCEPT_BATCH    16

struct metrics_http {
    struct control *control;
    struct command_listener listener; /* of a Unix socket; `socket` NO_SOCKET: none */
    udptun_socket listening;          /* that one, or our own; NO_SOCKET: none */
    struct accepting accepting;
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
    struct io_watch io; /* its socket is the connection's */
    struct timer deadline;
};

static void scraper_end(struct scraper *s)
{
    watch_stop(&s->io);
    timer_stop(&s->deadline);
    socket_close(s->io.socket);
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

static void metrics_http_answer(struct scraper *s)
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
static bool metrics_http_receive(struct scraper *s)
{
    char data[2048];
    size_t n;
    int failure = socket_read(s->io.socket, data, sizeof data, &n);
    if (failure || n == 0)
        return io_of(failure) == IO_AGAIN;
    if (s->out)
        return true; /* answered: it is read so that the close is no reset */
    s->received += n;
    http_parser_execute(&s->parser, &settings, data, n);
    if (s->complete)
        metrics_http_answer(s);
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
        size_t n;
        int failure = socket_write(s->io.socket, s->out + s->out_at, s->out_size - s->out_at, &n);
        if (failure)
            return io_of(failure) == IO_AGAIN;
        s->out_at += n;
    }
    socket_end(s->io.socket);
    return true;
}

static void on_ready(void *arg, unsigned events)
{
    struct scraper *s = arg;
    bool alive = !(events & LOOP_READ) || metrics_http_receive(s);
    bool sending = s->out_at < s->out_size;
    alive = alive && (!sending || transmit(s));
    if (!alive) {
        scraper_end(s);
        return;
    }
    watch_set(&s->io, s->out_at < s->out_size ? LOOP_READ | LOOP_WRITE : LOOP_READ);
}

static void on_deadline(void *arg)
{
    scraper_end(arg);
}

static void on_taken(void *arg, udptun_socket socket, const struct udptun_endpoint *from)
{
    (void)from;
    struct metrics_http *m = arg;
    struct scraper *s = m->count < MAX_SCRAPERS ? calloc(1, sizeof *s) : NULL;
    if (!s) {
        socket_close(socket);
        return;
    }
    s->http = m;
    http_parser_init(&s->parser, HTTP_REQUEST);
    s->parser.data = s;
    watch_init(&s->io, m->control->loop, on_ready, s);
    timer_init(&s->deadline, m->control->loop, on_deadline, s);
    if (watch_start(&s->io, socket, LOOP_READ) < 0) {
        socket_close(socket);
        free(s);
        return;
    }
    list_append(&m->scrapers, &s->node);
    m->count++;
    timer_start(&s->deadline, REQUEST_TIME_US);
}

static const struct accepting_ops accepting_ops = {.taken = on_taken};

/* ---- the listener ---------------------------------------------------------------------------- */

static bool parse_place(const char *text, struct udptun_endpoint *place)
{
    struct host_port host;
    return host_port_parse(text, false, &host) == NULL && network_address_of(&host, place) == IO_OK;
}

static int listen_tcp(struct metrics_http *m, const char *where, struct udptun_error *err)
{
    struct udptun_endpoint place;
    if (!parse_place(where, &place))
        return error_set(err, UDPTUN_E_INVALID, "metrics",
                         "--metrics %.64s: HOST:PORT or unix:PATH is expected", where);
    if (!endpoint_is_loopback(&place))
        log_write(m->control->log, UDPTUN_LOG_WARN, "metrics",
                  "whoever can reach %.64s can read the names and numbers of all tunnels", where);
    int failure = socket_listen_both(&place, &m->listening);
    if (failure == 0)
        return 0;
    int code = io_of(failure) == IO_IN_USE ? UDPTUN_E_PORT_IN_USE : UDPTUN_E_SYSTEM;
    return error_set_errno(err, code, failure, NULL, "--metrics %.64s", where);
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
    m->listening = m->listener.socket = NO_SOCKET;
    list_init(&m->scrapers);
    accepting_init(&m->accepting, control->loop, &accepting_ops, m, ACCEPT_BATCH);
    const struct command_access access = {
        .parents = true, .mode = 0660, .owner = NO_OWNER, .program = "udptund"};
    int rc;
    if (strncmp(where, "unix:", 5) == 0 && where[5]) {
        rc = command_listener_open(&m->listener, where + 5, &access, err);
        m->listening = m->listener.socket;
    } else {
        rc = listen_tcp(m, where, err);
    }
    if (rc == 0 && accepting_start(&m->accepting, m->listening) < 0)
        rc = error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    if (rc < 0) {
        metrics_http_close(m);
        return NULL;
    }
    log_write(control->log, UDPTUN_LOG_INFO, "metrics", "metrics on %s", where);
    return m;
}

void metrics_http_close(struct metrics_http *m)
{
    if (!m)
        return;
    accepting_stop(&m->accepting);
    LIST_FOREACH_SAFE (node, &m->scrapers)
        scraper_end(list_entry(node, struct scraper, node));
    if (m->listener.socket != NO_SOCKET)
        command_listener_close(&m->listener);
    else if (m->listening != NO_SOCKET)
        socket_close(m->listening);
    free(m);
}

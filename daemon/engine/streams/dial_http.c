/* SPDX-License-Identifier: Apache-2.0 */
/* dial_http.c - a CONNECT through an HTTP proxy (RFC 9110 section 9.3.6), Basic authentication. */
#include <sodium.h>
#include <stdio.h>
#include <strings.h>

#include "daemon/engine/streams/dial_proxy.h"
#include "proto/error.h"

enum { HEADER_MAX = 16384, STATUS_MAX_LEN = 80 };

static void write_text(struct writer *w, const char *text)
{
    writer_bytes(w, text, strlen(text));
}

/* "Proxy-Authorization: Basic ..." (RFC 7617). */
static void write_credentials(struct writer *w, const struct url *via)
{
    char plain[2 * URL_USER_SIZE];
    char encoded[sodium_base64_ENCODED_LEN(sizeof plain, sodium_base64_VARIANT_ORIGINAL)];
    int len = snprintf(plain, sizeof plain, "%s:%s", via->user, via->password);
    sodium_bin2base64(encoded, sizeof encoded, (const unsigned char *)plain, (size_t)len,
                      sodium_base64_VARIANT_ORIGINAL);
    write_text(w, "Proxy-Authorization: Basic ");
    write_text(w, encoded);
    write_text(w, "\r\n");
    sodium_memzero(plain, sizeof plain);
    sodium_memzero(encoded, sizeof encoded);
}

void dial_http_begin(struct dial_proxy *p)
{
    char target[URL_TEXT_SIZE];
    struct url url = {.kind = URL_HOST_PORT, .host = *p->target};
    url_format(&url, target);
    struct writer w = writer_of(p->out, sizeof p->out);
    write_text(&w, "CONNECT ");
    write_text(&w, target);
    write_text(&w, " HTTP/1.1\r\nHost: ");
    write_text(&w, target);
    write_text(&w, "\r\n");
    if (p->via->has_user)
        write_credentials(&w, p->via);
    write_text(&w, "\r\n");
    p->out_size = writer_size(&w);
    memset(&p->http, 0, sizeof p->http);
}

static enum dial_step dial_http_fail(struct dial_proxy *p, int code, enum io what, const char *text)
{
    error_set(&p->err, code, NULL, "%s", text);
    p->err.sys_errno = io_error(what);
    return DIAL_FAILED;
}

/* "HTTP/1.x NNN"; 0 when the line is none. */
static unsigned status_of(const char *line)
{
    if (strncasecmp(line, "HTTP/1.", 7) != 0 || line[7] == '\0' || line[8] != ' ')
        return 0;
    unsigned status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line[i] < '0' || line[i] > '9')
            return 0;
        status = status * 10 + (unsigned)(line[i] - '0');
    }
    return status;
}

/* The header is complete. */
static enum dial_step answered(struct dial_proxy *p)
{
    unsigned status = status_of(p->http.line);
    if (status >= 200 && status < 300)
        return DIAL_OPEN;
    if (status >= 100 && status < 200) {
        /* An interim answer; the real one follows (RFC 9110 section 15.2). */
        size_t so_far = p->http.header_size;
        memset(&p->http, 0, sizeof p->http);
        p->http.header_size = so_far;
        return DIAL_WAIT;
    }
    if (status == 0)
        return dial_http_fail(p, UDPTUN_E_UNREACHABLE, IO_PROTOCOL, "not an HTTP proxy");
    if (status == 407)
        return dial_http_fail(p, UDPTUN_E_AUTH, IO_DENIED,
                              p->via->has_user ? "wrong user or password" : "wants a password");
    int code = UDPTUN_E_UNREACHABLE;
    enum io what = IO_FAILED;
    if (status == 403) {
        code = UDPTUN_E_PERMISSION;
        what = IO_DENIED;
    } else if (status == 502 || status == 503 || status == 504) {
        what = IO_HOST_UNREACHABLE;
    }
    error_set(&p->err, code, NULL, "HTTP: %.*s", STATUS_MAX_LEN, p->http.line + 9);
    p->err.sys_errno = io_error(what);
    return DIAL_FAILED;
}

/* One character of the header. True: it was the last. */
static bool take_char(struct dial_proxy *p, char c)
{
    p->http.header_size++;
    if (c == '\n') {
        /* The second in a row, carriage returns aside, ends it. */
        bool ended = p->http.line_done && p->http.line_chars == 0;
        p->http.line_done = true;
        p->http.line_chars = 0;
        return ended;
    }
    if (c != '\r')
        p->http.line_chars++;
    /* What is shown to a person is kept printable. */
    if (!p->http.line_done && c != '\r' && p->http.line_len + 1 < sizeof p->http.line)
        p->http.line[p->http.line_len++] = c >= ' ' && c <= '~' ? c : '?';
    return false;
}

enum dial_step dial_http_take(struct dial_proxy *p, const uint8_t *data, size_t size, size_t *taken)
{
    *taken = 0;
    while (*taken < size) {
        if (take_char(p, (char)data[(*taken)++])) {
            enum dial_step step = answered(p);
            if (step != DIAL_WAIT)
                return step;
        }
        /* Something else may be listening there: no need to hear it out. */
        if (p->http.line_done && status_of(p->http.line) == 0)
            return dial_http_fail(p, UDPTUN_E_UNREACHABLE, IO_PROTOCOL, "not an HTTP proxy");
        if (p->http.header_size >= HEADER_MAX)
            return dial_http_fail(p, UDPTUN_E_UNREACHABLE, IO_PROTOCOL,
                                  "header of more than 16 KiB");
    }
    return DIAL_WAIT;
}

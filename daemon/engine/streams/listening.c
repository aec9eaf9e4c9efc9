/* SPDX-License-Identifier: Apache-2.0 */
/* listening.c - opening and closing what a tunnel listens on. */
#include "daemon/engine/streams/listening.h"

#include <string.h>

#include "daemon/engine/core/path_guard.h"
#include "daemon/platform/datagram.h"
#include "daemon/platform/network.h"

void listening_init(struct listening *l)
{
    *l = (struct listening){.kind = URL_NONE, .socket = NO_SOCKET};
}

static bool has_ip6(void)
{
    const struct udptun_endpoint loopback = {.family = UDPTUN_ENDPOINT_IP6, .ip = {[15] = 1}};
    return path_has_address(&loopback);
}

/* Why the system does not have an address, and what helps; NULL: it says so itself. */
static const char *missing_address(const struct url *url, enum io what)
{
    bool is_ip6 = url->kind != URL_UNIX && url->host.ep.family == UDPTUN_ENDPOINT_IP6;
    if (is_ip6 && (what == IO_NO_ADDRESS || what == IO_NO_FAMILY) && !has_ip6())
        return "IPv6 is switched off on this host (net.ipv6.conf.all.disable_ipv6)";
    return what == IO_NO_ADDRESS ? "this host does not have the address" : NULL;
}

static int listening_failed(const struct url *url, int failure, struct udptun_error *err)
{
    char place[URL_TEXT_SIZE];
    struct url plain = *url;
    const char *text = url->path;
    if (url->kind != URL_UNIX) {
        plain.kind = URL_HOST_PORT;
        text = url_format(&plain, place);
    }
    int code = io_code(io_of(failure));
    if (code == UDPTUN_E_PORT_IN_USE) {
        error_set(err, code, "listen", "listen: %s is in use", text);
        if (err)
            err->sys_errno = failure;
        return code;
    }
    char cause[IO_TEXT_SIZE];
    const char *why = missing_address(url, io_of(failure));
    error_set(err, code, "listen", "listen: %s: %s", text, why ? why : io_text(failure, cause));
    if (err)
        err->sys_errno = failure;
    return code;
}

/* 0, or the failure. */
static int open_at(struct listening *l, const struct url *url)
{
    struct udptun_endpoint at;
    enum io what = network_address_of(&url->host, &at);
    if (what != IO_OK)
        return io_error(what);
    /* Apps accept a reply only from the address they sent to, but routing may pick another one. */
    unsigned wants = endpoint_is_unspecified(&at) ? UDP_WANT_LOCAL : 0;
    return url->kind == URL_UDP ? udp_open(&at, NULL, wants, &l->socket)
                                : socket_listen(&at, &l->socket);
}

int listening_open(struct listening *l, const struct url *url, struct udptun_error *err)
{
    int failure;
    listening_init(l);
    if (url->kind == URL_UNIX)
        failure = socket_listen_local(url->path, &l->socket);
    else
        failure = open_at(l, url);
    if (failure)
        return listening_failed(url, failure, err);
    l->kind = url->kind;
    if (url->kind == URL_UNIX) {
        memcpy(l->path, url->path, sizeof l->path);
        url_format(url, l->url);
    } else {
        l->bound = socket_own(l->socket);
        url_format_bound(url, &l->bound, l->url);
    }
    return UDPTUN_OK;
}

void listening_close(struct listening *l)
{
    if (l->socket != NO_SOCKET)
        socket_close(l->socket);
    if (l->path[0])
        socket_unlink_local(l->path);
    listening_init(l);
}

void listening_move(struct listening *to, struct listening *from)
{
    *to = *from;
    listening_init(from);
}

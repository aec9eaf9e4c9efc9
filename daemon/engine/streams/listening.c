/* SPDX-License-Identifier: Apache-2.0 */
/* listening.c - opening and closing what a tunnel listens on. */
#include "daemon/engine/streams/listening.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/error.h"

void listening_init(struct listening *l)
{
    *l = (struct listening){.kind = URL_NONE, .fd = -1};
}

static int code_of(int sys_errno)
{
    switch (sys_errno) {
    case EADDRINUSE:
        return UDPTUN_E_PORT_IN_USE;
    case EACCES:
    case EPERM:
        return UDPTUN_E_PERMISSION;
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
    case ENAMETOOLONG:
    case ENOENT:
    case ENOTDIR:
        return UDPTUN_E_INVALID;
    case ENOMEM:
        return UDPTUN_E_NOMEM;
    }
    return UDPTUN_E_SYSTEM;
}

static int failed(const struct url *url, int sys_errno, struct udptun_error *err)
{
    char place[ENDPOINT_TEXT_SIZE] = "";
    const char *text = url->path;
    if (url->kind != URL_UNIX)
        text = endpoint_format(&url->host.ep, place);
    int code = code_of(sys_errno);
    if (code == UDPTUN_E_PORT_IN_USE) {
        error_set(err, code, "listen", "listen: %s is in use", text);
        if (err)
            err->sys_errno = sys_errno;
        return code;
    }
    char cause[ERRNO_TEXT_SIZE];
    error_set(err, code, "listen", "listen: %s: %s", text, errno_text(sys_errno, cause));
    if (err)
        err->sys_errno = sys_errno;
    return code;
}

int listening_open(struct listening *l, const struct url *url, struct udptun_error *err)
{
    listening_init(l);
    if (url->kind == URL_UNIX)
        l->fd = socket_listen_path(url->path);
    else if (url->kind == URL_UDP)
        l->fd = socket_bind_udp(&url->host.ep, NULL);
    else
        l->fd = socket_listen(&url->host.ep);
    if (l->fd < 0) {
        int sys_errno = -l->fd;
        listening_init(l);
        return failed(url, sys_errno, err);
    }
    l->kind = url->kind;
    if (url->kind == URL_UNIX) {
        memcpy(l->path, url->path, sizeof l->path);
        url_format(url, l->url);
    } else {
        l->bound = socket_local(l->fd);
        url_format_bound(url, &l->bound, l->url);
    }
    return UDPTUN_OK;
}

void listening_close(struct listening *l)
{
    if (l->fd >= 0)
        close(l->fd);
    if (l->path[0])
        unlink(l->path);
    listening_init(l);
}

void listening_move(struct listening *to, struct listening *from)
{
    *to = *from;
    listening_init(from);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dialer.h - a connected stream to a server: straight, through a proxy, or to a Unix socket.
 *
 * One dialer makes one attempt. The stream that it hands over stands at the first byte of the far
 * end: nothing of the proxy's is left in it, and nothing behind was taken.
 */
#ifndef ENGINE_DIALER_H
#define ENGINE_DIALER_H

#include <stdint.h>
#include <string.h>

#include <udptun/error.h>

#include "daemon/engine/settings/url.h"
#include "daemon/engine/streams/resolver.h"
#include "daemon/platform/socket.h"

struct loop;
struct dialer;

struct dial_config {
    struct url server; /* URL_HOST_PORT, or URL_UNIX (then without `via`) */
    struct url via;    /* URL_NONE, URL_SOCKS5 or URL_HTTP; then it resolves the name */
    struct socket_rules rules;
    struct resolver *resolver; /* must outlive the dialer; with the same rules */
    uint32_t timeout_ms;       /* for all of it; 0: DIAL_TIMEOUT_MS */
    /* Not NULL: no CONNECT, but a UDP ASSOCIATE of the proxy `via`, URL_SOCKS5. The relay's address
     * is put here before `done`: as the proxy named it, looked up where that is a host name, or the
     * proxy's own. The stream lives as long as the association. */
    struct udptun_endpoint *relay;
};

#define DIAL_TIMEOUT_MS 30000 /* a proxy may be slow: Tor takes 6 to 15 s */

/*
 * The end of the attempt. `socket` is a connected, tuned stream that is the callee's from now
 * on, and `err` NULL; or NO_SOCKET and why: `code` (UDPTUN_E_UNREACHABLE, _AUTH, _PERMISSION,
 * _TIMEOUT, _NOMEM, _SYSTEM, ...), `sys_errno` (the system's number, also for what a proxy
 * reported) and `message`: "192.0.2.1:443: connection refused", "proxy 127.0.0.1:1080: wrong user
 * or password". The dialer is gone when `done` is called.
 */
typedef void dial_done(void *arg, udptun_socket socket, const struct udptun_error *err);

/* In `field` of an error that the proxy `via` has reported of the server: the proxy itself works.
 */
#define DIAL_OF_TARGET "target"

static inline bool dial_is_of_target(const struct udptun_error *err)
{
    return strcmp(err->field, DIAL_OF_TARGET) == 0;
}

/* Starts; `config` is copied. `done` is called exactly once, never from inside this function,
 * unless dial_cancel() comes first. NULL: out of memory. */
struct dialer *dial_start(struct loop *loop, const struct dial_config *config, dial_done *done,
                          void *arg);

/* What `done` would be told if its time were over now: for who has less patience. */
void dial_overdue(const struct dialer *d, struct udptun_error *err);

/* Ends it without a call of `done`. NULL is accepted. */
void dial_cancel(struct dialer *d);

/* The SOCKS5 reply (proto/socks5) that tells a client of `err`. */
uint8_t dial_socks5_reply(const struct udptun_error *err);

#endif

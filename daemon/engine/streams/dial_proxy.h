/* SPDX-License-Identifier: Apache-2.0 */
/*
 * dial_proxy.h - what a dialer says to a proxy, as bytes in and out. Private to the dialer.
 *
 * dial_socks5.c and dial_http.c each are one: begun, they leave the first message in `out`; what
 * comes back is offered to _take, which takes no more than is the proxy's own.
 */
#ifndef ENGINE_DIAL_PROXY_H
#define ENGINE_DIAL_PROXY_H

#include <udptun/error.h>

#include "daemon/engine/settings/url.h"
#include "daemon/platform/result.h"
#include "proto/socks5/socks5.h"

#define DIAL_OUT_SIZE 2048 /* an HTTP request with the longest name, user and password */

enum dial_step {
    DIAL_WAIT,   /* send what is in `out`, then go on reading */
    DIAL_OPEN,   /* the stream stands at the first byte of the far end */
    DIAL_FAILED, /* `err` says why */
};

struct dial_proxy {
    const struct url *via;
    const struct host_port *target;
    bool associate;              /* SOCKS5: UDP ASSOCIATE in place of CONNECT */
    struct socks5_address bound; /* SOCKS5: the address in the reply */
    struct udptun_error err;     /* message without the proxy's name */
    uint8_t out[DIAL_OUT_SIZE];
    size_t out_size;
    union {
        struct {
            enum {
                SOCKS5_WAIT_METHOD,
                SOCKS5_WAIT_PASSWORD_REPLY,
                SOCKS5_WAIT_REPLY,
            } state;
            size_t in_size;
            uint8_t in[SOCKS5_REPLY_SIZE];
        } socks5;
        struct {
            char line[256];      /* the status line, cut */
            size_t line_len;     /* as kept */
            size_t header_size;  /* of all so far */
            unsigned line_chars; /* of the line that is coming, CR aside; an empty one ends it */
            bool line_done;
        } http;
    };
};

void dial_socks5_begin(struct dial_proxy *p);
enum dial_step dial_socks5_take(struct dial_proxy *p, const uint8_t *data, size_t size,
                                size_t *taken);

void dial_http_begin(struct dial_proxy *p);
enum dial_step dial_http_take(struct dial_proxy *p, const uint8_t *data, size_t size,
                              size_t *taken);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url.h - the places that a tunnel entry names: listeners, servers, proxies.
 *
 *     HOST:PORT   udp://HOST:PORT   socks5://[USER:PASS@]HOST:PORT   http://[USER:PASS@]HOST:PORT
 *     unix:PATH   app:
 */
#ifndef ENGINE_URL_H
#define ENGINE_URL_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/platform/socket.h"
#include "proto/endpoint.h"

/* Bits, so that a field names the set that it takes. */
enum url_kind {
    URL_NONE = 0,
    URL_HOST_PORT = 1,
    URL_UDP = 2,
    URL_SOCKS5 = 4,
    URL_HTTP = 8,
    URL_UNIX = 16,
    URL_APP = 32,
    URL_WILDCARD = 64, /* not a kind: HOST may be empty or "*", as for a listener */
};

#define URL_USER_SIZE 256 /* 255 bytes, RFC 1929, and a NUL */

struct url {
    enum url_kind kind;
    struct host_port host; /* all but URL_UNIX and URL_APP */
    bool has_user;
    char user[URL_USER_SIZE];     /* decoded */
    char password[URL_USER_SIZE]; /* decoded; may be "" */
    char path[SOCKET_PATH_SIZE];  /* URL_UNIX */
};

/* The user part never appears: "socks5://" + 255 + ":65535" + brackets, NUL fit. */
#define URL_TEXT_SIZE 320

/*
 * Parse `text` as one of the `kinds`. Returns NULL, or what is wrong as a clause that repeats no
 * part of the text, which may hold a password: "must be udp://HOST:PORT or socks5://HOST:PORT",
 * "port is missing".
 * Static storage. `url` is all zero on failure.
 */
const char *url_parse(const char *text, unsigned kinds, struct url *url);

/* Without user and password; cut if it must be. Returns `text`. */
char *url_format(const struct url *url, char text[URL_TEXT_SIZE]);

/* The same with the address that a listener really got. */
char *url_format_bound(const struct url *url, const struct udptun_endpoint *bound,
                       char text[URL_TEXT_SIZE]);

/* Everything equal, the user part included. */
bool url_equal(const struct url *a, const struct url *b);

#endif

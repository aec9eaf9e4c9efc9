/* SPDX-License-Identifier: Apache-2.0 */
/* url.c - parsing and printing of the places that a tunnel entry names. */
#include "daemon/engine/settings/url.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

/* What starts a kind; URL_HOST_PORT is what starts with none of them. */
static const struct scheme {
    enum url_kind kind;
    const char *prefix;
    bool takes_user;
} schemes[] = {
    {URL_UDP, "udp://", false}, {URL_SOCKS5, "socks5://", true}, {URL_HTTP, "http://", true},
    {URL_UNIX, "unix:", false}, {URL_APP, "app:", false},
};

/* What a field takes, by the kinds that it takes. */
static const struct {
    unsigned kinds;
    const char *clause;
} expectations[] = {
    {URL_HOST_PORT, "must be HOST:PORT"},
    {URL_HOST_PORT | URL_UNIX, "must be HOST:PORT or unix:PATH"},
    {URL_HOST_PORT | URL_UNIX | URL_APP, "must be HOST:PORT, unix:PATH or app:"},
    {URL_UDP | URL_SOCKS5, "must be udp://HOST:PORT or socks5://[USER:PASS@]HOST:PORT"},
    {URL_SOCKS5 | URL_HTTP,
     "must be socks5://[USER:PASS@]HOST:PORT or "
     "http://[USER:PASS@]HOST:PORT"},
    {URL_SOCKS5, "must be socks5://[USER:PASS@]HOST:PORT"},
};

static const char *expected(unsigned kinds)
{
    for (size_t i = 0; i < sizeof expectations / sizeof *expectations; i++)
        if (expectations[i].kinds == (kinds & ~(unsigned)URL_WILDCARD))
            return expectations[i].clause;
    return "is not of a kind that is taken here";
}

static const struct scheme *scheme_of(const char *text)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (strncasecmp(text, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            return &schemes[i];
    return NULL;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Percent-decodes `len` bytes into a string (RFC 3986 section 2.1). */
static const char *url_decode(const char *text, size_t len, char out[URL_USER_SIZE])
{
    size_t used = 0;
    for (size_t i = 0; i < len; i++) {
        int value = (unsigned char)text[i];
        if (text[i] == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return "user part has a '%' without two hexadecimal digits";
            value = high * 16 + low;
            i += 2;
        }
        if (value == 0)
            return "user part has a zero byte in it";
        if (used + 1 >= URL_USER_SIZE)
            return "user or password is longer than 255 bytes";
        out[used++] = (char)value;
    }
    out[used] = '\0';
    return NULL;
}

/* USER[:PASS] before the '@'. */
static const char *parse_user(const char *text, size_t len, struct url *url)
{
    const char *colon = (const char *)memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    if (user_len == 0)
        return "user is empty";
    url->has_user = true;
    const char *wrong = url_decode(text, user_len, url->user);
    if (!wrong && colon)
        wrong = url_decode(colon + 1, len - user_len - 1, url->password);
    return wrong;
}

static const char *parse_authority(const char *text, const struct scheme *scheme, bool wildcard,
                                   struct url *url)
{
    /* The last one: a password with an '@' that was not encoded still reads as meant. */
    const char *at = strrchr(text, '@');
    if (at) {
        const char *wrong = scheme->takes_user ? parse_user(text, (size_t)(at - text), url)
                                               : "takes no user and password";
        if (wrong)
            return wrong;
        text = at + 1;
    }
    char host[HOST_NAME_SIZE + 16];
    size_t len = strlen(text);
    if (len && text[len - 1] == '/')
        len--;
    if (len >= sizeof host)
        return "host name is longer than 253 characters";
    memcpy(host, text, len);
    host[len] = '\0';
    return host_port_parse(host, wildcard, &url->host);
}

static const char *parse_kind(const char *text, const struct scheme *scheme, unsigned kinds,
                              struct url *url)
{
    bool wildcard = kinds & URL_WILDCARD;
    if (!scheme) {
        if (!(kinds & URL_HOST_PORT) || strstr(text, "://"))
            return expected(kinds);
        url->kind = URL_HOST_PORT;
        return host_port_parse(text, wildcard, &url->host);
    }
    if (!(kinds & (unsigned)scheme->kind))
        return expected(kinds);
    url->kind = scheme->kind;
    const char *rest = text + strlen(scheme->prefix);
    if (scheme->kind == URL_APP)
        return *rest ? "nothing may follow app:" : NULL;
    if (scheme->kind != URL_UNIX)
        return parse_authority(rest, scheme, wildcard, url);
    size_t len = strlen(rest);
    if (len == 0)
        return "path is empty";
    if (len >= sizeof url->path)
        return "path is longer than a Unix socket's may be";
    memcpy(url->path, rest, len + 1);
    return NULL;
}

const char *url_parse(const char *text, unsigned kinds, struct url *url)
{
    memset(url, 0, sizeof *url);
    const char *wrong = parse_kind(text, scheme_of(text), kinds, url);
    if (wrong)
        memset(url, 0, sizeof *url);
    return wrong;
}

static const char *prefix_of(enum url_kind kind)
{
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
        if (schemes[i].kind == kind)
            return schemes[i].prefix;
    return "";
}

char *url_format_bound(const struct url *url, const struct udptun_endpoint *bound,
                       char text[URL_TEXT_SIZE])
{
    char address[ENDPOINT_TEXT_SIZE];
    snprintf(text, URL_TEXT_SIZE, "%s%s", prefix_of(url->kind), endpoint_format(bound, address));
    return text;
}

char *url_format(const struct url *url, char text[URL_TEXT_SIZE])
{
    const char *prefix = prefix_of(url->kind);
    if (url->kind == URL_NONE || url->kind == URL_APP || url->kind == URL_UNIX)
        snprintf(text, URL_TEXT_SIZE, "%s%s", prefix, url->path);
    else if (url->host.ep.family != UDPTUN_ENDPOINT_NONE)
        url_format_bound(url, &url->host.ep, text);
    else
        snprintf(text, URL_TEXT_SIZE, strchr(url->host.host, ':') ? "%s[%s]:%u" : "%s%s:%u", prefix,
                 url->host.host, url->host.port);
    return text;
}

bool url_equal(const struct url *a, const struct url *b)
{
    return a->kind == b->kind && endpoint_equal(&a->host.ep, &b->host.ep) &&
           a->host.port == b->host.port &&
           (a->host.ep.family != UDPTUN_ENDPOINT_NONE ||
            strcasecmp(a->host.host, b->host.host) == 0) &&
           a->has_user == b->has_user && strcmp(a->user, b->user) == 0 &&
           strcmp(a->password, b->password) == 0 && strcmp(a->path, b->path) == 0;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* endpoint.c - what addresses are, and their text. */
#include "proto/endpoint.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <strings.h>

enum {
    LABEL_MAX = 63,
    NAME_MAX_LEN = 253, /* RFC 1035 section 2.3.4, less the root's bytes */
    ZONE_MAX_LEN = 15,  /* of an interface's name; Linux has the longest of 15 bytes */
};

struct udptun_endpoint endpoint_ip4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    struct udptun_endpoint ep = {.family = UDPTUN_ENDPOINT_IP4, .port = port, .ip = {a, b, c, d}};
    return ep;
}

struct udptun_endpoint endpoint_unmapped(const struct udptun_endpoint *ep)
{
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    if (ep->family != UDPTUN_ENDPOINT_IP6 || memcmp(ep->ip, mapped, sizeof mapped) != 0)
        return *ep;
    return endpoint_ip4(ep->ip[12], ep->ip[13], ep->ip[14], ep->ip[15], ep->port);
}

static bool ip_is_all(const struct udptun_endpoint *ep, uint8_t byte)
{
    size_t size = ep->family == UDPTUN_ENDPOINT_IP4 ? 4 : 16;
    for (size_t i = 0; i < size; i++)
        if (ep->ip[i] != byte)
            return false;
    return true;
}

bool endpoint_is_loopback(const struct udptun_endpoint *ep)
{
    static const uint8_t one[16] = {[15] = 1};
    struct udptun_endpoint plain = endpoint_unmapped(ep);
    if (plain.family == UDPTUN_ENDPOINT_IP4)
        return plain.ip[0] == 127;
    return plain.family == UDPTUN_ENDPOINT_IP6 && memcmp(plain.ip, one, sizeof one) == 0;
}

bool endpoint_is_unspecified(const struct udptun_endpoint *ep)
{
    struct udptun_endpoint plain = endpoint_unmapped(ep);
    return (plain.family == UDPTUN_ENDPOINT_IP4 || plain.family == UDPTUN_ENDPOINT_IP6) &&
           ip_is_all(&plain, 0);
}

bool endpoint_is_link_local(const struct udptun_endpoint *ep)
{
    struct udptun_endpoint plain = endpoint_unmapped(ep);
    if (plain.family == UDPTUN_ENDPOINT_IP4)
        return plain.ip[0] == 169 && plain.ip[1] == 254;
    return plain.family == UDPTUN_ENDPOINT_IP6 && plain.ip[0] == 0xfe &&
           (plain.ip[1] & 0xc0) == 0x80;
}

bool endpoint_is_multicast(const struct udptun_endpoint *ep)
{
    struct udptun_endpoint plain = endpoint_unmapped(ep);
    if (plain.family == UDPTUN_ENDPOINT_IP4)
        return (plain.ip[0] & 0xf0) == 0xe0;
    return plain.family == UDPTUN_ENDPOINT_IP6 && plain.ip[0] == 0xff;
}

bool endpoint_is_broadcast(const struct udptun_endpoint *ep)
{
    struct udptun_endpoint plain = endpoint_unmapped(ep);
    return plain.family == UDPTUN_ENDPOINT_IP4 && ip_is_all(&plain, 0xff);
}

char *endpoint_format(const struct udptun_endpoint *ep, char text[ENDPOINT_TEXT_SIZE])
{
    char ip[INET6_ADDRSTRLEN];
    switch ((enum udptun_endpoint_family)ep->family) {
    case UDPTUN_ENDPOINT_IP4:
        inet_ntop(AF_INET, ep->ip, ip, sizeof ip);
        snprintf(text, ENDPOINT_TEXT_SIZE, "%s:%u", ip, ep->port);
        return text;
    case UDPTUN_ENDPOINT_IP6:
        inet_ntop(AF_INET6, ep->ip, ip, sizeof ip);
        if (ep->scope)
            snprintf(text, ENDPOINT_TEXT_SIZE, "[%s%%%u]:%u", ip, ep->scope, ep->port);
        else
            snprintf(text, ENDPOINT_TEXT_SIZE, "[%s]:%u", ip, ep->port);
        return text;
    case UDPTUN_ENDPOINT_NAME:
        snprintf(text, ENDPOINT_TEXT_SIZE, "name:%u", ep->port);
        return text;
    case UDPTUN_ENDPOINT_NONE:
        break;
    }
    snprintf(text, ENDPOINT_TEXT_SIZE, "none");
    return text;
}

/* A decimal number up to `max`, nothing around it. */
static bool number_parse(const char *text, uint64_t max, uint64_t *value)
{
    uint64_t number = 0;
    if (!*text)
        return false;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return false;
        number = number * 10 + (uint64_t)(*text - '0');
        if (number > max)
            return false;
    }
    *value = number;
    return true;
}

bool port_parse(const char *text, uint16_t *port)
{
    uint64_t value = 0;
    if (!number_parse(text, UINT16_MAX, &value))
        return false;
    *port = (uint16_t)value;
    return true;
}

bool endpoint_parse_ip(const char *text, struct udptun_endpoint *ep)
{
    char ip[INET6_ADDRSTRLEN];
    uint64_t scope = 0;
    *ep = (struct udptun_endpoint){0};
    const char *zone = strchr(text, '%');
    size_t len = zone ? (size_t)(zone - text) : strlen(text);
    if (len >= sizeof ip || (zone && !number_parse(zone + 1, UINT32_MAX, &scope)))
        return false;
    memcpy(ip, text, len);
    ip[len] = '\0';
    if (!zone && inet_pton(AF_INET, ip, ep->ip) == 1)
        ep->family = UDPTUN_ENDPOINT_IP4;
    else if (inet_pton(AF_INET6, ip, ep->ip) == 1)
        ep->family = UDPTUN_ENDPOINT_IP6;
    else
        return false;
    ep->scope = (uint32_t)scope;
    return true;
}

static bool is_zone(const char *zone)
{
    size_t len = strlen(zone);
    uint64_t ignored = 0;
    for (size_t i = 0; i < len; i++)
        if (zone[i] <= ' ' || zone[i] > '~' || strchr("%/[]:@", zone[i]))
            return false;
    return len > 0 && len <= ZONE_MAX_LEN && !number_parse(zone, UINT64_MAX / 16, &ignored);
}

const char *endpoint_zone_name(const char *text)
{
    char ip[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    const char *zone = strchr(text, '%');
    size_t len = zone ? (size_t)(zone - text) : sizeof ip;
    if (len >= sizeof ip || !is_zone(zone + 1))
        return NULL;
    memcpy(ip, text, len);
    ip[len] = '\0';
    return inet_pton(AF_INET6, ip, bytes) == 1 ? zone + 1 : NULL;
}

void host_port_drop_zone(struct host_port *host)
{
    char *zone = strchr(host->host, '%');
    if (zone && (host->ep.scope || endpoint_zone_name(host->host))) {
        *zone = '\0';
        endpoint_parse_ip(host->host, &host->ep);
        host->ep.port = host->port;
    }
    host->ep.scope = 0;
}

static bool is_numeric_label(const char *label)
{
    uint64_t ignored = 0;
    return number_parse(label, UINT64_MAX / 16, &ignored);
}

/* NULL when `name` may be asked of a resolver, else what is wrong with it. */
static const char *name_check(const char *name)
{
    size_t len = strlen(name), label = 0;
    if (len && name[len - 1] == '.')
        len--;
    if (len == 0 || len > NAME_MAX_LEN)
        return "host name is longer than 253 characters";
    for (size_t i = 0; i < len; i++) {
        char c = name[i];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '-' || c == '_';
        if (c == '.' ? label == 0 : !word)
            return "host is neither an address nor a host name";
        label = c == '.' ? 0 : label + 1;
        if (label > LABEL_MAX)
            return "host name has a part of more than 63 characters";
    }
    /* A last part of digits is meant as an address ("10.0.0.300"), never a name. */
    const char *last = strrchr(name, '.');
    return is_numeric_label(last ? last + 1 : name) ? "host is not a valid address" : NULL;
}

/* Splits at the colon before the port. NULL, or what is wrong. */
static const char *split(const char *text, const char **host, size_t *host_len, const char **port)
{
    const char *colon;
    if (text[0] == '[') {
        const char *close = strchr(text, ']');
        if (!close)
            return "closing bracket is missing";
        if (close[1] != ':')
            return close[1] ? "text after the closing bracket" : "port is missing";
        *host = text + 1;
        *host_len = (size_t)(close - text - 1);
        *port = close + 2;
        return NULL;
    }
    colon = strrchr(text, ':');
    if (!colon)
        return "port is missing";
    if (strchr(text, ':') != colon)
        return "an IPv6 address needs brackets";
    *host = text;
    *host_len = (size_t)(colon - text);
    *port = colon + 1;
    return NULL;
}

bool endpoint_parse(const char *text, struct udptun_endpoint *ep)
{
    const char *host, *port;
    size_t host_len;
    char ip[ENDPOINT_TEXT_SIZE];
    *ep = (struct udptun_endpoint){0};
    if (split(text, &host, &host_len, &port) || host_len >= sizeof ip)
        return false;
    memcpy(ip, host, host_len);
    ip[host_len] = '\0';
    struct udptun_endpoint parsed;
    if (!endpoint_parse_ip(ip, &parsed) || !port_parse(port, &parsed.port))
        return false;
    if ((parsed.family == UDPTUN_ENDPOINT_IP6) != (text[0] == '['))
        return false;
    *ep = parsed;
    return true;
}

static const char *host_resolve(const char *text, bool wildcard, struct host_port *out)
{
    if (text[0] == '[') {
        bool is_ip6 = endpoint_parse_ip(out->host, &out->ep)
                          ? out->ep.family == UDPTUN_ENDPOINT_IP6
                          : endpoint_zone_name(out->host) != NULL;
        return is_ip6 ? NULL : "not an IPv6 address in the brackets";
    }
    if (out->host[0] == '\0' || strcmp(out->host, "*") == 0) {
        out->ep = endpoint_ip4(0, 0, 0, 0, 0);
        return wildcard ? NULL : "host is missing";
    }
    if (strcasecmp(out->host, "localhost") == 0) {
        out->ep = endpoint_ip4(127, 0, 0, 1, 0);
        return NULL;
    }
    return endpoint_parse_ip(out->host, &out->ep) ? NULL : name_check(out->host);
}

const char *host_port_parse(const char *text, bool wildcard, struct host_port *out)
{
    const char *host, *port, *wrong;
    size_t host_len;
    struct host_port parsed = {0};
    *out = parsed;
    wrong = split(text, &host, &host_len, &port);
    if (wrong)
        return wrong;
    if (host_len >= sizeof parsed.host)
        return "host name is longer than 253 characters";
    memcpy(parsed.host, host, host_len);
    wrong = host_resolve(text, wildcard, &parsed);
    if (wrong)
        return wrong;
    if (!port_parse(port, &parsed.port))
        return *port ? "port is not a number from 0 to 65535" : "port is missing";
    if (parsed.ep.family != UDPTUN_ENDPOINT_NONE)
        parsed.ep.port = parsed.port;
    *out = parsed;
    return NULL;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* gateway_settings.c - checks and parses what an app asks a tun2socks instance to be. */
#include "daemon/engine/settings/gateway_settings.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/engine/settings/tunnel_settings.h"
#include "daemon/platform/network.h"
#include "proto/error.h"
#include "proto/versioned.h"

enum { LEAST_MTU = 1280, MOST_MTU = 65535 };

void udptun_tun2socks_config_init_sized(struct udptun_tun2socks_config *config, size_t size)
{
    const struct udptun_tun2socks_config defaults = {
        .size = sizeof defaults,
        .fd = -1,
        .mtu = UDPTUN_DEFAULT,
        .max_tcp_flows = UDPTUN_DEFAULT,
        .max_udp_flows = UDPTUN_DEFAULT,
        .udp_flow_timeout_s = UDPTUN_DEFAULT,
        .mark = UDPTUN_DEFAULT,
        .enabled = true,
        .dns_cache = UDPTUN_DEFAULT,
    };
    versioned_init(config, size, &defaults, sizeof defaults);
}

static int gateway_settings_invalid(struct udptun_error *err, const char *field, const char *why)
{
    return error_set(err, UDPTUN_E_INVALID, field, "%s: %s", field, why);
}

static int gateway_settings_check_number(const char *field, int64_t *value, int64_t low,
                                         int64_t high, int64_t fallback, struct udptun_error *err)
{
    if (*value == UDPTUN_DEFAULT)
        *value = fallback;
    if (*value != fallback && (*value < low || *value > high))
        return error_set(err, UDPTUN_E_INVALID, field, "%s: %lld is not between %lld and %lld",
                         field, (long long)*value, (long long)low, (long long)high);
    return UDPTUN_OK;
}

static int gateway_settings_check_numbers(struct udptun_tun2socks_config *c,
                                          struct udptun_error *err)
{
    int code =
        gateway_settings_check_number("mtu", &c->mtu, LEAST_MTU, MOST_MTU, UDPTUN_DEFAULT, err);
    if (!code)
        code =
            gateway_settings_check_number("maxTcpFlows", &c->max_tcp_flows, 1, 1048576, 4096, err);
    if (!code)
        code =
            gateway_settings_check_number("maxUdpFlows", &c->max_udp_flows, 1, 1048576, 16384, err);
    if (!code)
        code = gateway_settings_check_number("udpFlowTimeout", &c->udp_flow_timeout_s, 1, 86400,
                                             300, err);
    if (!code)
        code = gateway_settings_check_number("dnsCache", &c->dns_cache, 0, 65536, c->dns ? 1024 : 0,
                                             err);
    if (!code)
        code = gateway_settings_check_number("mark", &c->mark, 0, UINT32_MAX, UDPTUN_DEFAULT, err);
    return code;
}

/* What follows `prefix` in `text`, or NULL. */
static const char *behind(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

/* "ADDRESS/PREFIX"; without a prefix it is a host's own. */
static bool is_cidr(const char *text, int family)
{
    char address[INET6_ADDRSTRLEN];
    struct in6_addr sink;
    const char *slash = strchr(text, '/');
    size_t len = slash ? (size_t)(slash - text) : strlen(text);
    if (len >= sizeof address)
        return false;
    memcpy(address, text, len);
    address[len] = '\0';
    if (slash && (slash[1] < '0' || slash[1] > '9' || strlen(slash + 1) > 3 ||
                  strspn(slash + 1, "0123456789") != strlen(slash + 1) ||
                  strtol(slash + 1, NULL, 10) > (family == AF_INET ? 32 : 128)))
        return false;
    return inet_pton(family, address, &sink) == 1;
}

static int check_addresses(const struct gateway_settings *c, struct udptun_error *err)
{
    const struct udptun_tun2socks_config *given = &c->given;
    if (c->kind != GATEWAY_DEVICE_TUN && (given->address || given->address6))
        return gateway_settings_invalid(err, given->address ? "address" : "address6",
                                        "is for a tun: device only");
    if (given->address && !is_cidr(given->address, AF_INET))
        return error_set(err, UDPTUN_E_INVALID, "address",
                         "address: '%s' is not an IPv4 address/prefix", given->address);
    if (given->address6 && !is_cidr(given->address6, AF_INET6))
        return error_set(err, UDPTUN_E_INVALID, "address6",
                         "address6: '%s' is not an IPv6 address/prefix", given->address6);
    return UDPTUN_OK;
}

static int gateway_settings_check_device(struct gateway_settings *c, struct udptun_error *err)
{
    const char *device = c->given.device;
    if (!device)
        return gateway_settings_invalid(err, "device", "is missing");
    if ((c->place = behind(device, "tun:"))) {
        c->kind = GATEWAY_DEVICE_TUN;
        if (!*c->place || strlen(c->place) >= SOCKET_DEVICE_SIZE || strpbrk(c->place, "/: \t\n"))
            return gateway_settings_invalid(
                err, "device", "a name of 1 to 15 characters without / and space must follow tun:");
    } else if ((c->place = behind(device, "unix:"))) {
        c->kind = GATEWAY_DEVICE_UNIX;
        if (!*c->place || strlen(c->place) >= SOCKET_PATH_SIZE)
            return gateway_settings_invalid(err, "device", "a path must follow unix:");
    } else if ((c->place = behind(device, "fd:"))) {
        c->kind = GATEWAY_DEVICE_FD;
        if (c->given.fd < 0 && c->given.enabled)
            return gateway_settings_invalid(err, "device", "no descriptor came with it");
    } else if (strcmp(device, "pipe") == 0) {
        c->kind = GATEWAY_DEVICE_PIPE;
        c->place = "";
    } else if (strcmp(device, "app:") == 0 && c->given.packet) {
        c->kind = GATEWAY_DEVICE_APP;
        c->place = "";
    } else {
        return gateway_settings_invalid(err, "device", "must be tun:NAME, fd:N, pipe or unix:PATH");
    }
    return check_addresses(c, err);
}

static int check_route(const char *field, const char *text, bool is_udp, enum gateway_route *route,
                       struct url *url, struct udptun_error *err)
{
    const char *why;
    if (!text || strcmp(text, "reject") == 0) {
        *route = GATEWAY_REJECT;
    } else if (strcmp(text, "direct") == 0) {
        *route = GATEWAY_DIRECT;
    } else if (is_udp && behind(text, "tunnel:")) {
        *route = GATEWAY_TUNNEL;
        if (settings_check_name(behind(text, "tunnel:"), NULL))
            return gateway_settings_invalid(err, field, "a tunnel's name must follow tunnel:");
    } else {
        *route = GATEWAY_SOCKS5;
        if (!behind(text, "socks5://"))
            return gateway_settings_invalid(
                err, field,
                is_udp ? "must be tunnel:NAME, socks5://HOST:PORT, direct or reject"
                       : "must be socks5://HOST:PORT, direct or reject");
        if ((why = url_parse(text, URL_SOCKS5, url)))
            return gateway_settings_invalid(err, field, why);
        if (url->host.port == 0)
            return gateway_settings_invalid(err, field, "port 0 cannot be connected to");
    }
    return UDPTUN_OK;
}

static int check_dns(struct gateway_settings *c, struct udptun_error *err)
{
    const char *why = NULL;
    if (!c->given.dns)
        return UDPTUN_OK;
    why = host_port_parse(c->given.dns, false, &c->dns);
    if (!why && c->dns.port == 0)
        why = "port 0 cannot be asked";
    enum io what = IO_OK;
    if (!why && (c->tcp == GATEWAY_DIRECT || c->udp == GATEWAY_DIRECT))
        what = network_address_of(&c->dns, &c->dns.ep);
    if (what == IO_NO_DEVICE)
        return error_set_errno(err, io_code(what), io_error(what), "dns", "dns: %s", c->given.dns);
    if (what != IO_OK)
        why = "must be ADDRESS:PORT when tcp or udp is direct, for no far end can look up the name";
    if (!why && c->dns.ep.family != UDPTUN_ENDPOINT_NONE &&
        (endpoint_is_unspecified(&c->dns.ep) || endpoint_is_multicast(&c->dns.ep) ||
         endpoint_is_broadcast(&c->dns.ep)))
        why = "is not the address of one host";
    if (!why && c->tcp == GATEWAY_REJECT && c->udp == GATEWAY_REJECT)
        why = "has no path: tcp and udp are reject";
    if (why)
        return gateway_settings_invalid(err, "dns", why);
    c->has_dns = true;
    if (c->dns.ep.family == UDPTUN_ENDPOINT_NONE) {
        c->dns_server = udptun_dest_of_name(c->dns.host, strlen(c->dns.host), c->dns.port).ep;
    } else {
        c->dns.ep = endpoint_unmapped(&c->dns.ep);
        c->dns_server = c->dns.ep;
    }
    return UDPTUN_OK;
}

static int gateway_settings_check(struct gateway_settings *c, struct udptun_error *err)
{
    const struct udptun_tun2socks_config *given = &c->given;
    int code = settings_check_name(given->name, err);
    if (!code)
        code = gateway_settings_check_numbers(&c->given, err);
    if (!code)
        code = gateway_settings_check_device(c, err);
    if (!code)
        code = check_route("tcp", given->tcp, false, &c->tcp, &c->tcp_url, err);
    if (!code)
        code = check_route("udp", given->udp, true, &c->udp, &c->udp_url, err);
    if (!code)
        code = check_dns(c, err);
    if (code)
        return code;
    if (c->udp == GATEWAY_TUNNEL)
        c->tunnel = behind(given->udp, "tunnel:");
    c->echo_reply = !given->icmp_echo || strcmp(given->icmp_echo, "reply") == 0;
    if (!c->echo_reply && strcmp(given->icmp_echo, "drop") != 0)
        return gateway_settings_invalid(err, "icmpEcho", "must be reply or drop");
    c->rules = socket_rules_none();
    if (given->mark != UDPTUN_DEFAULT)
        c->rules.mark = given->mark;
    if (given->bind_device) {
        if (!*given->bind_device || strlen(given->bind_device) >= SOCKET_DEVICE_SIZE)
            return gateway_settings_invalid(err, "bindDevice", "must have 1 to 15 characters");
        strcpy(c->rules.bind_device, given->bind_device);
    }
    return UDPTUN_OK;
}

static bool own(const char **text)
{
    if (*text)
        *text = strdup(*text);
    return *text != NULL;
}

void gateway_settings_free(struct gateway_settings *config)
{
    if (!config)
        return;
#define GATEWAY_FREE_STRING(member, name) free((void *)(uintptr_t)config->given.member);
    GATEWAY_SETTINGS_STRINGS(GATEWAY_FREE_STRING)
#undef GATEWAY_FREE_STRING
    free(config);
}

struct gateway_settings *gateway_settings_new(const struct udptun_tun2socks_config *given,
                                              struct udptun_error *err)
{
    struct udptun_tun2socks_config whole;
    udptun_tun2socks_config_init(&whole);
    if (!given || !versioned_read(&whole, sizeof whole, given,
                                  VERSIONED_LEAST(struct udptun_tun2socks_config, device))) {
        error_set(err, UDPTUN_E_INVALID, "size", "size: is not that of a known version");
        return NULL;
    }
    struct gateway_settings *c = (struct gateway_settings *)calloc(1, sizeof *c);
    bool complete = c != NULL;
    if (c) {
        c->given = whole;
#define GATEWAY_OWN_STRING(member, name)                                                           \
    complete = (own(&c->given.member) || !whole.member) && complete;
        GATEWAY_SETTINGS_STRINGS(GATEWAY_OWN_STRING)
#undef GATEWAY_OWN_STRING
    }
    if (!complete)
        error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    if (complete && gateway_settings_check(c, err) == UDPTUN_OK)
        return c;
    gateway_settings_free(c);
    return NULL;
}

int udptun_tun2socks_config_check(const struct udptun_tun2socks_config *config,
                                  struct udptun_error *err)
{
    struct udptun_error why = {0};
    struct gateway_settings *c = gateway_settings_new(config, &why);
    if (!c && err)
        *err = why;
    gateway_settings_free(c);
    return c ? UDPTUN_OK : why.code;
}

static bool same(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool gateway_settings_differ_in_dns(const struct gateway_settings *a,
                                    const struct gateway_settings *b)
{
    return !same(a->given.dns, b->given.dns) || a->given.dns_cache != b->given.dns_cache;
}

enum entry_change gateway_settings_compare(const struct gateway_settings *from,
                                           const struct gateway_settings *to)
{
    const struct udptun_tun2socks_config *a = &from->given, *b = &to->given;
    bool same_rules = a->mark == b->mark && same(a->bind_device, b->bind_device);
    if (!same(a->device, b->device) || !same(a->address, b->address) ||
        !same(a->address6, b->address6) || a->mtu != b->mtu || a->enabled != b->enabled ||
        from->kind == GATEWAY_DEVICE_FD || !same_rules)
        return ENTRY_REBUILD;
    if (!same(a->tcp, b->tcp) || !same(a->udp, b->udp) || from->echo_reply != to->echo_reply ||
        a->block_quic != b->block_quic || a->max_tcp_flows != b->max_tcp_flows ||
        a->max_udp_flows != b->max_udp_flows || a->udp_flow_timeout_s != b->udp_flow_timeout_s ||
        gateway_settings_differ_in_dns(from, to))
        return ENTRY_LIVE;
    return ENTRY_SAME;
}

bool gateway_settings_same_place(const struct gateway_settings *a, const struct gateway_settings *b)
{
    bool is_exclusive = a->kind == GATEWAY_DEVICE_TUN || a->kind == GATEWAY_DEVICE_UNIX;
    return is_exclusive && a->kind == b->kind && strcmp(a->place, b->place) == 0;
}

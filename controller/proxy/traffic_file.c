/* SPDX-License-Identifier: Apache-2.0 */
/* traffic_file.c - see traffic_file.h. */
#include "controller/proxy/traffic_file.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/proxy/linux/persist.h"

enum { DNS_PORT = 53 };

static int traffic_file_invalid(struct udptun_error *err, const char *name, const char *text,
                                const char *why)
{
    char field[sizeof err->field];
    snprintf(field, sizeof field, "parameters.%s", name);
    return error_set(err, UDPTUN_E_INVALID, field, "%s: %s%.80s%s%s", field, text ? "'" : "",
                     text ? text : "", text ? "' " : "", why);
}

static int traffic_file_read_address(const json_t *value, const char *name,
                                     struct udptun_endpoint *address, struct udptun_error *err)
{
    const char *text = json_string_value(value);
    if (!text)
        return traffic_file_invalid(err, name, NULL, "must be a string");
    if (!endpoint_parse_ip(text, address))
        return traffic_file_invalid(err, name, text, "is not an IP address");
    *address = endpoint_unmapped(address);
    return UDPTUN_OK;
}

static int add_proxy(const json_t *value, const char *name, struct traffic_settings *s,
                     struct udptun_error *err)
{
    struct udptun_endpoint proxy;
    int rc = traffic_file_read_address(value, name, &proxy, err);
    if (rc < 0)
        return rc;
    for (size_t i = 0; i < s->proxy_count; i++) {
        if (endpoint_equal(&s->proxies[i], &proxy))
            return UDPTUN_OK;
    }
    if (s->proxy_count == TRAFFIC_MAX_PROXIES)
        return traffic_file_invalid(err, name, NULL, "more than 16 proxies");
    s->proxies[s->proxy_count++] = proxy;
    return UDPTUN_OK;
}

static int read_proxies(const json_t *parameters, struct traffic_settings *s,
                        struct udptun_error *err)
{
    const json_t *one = json_object_get(parameters, "proxyIp");
    const json_t *list = json_object_get(parameters, "proxyIps");
    char name[32];
    size_t i;
    json_t *value;
    int rc = 0;
    if (one && !json_is_null(one))
        rc = add_proxy(one, "proxyIp", s, err);
    if (list && !json_is_null(list) && !json_is_array(list) && rc == 0)
        return traffic_file_invalid(err, "proxyIps", NULL, "must be a list");
    json_array_foreach(list, i, value)
    {
        snprintf(name, sizeof name, "proxyIps[%zu]", i);
        if (rc == 0)
            rc = add_proxy(value, name, s, err);
    }
    return rc == 0 && s->proxy_count == 0 ? traffic_file_invalid(err, "proxyIp", NULL, "is missing")
                                          : rc;
}

static int read_flag(const json_t *parameters, const char *name, bool *flag,
                     struct udptun_error *err)
{
    const json_t *value = json_object_get(parameters, name);
    if (!value || json_is_null(value))
        return UDPTUN_OK;
    if (!json_is_boolean(value))
        return traffic_file_invalid(err, name, NULL, "must be true or false");
    *flag = json_is_true(value);
    return UDPTUN_OK;
}

/* "HOST[:PORT]" with the port. Whether HOST can be a server is for udptund to say. */
static int read_dns(const json_t *parameters, struct traffic_settings *s, struct udptun_error *err)
{
    const json_t *value = json_object_get(parameters, "dns");
    struct udptun_endpoint ep;
    if (!value || json_is_null(value))
        return UDPTUN_OK;
    const char *text = json_string_value(value);
    if (!text)
        return traffic_file_invalid(err, "dns", NULL, "must be a string");
    if (text[0] == '\0' || strlen(text) > TRAFFIC_DNS_SIZE - 8)
        return traffic_file_invalid(err, "dns", text, "is not HOST or HOST:PORT");
    if (endpoint_parse_ip(text, &ep))
        snprintf(s->dns, sizeof s->dns, strchr(text, ':') ? "[%s]:%d" : "%s:%d", text, DNS_PORT);
    else if (strchr(text, ':'))
        snprintf(s->dns, sizeof s->dns, "%s", text);
    else
        snprintf(s->dns, sizeof s->dns, "%s:%d", text, DNS_PORT);
    return UDPTUN_OK;
}

int traffic_settings_read(const json_t *parameters, struct traffic_settings *settings,
                          struct udptun_error *err)
{
    const json_t *router = json_object_get(parameters, "routerIp");
    struct udptun_endpoint ignored;
    *settings = (struct traffic_settings){.allow_lan = true};
    int rc = read_proxies(parameters, settings, err);
    /* The device is the route; a router on it adds nothing. */
    if (rc == 0 && router && !json_is_null(router))
        rc = traffic_file_read_address(router, "routerIp", &ignored, err);
    if (rc == 0)
        rc = read_flag(parameters, "strict", &settings->strict, err);
    if (rc == 0)
        rc = read_flag(parameters, "allowLan", &settings->allow_lan, err);
    if (rc == 0)
        rc = read_flag(parameters, "persist", &settings->persist, err);
    return rc < 0 ? rc : read_dns(parameters, settings, err);
}

const char *traffic_format_ip(const struct udptun_endpoint *ip, char text[ENDPOINT_TEXT_SIZE])
{
    const char *done = inet_ntop(ip->family == UDPTUN_ENDPOINT_IP4 ? AF_INET : AF_INET6, ip->ip,
                                 text, ENDPOINT_TEXT_SIZE);
    return done ? done : "";
}

int traffic_file_write(const char *path, const struct traffic_settings *s, struct udptun_error *err)
{
    json_t *proxies = json_array();
    for (size_t i = 0; i < s->proxy_count; i++) {
        char text[ENDPOINT_TEXT_SIZE];
        json_array_append_new(proxies, json_string(traffic_format_ip(&s->proxies[i], text)));
    }
    json_t *all = json_pack("{s:o,s:b,s:b,s:b}", "proxyIps", proxies, "strict", s->strict,
                            "allowLan", s->allow_lan, "persist", s->persist);
    if (all && s->dns[0])
        json_object_set_new(all, "dns", json_string(s->dns));
    char *text = all ? json_dumps(all, JSON_INDENT(2)) : NULL;
    json_decref(all);
    if (!text)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    int rc = persist_write(path, text, err);
    free(text);
    return rc;
}

bool traffic_file_read(const char *path, struct traffic_settings *settings)
{
    struct udptun_error ignored;
    char *text = persist_read(path);
    json_t *all = text ? json_loads(text, 0, NULL) : NULL;
    bool is_good = all && traffic_settings_read(all, settings, &ignored) == 0 && settings->persist;
    json_decref(all);
    free(text);
    return is_good;
}

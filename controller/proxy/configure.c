/* SPDX-License-Identifier: Apache-2.0 */
/* configure.c - see configure.h. */
#include "controller/proxy/configure.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/proxy/controller.h"

static int wrong(struct udptun_error *err, const char *field, const char *why)
{
    char path[sizeof err->field];
    snprintf(path, sizeof path, "parameters.tun2socks%s%s", *field ? "." : "", field);
    return error_set(err, UDPTUN_E_INVALID, path, "%s: %s", path, why);
}

/* An address of our device is for us to say; the same again does no harm. */
static int check_address(const struct configure *job, const char *field,
                         const struct device_address *ours, struct udptun_error *err)
{
    const char *text = json_string_value(json_object_get(job->tun2socks, field));
    struct device_address given;
    if (!json_object_get(job->tun2socks, field))
        return UDPTUN_OK;
    if (!text || !device_address_parse(text, &given) || given.prefix_size != ours->prefix_size ||
        !endpoint_equal(&given.ip, &ours->ip))
        return wrong(err, field, "the TUN device has another, see --tun-address");
    json_object_del(job->tun2socks, field);
    return UDPTUN_OK;
}

/* "tun0" is what getDeviceName answers, "tun:tun0" what udptund calls it. */
static bool names_device(const char *text, const char *name)
{
    return strcmp(text, name) == 0 ||
           (strncmp(text, "tun:", 4) == 0 && strcmp(text + 4, name) == 0);
}

void configure_instance_name(char *text, size_t size, const char *tunnel)
{
    snprintf(text, size, "%.60s.tun", tunnel);
}

static int check_given_device(const struct configure *job, struct udptun_error *err)
{
    const json_t *device = json_object_get(job->tun2socks, "device");
    if (device && !json_is_string(device))
        return wrong(err, "device", "must be a string");
    if (device && strncmp(json_string_value(device), "fd:", 3) == 0)
        return wrong(err, "device", "a descriptor cannot be passed here");
    return UDPTUN_OK;
}

static int reserve_device(struct configure *job, const char *name, struct udptun_error *err)
{
    struct controller *c = job->command->controller;
    const struct kept_tunnel *other = tunnels_on_device(&c->tunnels);
    if (c->on_device_job)
        return error_set(err, UDPTUN_E_CONFLICT, "parameters.tun2socks.device",
                         "parameters.tun2socks.device: %s is being configured for another command",
                         c->device.name);
    if (other) {
        const char *other_name = json_string_value(json_object_get(other->object, "name"));
        const json_t *instance = json_object_get(other->tun2socks, "name");
        if (strcmp(other_name, name) != 0 ||
            !json_equal(instance, json_object_get(job->tun2socks, "name")))
            return error_set(
                err, UDPTUN_E_CONFLICT, "parameters.tun2socks.device",
                "parameters.tun2socks.device: %s is in use by the tun2socks instance '%.64s'",
                c->device.name, json_string_value(instance));
    }
    c->on_device_job = job;
    return UDPTUN_OK;
}

/* What udptund sends to an app's destination itself takes the route of the app's packets: into the
 * device, as the packets of another app, without end. */
static int check_no_loop(const struct configure *job, struct udptun_error *err)
{
    static const char *const ways[] = {"tcp", "udp"};
    char why[96];
    if (json_object_get(job->tun2socks, "bindDevice"))
        return UDPTUN_OK;
    snprintf(why, sizeof why, "direct would lead back into %s; name a proxy, or reject",
             job->command->controller->device.name);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *way = json_string_value(json_object_get(job->tun2socks, ways[i]));
        if (way && strcmp(way, "direct") == 0)
            return wrong(err, ways[i], why);
    }
    return UDPTUN_OK;
}

/* An address that is not by routing outside of the device is in it. */
static bool leads_into_device(struct controller *c, const struct udptun_endpoint *ip)
{
    struct udptun_error ignored;
    enum route_kind kind;
    uint32_t device = 0;
    return routing_find(&c->routing, ip, 0, &kind, &device, &ignored) == 0 &&
           kind == ROUTE_REMOTE && device == c->device.index;
}

int configure_check_proxies(struct controller *c, const json_t *tun2socks, const char *field,
                            struct udptun_error *err)
{
    static const char *const ways[] = {"tcp", "udp"};
    if (json_object_get(tun2socks, "bindDevice") || json_object_get(tun2socks, "mark"))
        return UDPTUN_OK;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        const char *url = json_string_value(json_object_get(tun2socks, ways[i]));
        const char *host = url ? strstr(url, "://") : NULL;
        struct udptun_endpoint ep;
        if (!host)
            continue;
        host = strrchr(host, '@') ? strrchr(host, '@') + 1 : host + 3;
        /* A name may lead anywhere, at any time; udptund finds out when it uses it. */
        if (!endpoint_parse(host, &ep))
            continue;
        ep = endpoint_unmapped(&ep);
        if (endpoint_is_loopback(&ep) || !leads_into_device(c, &ep))
            continue;
        char path[sizeof err->field];
        snprintf(path, sizeof path, "%s%s%s", field, strcmp(field, "parameters.proxyIp") ? "." : "",
                 strcmp(field, "parameters.proxyIp") ? ways[i] : "");
        return error_set(err, UDPTUN_E_INVALID, path,
                         "%s: the proxy %.72s of the instance would be reached through %s, and its "
                         "traffic would go in circles; name its address in proxyIp or proxyIps",
                         path, host, c->device.name);
    }
    return UDPTUN_OK;
}

/* The device, and what a tun2socks part may leave out. A descriptor is one that a merge found at
 * udptund: ours. */
static int complete_tun2socks(struct configure *job, const char *name, struct udptun_error *err)
{
    const struct controller *c = job->command->controller;
    const char *device = json_string_value(json_object_get(job->tun2socks, "device"));
    char text[128];
    job->on_device =
        !device || strncmp(device, "fd:", 3) == 0 || names_device(device, c->device.name);
    if (!json_object_get(job->tun2socks, "udp")) {
        snprintf(text, sizeof text, "tunnel:%.64s", name);
        json_object_set_new(job->tun2socks, "udp", json_string(text));
    }
    if (!job->on_device)
        return UDPTUN_OK;
    json_object_set_new(job->tun2socks, "device", json_string("fd:0"));
    /* A secret that udptund alone knows is there after its restart, and we hand over the device. */
    if (!json_object_get(job->tun2socks, "keepDisabled") &&
        !json_is_true(json_object_get(job->tun2socks, "ephemeral")))
        json_object_set_new(job->tun2socks, "keepDisabled", json_true());
    int rc = check_no_loop(job, err);
    if (rc == 0 && c->traffic.routed)
        rc = configure_check_proxies(job->command->controller, job->tun2socks,
                                     "parameters.tun2socks", err);
    if (rc == 0)
        rc = check_address(job, "address", &c->device.address, err);
    if (rc == 0)
        rc = check_address(job, "address6", &c->device.address6, err);
    return rc < 0 ? rc : reserve_device(job, name, err);
}

int configure_read(struct configure *job, struct udptun_error *err)
{
    const json_t *given = job->command->parameters;
    const json_t *tun2socks = json_object_get(given, "tun2socks");
    const char *name = json_string_value(json_object_get(given, "name"));
    const char *const ours[] = {"tun2socks", "merge", "wait"};
    char text[128];
    job->merge = json_is_true(json_object_get(given, "merge"));
    job->wait_s = json_number_value(json_object_get(given, "wait"));
    job->wait_s = job->wait_s > 0 && job->wait_s <= 86400. ? job->wait_s : 0.;
    job->tunnel = json_copy((json_t *)(uintptr_t)given);
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        json_object_del(job->tunnel, ours[i]);
    if (!tun2socks)
        return UDPTUN_OK;
    if (!json_is_object(tun2socks))
        return wrong(err, "", "must be an object");
    if (!name)
        return error_set(err, UDPTUN_E_INVALID, "parameters.name", "parameters.name: is missing");
    job->tun2socks = json_copy((json_t *)(uintptr_t)tun2socks);
    if (!json_object_get(job->tun2socks, "name")) {
        configure_instance_name(text, sizeof text, name);
        json_object_set_new(job->tun2socks, "name", json_string(text));
    }
    int rc = check_given_device(job, err);
    return rc < 0 || job->merge ? rc : complete_tun2socks(job, name, err);
}

/* ---- merge ----------------------------------------------------------------------------------- */

/* Keys and passwords in `whole` are redacted: udptund keeps the present ones. We do know those that
 * came through us, and need them to set the object up again. */
static void fill_secrets(json_t *whole, const json_t *known)
{
    const char *name;
    json_t *value;
    void *next;
    json_object_foreach_safe(whole, next, name, value)
    {
        json_t *secret = json_object_get(known, name);
        if (secret && json_is_true(json_object_get(value, "redacted")))
            json_object_set(whole, name, secret);
    }
}

static void merge_into(json_t **object, const json_t *list, const json_t *known)
{
    const char *name = json_string_value(json_object_get(*object, "name"));
    size_t i;
    json_t *one;
    json_array_foreach(list, i, one)
    {
        const char *other = json_string_value(json_object_get(one, "name"));
        if (!name || !other || strcmp(name, other) != 0)
            continue;
        json_t *whole = json_copy(one);
        fill_secrets(whole, known);
        json_object_update(whole, *object);
        json_decref(*object);
        *object = whole;
        return;
    }
}

/* The DNS server of the routing is in udptund's object, but not in the client's. */
static void leave_out_dns(struct configure *job, const json_t *given, const json_t *known)
{
    const char *dns = json_string_value(json_object_get(job->tun2socks, "dns"));
    const char *routed = traffic_dns(&job->command->controller->traffic);
    if (json_object_get(given, "dns") || !dns || strcmp(dns, routed) != 0)
        return;
    json_t *own = json_object_get(known, "dns");
    if (own)
        json_object_set(job->tun2socks, "dns", own);
    else
        json_object_del(job->tun2socks, "dns");
}

int configure_merge(struct configure *job, const json_t *config, struct udptun_error *err)
{
    const char *name = json_string_value(json_object_get(job->tunnel, "name"));
    const struct kept_tunnel *known = tunnels_find(&job->command->controller->tunnels, name);
    merge_into(&job->tunnel, json_object_get(config, "udpTunnels"), known ? known->object : NULL);
    merge_into(&job->tun2socks, json_object_get(config, "tun2socks"),
               known ? known->tun2socks : NULL);
    leave_out_dns(job, json_object_get(job->command->parameters, "tun2socks"),
                  known ? known->tun2socks : NULL);
    return complete_tun2socks(job, name, err);
}

/* ---- life ------------------------------------------------------------------------------------ */

bool configure_has_device(const struct configure *job)
{
    return job->command->controller->on_device_job == job;
}

void configure_release_device(struct configure *job)
{
    if (configure_has_device(job))
        job->command->controller->on_device_job = NULL;
}

void configure_free(struct configure *job)
{
    configure_release_device(job);
    json_decref(job->tunnel);
    json_decref(job->tun2socks);
    free(job);
}

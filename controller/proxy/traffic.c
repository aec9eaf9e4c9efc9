/* SPDX-License-Identifier: Apache-2.0 */
/* traffic.c - see traffic.h. */
#include "controller/proxy/traffic.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/proxy/controller.h"
#include "controller/proxy/linux/persist.h"
#include "controller/proxy/traffic_file.h"

/* ---- making it so ---------------------------------------------------------------------------- */

static void traffic_add_aside(struct wish *wish, const struct udptun_endpoint *to)
{
    for (size_t i = 0; i < wish->aside_count; i++) {
        if (endpoint_equal(&wish->aside[i], to))
            return;
    }
    if (wish->aside_count < WISH_MAX_ASIDE)
        wish->aside[wish->aside_count++] = *to;
}

static void make_wish(const struct traffic *t, const struct traffic_settings *settings,
                      struct wish *wish)
{
    const struct controller *c = t->controller;
    *wish = (struct wish){0};
    for (size_t i = 0; i < settings->proxy_count; i++)
        traffic_add_aside(wish, &settings->proxies[i]);
    for (size_t i = 0; i < t->relay_count; i++)
        traffic_add_aside(wish, &t->relays[i]);
    wish->device = c->device.index;
    memcpy(wish->device_name, c->device.name, sizeof wish->device_name);
    wish->address = c->device.address.ip;
    wish->address6 = c->device.address6.ip;
    wish->mark = c->mark;
    wish->has_ip6 = c->routing.has_ip6;
    wish->strict = settings->strict;
    wish->allow_lan = settings->allow_lan;
    wish->dns = settings->dns[0] != '\0';
}

/* The firewall comes first and goes last: rules alone leave gaps, but not the other way round. */
static int apply(struct traffic *t, const struct traffic_settings *settings, bool *repaired,
                 struct udptun_error *err)
{
    struct controller *c = t->controller;
    struct wish wish;
    bool rules_repaired = false;
    int rc = controller_have_device(c, err);
    if (rc == 0)
        rc = proxy_device_up(&c->device, err);
    if (rc == 0)
        rc = survey_take(&c->routing.nl, c->device.index, !settings->strict, PLAN_ASIDE, &t->survey,
                         err);
    if (rc < 0)
        return rc;
    make_wish(t, settings, &wish);
    t->firewall_rc = firewall_set(&t->firewall, &wish, &t->survey, repaired);
    wish.firewall = t->firewall_rc == 0;
    struct plan *plan = malloc(sizeof *plan);
    if (!plan)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    plan_make(plan, &wish, &t->survey);
    rc = routing_set(&c->routing, plan, &rules_repaired, err);
    /* What is new since the last time is not repaired. */
    if (repaired && rules_repaired && plan_is_same(plan, &t->last))
        *repaired = true;
    t->last = *plan;
    free(plan);
    return rc;
}

static int unroute(struct traffic *t, struct udptun_error *err)
{
    struct controller *c = t->controller;
    struct udptun_error ignored;
    persist_remove(t->path); /* first: a start after a crash in the middle of this opens the rest */
    int rc = routing_set(&c->routing, NULL, NULL, err);
    int down = proxy_device_down(&c->device, rc < 0 ? &ignored : err);
    firewall_set(&t->firewall, NULL, NULL, NULL);
    t->routed = false;
    return rc < 0 ? rc : down;
}

int traffic_unroute(struct traffic *t, struct udptun_error *err)
{
    bool was_routed = t->routed;
    int rc = unroute(t, err);
    json_decref(t->warned);
    t->warned = NULL;
    if (was_routed)
        log_write(t->controller->log, UDPTUN_LOG_INFO, "proxy", "routing reset");
    return rc;
}

static void log_routed(const struct traffic *t)
{
    const struct traffic_settings *s = &t->settings;
    char text[ENDPOINT_TEXT_SIZE];
    log_write(t->controller->log, UDPTUN_LOG_INFO, "proxy", "all but %s%s is routed into %s%s%s%s",
              traffic_format_ip(&s->proxies[0], text), s->proxy_count > 1 ? " (and others)" : "",
              t->controller->device.name, s->strict ? ", strict" : "",
              s->strict && !s->allow_lan ? " without the LAN" : "",
              s->dns[0] ? ", DNS included" : "");
}

int traffic_route(struct traffic *t, const struct traffic_settings *settings,
                  struct udptun_error *err)
{
    struct udptun_error ignored;
    int rc = apply(t, settings, NULL, err);
    if (rc == 0 && settings->persist)
        rc = traffic_file_write(t->path, settings, err);
    if (rc < 0 && t->routed)
        apply(t, &t->settings, NULL, &ignored);
    else if (rc < 0)
        unroute(t, &ignored);
    if (rc < 0)
        return rc;
    if (!settings->persist)
        persist_remove(t->path);
    t->routed = true;
    t->settings = *settings;
    log_routed(t);
    return UDPTUN_OK;
}

void traffic_keep(struct traffic *t)
{
    struct udptun_error err;
    bool repaired = false;
    if (!t->routed)
        return;
    if (apply(t, &t->settings, &repaired, &err) < 0)
        log_write(t->controller->log, UDPTUN_LOG_ERROR, "proxy", "cannot keep the routing: %s",
                  err.message);
    else if (repaired)
        log_write(t->controller->log, UDPTUN_LOG_WARN, "proxy",
                  "another program removed parts of our routing; restored them");
    json_decref(traffic_warnings(t)); /* logged if they are new */
}

void traffic_set_relays(struct traffic *t, const struct udptun_endpoint *relays, size_t count)
{
    if (count > TRAFFIC_MAX_RELAYS)
        count = TRAFFIC_MAX_RELAYS;
    bool same = count == t->relay_count;
    for (size_t i = 0; same && i < count; i++)
        same = endpoint_equal(&relays[i], &t->relays[i]);
    if (same)
        return;
    memcpy(t->relays, relays, count * sizeof *relays);
    t->relay_count = count;
    traffic_keep(t);
}

const char *traffic_dns(const struct traffic *t)
{
    return t->routed ? t->settings.dns : "";
}

/* ---- what is said ---------------------------------------------------------------------------- */

bool traffic_has_way(struct traffic *t, char *why, size_t size)
{
    struct controller *c = t->controller;
    struct udptun_error err = {0};
    snprintf(why, size, "there is no route to the proxy");
    for (size_t i = 0; i < t->settings.proxy_count; i++) {
        enum route_kind kind;
        if (routing_find(&c->routing, &t->settings.proxies[i], c->mark, &kind, NULL, &err) < 0)
            snprintf(why, size, "%s", err.message);
        else if (kind == ROUTE_REMOTE)
            return true;
    }
    return false;
}

__attribute__((format(printf, 2, 3))) static void warn(json_t *list, const char *format, ...)
{
    char line[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    json_array_append_new(list, json_string_nocheck(line));
}

static void collect(struct traffic *t, json_t *list)
{
    const struct traffic_settings *s = &t->settings;
    const struct controller *c = t->controller;
    for (size_t i = 0; i < t->survey.warning_count; i++)
        warn(list, "%s", t->survey.warnings[i]);
    if (t->survey.more)
        warn(list, "%zu more routes or rules take traffic out beside the device", t->survey.more);
    if (!s->allow_lan && !s->strict)
        warn(list, "%s", "allowLan has an effect with strict only");
    if (t->firewall_rc < 0 && s->strict)
        warn(list,
             "nf_tables cannot be used (%s): sockets that are bound to another device are "
             "held by routing rules alone",
             strerror(-t->firewall_rc));
    else if (t->firewall_rc < 0 && s->dns[0])
        warn(list,
             "nf_tables cannot be used (%s): DNS questions of sockets that are bound to "
             "another device fail",
             strerror(-t->firewall_rc));
    if (proxy_device_exists(&c->device) && !proxy_device_is_read(&c->device))
        warn(list, "no program reads %s: what is routed into it is lost", c->device.name);
}

json_t *traffic_warnings(struct traffic *t)
{
    json_t *list = json_array();
    size_t i;
    json_t *line;
    if (t->routed)
        collect(t, list);
    if (!json_equal(list, t->warned)) {
        json_array_foreach(list, i, line)
        {
            log_write(t->controller->log, UDPTUN_LOG_WARN, "proxy", "%s", json_string_value(line));
        }
        json_decref(t->warned);
        t->warned = json_incref(list);
    }
    if (json_array_size(list) > 0)
        return list;
    json_decref(list);
    return NULL;
}

/* ---- life ------------------------------------------------------------------------------------ */

/* False: there is nothing to keep, or it cannot be kept. */
static bool keep_what_was(struct traffic *t)
{
    struct controller *c = t->controller;
    struct udptun_error err;
    struct traffic_settings settings;
    /* Our rules are gone: the machine was restarted, and its network was open meanwhile. */
    if (!traffic_file_read(t->path, &settings) || !routing_is_set(&c->routing))
        return false;
    if (proxy_device_clear(&c->device, true, &err) == 0 && traffic_route(t, &settings, &err) == 0) {
        log_write(c->log, UDPTUN_LOG_INFO, "proxy", "kept the routing of before a crash");
        return true;
    }
    log_write(c->log, UDPTUN_LOG_ERROR, "proxy", "cannot keep the routing of before a crash: %s",
              err.message);
    return false;
}

int traffic_open(struct traffic *t, struct controller *c, const char *path,
                 struct udptun_error *err)
{
    t->controller = c;
    t->path = path;
    if (keep_what_was(t))
        return UDPTUN_OK;
    persist_remove(path);
    int rc = routing_set(&c->routing, NULL, NULL, err);
    firewall_set(&t->firewall, NULL, NULL, NULL);
    return rc < 0 ? rc : proxy_device_clear(&c->device, false, err);
}

void traffic_close(struct traffic *t)
{
    struct udptun_error err;
    if (t->routed && traffic_unroute(t, &err) < 0)
        log_write(t->controller->log, UDPTUN_LOG_ERROR, "proxy", "%s", err.message);
    firewall_forget(&t->firewall);
    json_decref(t->warned);
    t->warned = NULL;
}

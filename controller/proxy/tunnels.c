/* SPDX-License-Identifier: Apache-2.0 */
/* tunnels.c - see tunnels.h. */
#include "controller/proxy/tunnels.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "controller/proxy/controller.h"
#include "controller/proxy/tunnels_state.h"

static const char *tunnels_name_of(const json_t *object)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    return name ? name : "";
}

/* A proxy names relays when the first app sends a datagram, and there is no event of it. */
#define LOOK_US UINT64_C(1000000)

static void on_look(void *arg)
{
    struct tunnels *t = arg;
    const struct kept_tunnel *tunnel = tunnels_on_device(t);
    const char *udp = tunnel ? json_string_value(json_object_get(tunnel->tun2socks, "udp")) : NULL;
    if (!udp || strncmp(udp, "socks5:", 7) != 0)
        return;
    timer_start(&t->look, LOOK_US);
    tunnels_state_look(t);
}

void tunnels_init(struct tunnels *t, struct controller *c)
{
    *t = (struct tunnels){.controller = c};
    list_init(&t->list);
    tunnels_restore_init(t);
    timer_init(&t->look, c->loop, on_look, t);
}

static void kept_tunnel_free(struct tunnels *t, struct kept_tunnel *tunnel)
{
    if (t->under_way == tunnel)
        t->under_way = NULL;
    list_remove(&tunnel->node);
    json_decref(tunnel->object);
    json_decref(tunnel->tun2socks);
    free(tunnel);
}

void tunnels_fini(struct tunnels *t)
{
    timer_stop(&t->retry);
    timer_stop(&t->look);
    while (!list_empty(&t->list))
        kept_tunnel_free(t, list_entry(t->list.next, struct kept_tunnel, node));
}

struct kept_tunnel *tunnels_find(struct tunnels *t, const char *name)
{
    LIST_FOREACH (node, &t->list) {
        struct kept_tunnel *tunnel = list_entry(node, struct kept_tunnel, node);
        if (strcmp(tunnels_name_of(tunnel->object), name) == 0)
            return tunnel;
    }
    return NULL;
}

struct kept_tunnel *tunnels_on_device(struct tunnels *t)
{
    LIST_FOREACH (node, &t->list) {
        struct kept_tunnel *tunnel = list_entry(node, struct kept_tunnel, node);
        if (tunnel->on_device)
            return tunnel;
    }
    return NULL;
}

/* Nobody of ours reads it any more. A configure that has it reserved sees to it itself. */
static void leave_device(struct tunnels *t)
{
    if (!t->controller->on_device_job)
        proxy_device_detach(&t->controller->device);
}

void tunnels_remember(struct tunnels *t, json_t *object, json_t *tun2socks, bool on_device)
{
    struct kept_tunnel *tunnel = tunnels_find(t, tunnels_name_of(object));
    if (!tunnel) {
        tunnel = calloc(1, sizeof *tunnel);
        if (!tunnel) { /* it runs, and will not be set up again */
            log_write(t->controller->log, UDPTUN_LOG_ERROR, "proxy",
                      "out of memory: a tunnel is not remembered");
            json_decref(object);
            json_decref(tun2socks);
            return;
        }
        list_append(&t->list, &tunnel->node);
    }
    json_decref(tunnel->object);
    tunnel->object = object;
    if (tun2socks) {
        json_decref(tunnel->tun2socks);
        tunnel->tun2socks = tun2socks;
        bool has_left = tunnel->on_device && !on_device;
        tunnel->on_device = on_device;
        if (has_left) {
            leave_device(t);
            controller_update_status(t->controller);
        }
    }
    udptund_keep(&t->controller->udptund, true);
}

void tunnels_forget(struct tunnels *t, const char *name)
{
    struct kept_tunnel *tunnel = tunnels_find(t, name);
    if (!tunnel)
        return;
    if (tunnel->on_device)
        leave_device(t);
    kept_tunnel_free(t, tunnel);
    if (list_empty(&t->list))
        udptund_keep(&t->controller->udptund, false);
    controller_update_status(t->controller);
}

bool tunnels_in_place(const struct tunnels *t, char *why, size_t size)
{
    snprintf(why, size, "udptund is gone");
    LIST_FOREACH (node, &t->list) {
        const struct kept_tunnel *tunnel = list_entry(node, struct kept_tunnel, node);
        if (tunnel->on_device)
            return !t->missing && tunnels_state_is_up(tunnel, why, size);
    }
    return true;
}

uint32_t tunnels_mtu(const json_t *tun2socks)
{
    json_int_t mtu = json_integer_value(json_object_get(tun2socks, "mtu"));
    return mtu > 0 && mtu <= UINT16_MAX ? (uint32_t)mtu : 0;
}

json_t *tunnels_effective(json_t *tun2socks, bool on_device, const char *dns)
{
    if (!tun2socks || !on_device || !dns[0])
        return json_incref(tun2socks);
    json_t *whole = json_copy(tun2socks);
    json_object_set_new(whole, "dns", json_string(dns));
    return whole;
}

static json_t *list_of(json_t *object)
{
    json_t *list = json_array();
    if (object)
        json_array_append(list, object);
    return list;
}

json_t *tunnels_config(json_t *tunnel, json_t *tun2socks)
{
    return json_pack("{s:{s:o,s:o}}", "config", "udpTunnels", list_of(tunnel), "tun2socks",
                     list_of(tun2socks));
}

static void on_dns_set(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    const struct tunnels *t = arg;
    if (reply->error.code < 0)
        log_write(t->controller->log, UDPTUN_LOG_WARN, "proxy",
                  "cannot change the DNS server of the instance on the device: %s",
                  reply->error.message);
}

void tunnels_set_dns(struct tunnels *t, const char *dns, udptun_client_reply_fn done, void *arg)
{
    const struct kept_tunnel *tunnel = tunnels_on_device(t);
    if (!tunnel) /* done is given only if there is one */
        return;
    json_t *whole = tunnels_effective(tunnel->tun2socks, true, dns);
    json_t *parameters = tunnels_config(NULL, whole);
    json_decref(whole);
    /* Without a descriptor: it keeps its own. */
    udptund_call(&t->controller->udptund, "applyConfig", parameters, -1, 0.,
                 done ? done : on_dns_set, done ? arg : t);
    json_decref(parameters);
}

/* ---- what the device goes through ------------------------------------------------------------ */

void tunnels_lost(struct tunnels *t)
{
    t->missing = true;
    LIST_FOREACH (node, &t->list) {
        struct kept_tunnel *tunnel = list_entry(node, struct kept_tunnel, node);
        tunnel->state[0] = tunnel->tun2socks_state[0] = '\0';
    }
}

void tunnels_device_in_place(struct tunnels *t)
{
    t->missing = false;
    t->new_device = false;
    tunnels_state_look(t);
    timer_start(&t->look, LOOK_US);
    controller_update_status(t->controller);
}

void tunnels_device_is_new(struct tunnels *t)
{
    if (!tunnels_on_device(t))
        return;
    t->new_device = true;
    t->missing = true;
    tunnels_restore(t);
}

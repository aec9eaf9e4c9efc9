/* SPDX-License-Identifier: Apache-2.0 */
/* tunnels_state.c - see tunnels_state.h. Events say what changes; what was before them, and what
 * has no events, is asked for. */
#include "controller/proxy/tunnels_state.h"

#include <stdio.h>
#include <string.h>

#include "controller/proxy/controller.h"

static const char *tunnels_state_text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

/* ---- states ---------------------------------------------------------------------------------- */

static void note_state(struct tunnels *t, const char *name, const char *state)
{
    LIST_FOREACH (node, &t->list) {
        struct kept_tunnel *tunnel = list_entry(node, struct kept_tunnel, node);
        if (strcmp(tunnels_state_text_of(tunnel->object, "name"), name) == 0)
            snprintf(tunnel->state, sizeof tunnel->state, "%s", state);
        else if (strcmp(tunnels_state_text_of(tunnel->tun2socks, "name"), name) == 0)
            snprintf(tunnel->tun2socks_state, sizeof tunnel->tun2socks_state, "%s", state);
    }
}

static bool tunnels_state_is_running(const char *state)
{
    /* "degraded" is a session with fewer connections than wanted: it carries traffic. */
    return strcmp(state, "established") == 0 || strcmp(state, "degraded") == 0 ||
           strcmp(state, "listening") == 0;
}

bool tunnels_state_is_up(const struct kept_tunnel *tunnel, char *why, size_t size)
{
    bool tunnel_is_up = tunnels_state_is_running(tunnel->state);
    const char *state = tunnel_is_up ? tunnel->tun2socks_state : tunnel->state;
    /* An instance is degraded when its proxy is not reached or its tunnel does not run. */
    if (tunnel_is_up && strcmp(tunnel->tun2socks_state, "established") == 0)
        return true;
    snprintf(why, size, "'%s' is %s",
             tunnels_state_text_of(tunnel_is_up ? tunnel->tun2socks : tunnel->object, "name"),
             state[0] ? state : "not established yet");
    return false;
}

void tunnels_state_event(struct tunnels *t, const char *json)
{
    json_t *event = json_loads(json, 0, NULL);
    const char *name = tunnels_state_text_of(event, "event");
    const json_t *data = json_object_get(event, "data");
    if (strcmp(name, "tunnel.state") == 0 || strcmp(name, "tun2socks.state") == 0) {
        note_state(t, tunnels_state_text_of(data, "name"), tunnels_state_text_of(data, "state"));
        controller_update_status(t->controller);
    }
    json_decref(event);
}

void tunnels_state_note(struct tunnels *t, const json_t *status)
{
    note_state(t, tunnels_state_text_of(status, "name"), tunnels_state_text_of(status, "state"));
}

/* ---- relays ---------------------------------------------------------------------------------- */

/* Of the instance on the device: what goes to them must not come back into it. */
static void note_relays(struct tunnels *t, const json_t *status)
{
    const struct kept_tunnel *tunnel = tunnels_on_device(t);
    struct udptun_endpoint relays[TRAFFIC_MAX_RELAYS];
    size_t count = 0, i;
    json_t *one;
    if (!tunnel || strcmp(tunnels_state_text_of(tunnel->tun2socks, "name"),
                          tunnels_state_text_of(status, "name")) != 0)
        return;
    json_array_foreach(json_object_get(status, "relays"), i, one)
    {
        struct udptun_endpoint relay;
        const char *text = json_string_value(one);
        if (count == TRAFFIC_MAX_RELAYS || !text || !endpoint_parse(text, &relay))
            continue;
        relay = endpoint_unmapped(&relay);
        relay.port = 0;
        if (!endpoint_is_loopback(&relay) && !endpoint_is_unspecified(&relay) &&
            !endpoint_is_multicast(&relay) && !endpoint_is_broadcast(&relay))
            relays[count++] = relay;
    }
    traffic_set_relays(&t->controller->traffic, relays, count);
}

/* ---- a look ---------------------------------------------------------------------------------- */

static void on_status(void *arg, udptun_client *client, const struct udptun_client_reply *reply)
{
    (void)client;
    struct tunnels *t = arg;
    size_t i;
    json_t *one;
    t->looking = false;
    if (reply->error.code < 0)
        return;
    json_t *value = json_loads(reply->value ? reply->value : "{}", 0, NULL);
    json_array_foreach(json_object_get(value, "udpTunnels"), i, one)
    {
        tunnels_state_note(t, one);
    }
    json_array_foreach(json_object_get(value, "tun2socks"), i, one)
    {
        tunnels_state_note(t, one);
        note_relays(t, one);
    }
    json_decref(value);
    controller_update_status(t->controller);
    if (t->look_again)
        tunnels_state_look(t);
}

void tunnels_state_look(struct tunnels *t)
{
    t->look_again = t->looking;
    if (t->looking || !t->controller->udptund.granted)
        return;
    t->looking = true;
    udptund_call(&t->controller->udptund, "getStatus", NULL, -1, 0., on_status, t);
}

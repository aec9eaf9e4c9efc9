/* SPDX-License-Identifier: Apache-2.0 */
/* release.c - see release.h. */
#include "daemon/control/change/release.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/control/change/apply.h"
#include "daemon/control/change/change.h"
#include "daemon/control/store/object_fields.h"
#include "daemon/control/store/state.h"
#include "proto/control/codec.h"

const struct object *edit_ran_before(const struct change *c, const struct edit *e)
{
    const struct object *object = objects_find(&c->control->objects, e->name);
    return object && object->message && !object->last_error[0] ? object : NULL;
}

/* What follows `prefix`; NULL: `text` (NULL is accepted) does not begin so. */
static const char *behind(const char *text, const char *prefix)
{
    size_t len = strlen(prefix);
    return text && strncmp(text, prefix, len) == 0 ? text + len : NULL;
}

static const char *release_text_of(const secret_msg *secret)
{
    return secret && secret->value_case == UDPTUN__CONTROL__SECRET__VALUE_TEXT ? secret->text
                                                                               : NULL;
}

const char *object_used_by(ProtobufCMessage *message)
{
    const tunnel_msg *tunnel = object_tunnel(message);
    return tunnel ? behind(tunnel->egress, "tun2socks:")
                  : behind(release_text_of(object_tun2socks(message)->udp), "tunnel:");
}

/* What only one object can have: the part of "udp://127.0.0.1:53" or "tun:tun0" behind the last
 * colon. "" when there is none, or none that is known yet. */
static const char *place_in(const char *text)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    return colon && strcmp(colon, ":0") != 0 ? colon + 1 : "";
}

static const char *release_place_of(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = codec_field(message->descriptor, "listen");
    if (!field)
        field = codec_field(message->descriptor, "device");
    return place_in(object_text(message, field));
}

/* Where the object that runs is, the port that a PORT 0 got included. */
static const char *place_now(const struct change *c, const struct object *object,
                             struct udptun_tunnel_status *status)
{
    if (object_tunnel(object->message) &&
        udptun_status(c->control->engine, object->name, status) == 0 && status->listen[0])
        return place_in(status->listen);
    return release_place_of(object->message);
}

/* Whether another edit that could not be carried out waits for what `e` has, or is refused since
 * `e` uses its object. An address is not looked at: to release it for nothing costs no more than
 * the change, which fails then, would. */
static bool is_waited_for(const struct change *c, const struct edit *e)
{
    const struct object *object = edit_ran_before(c, e);
    struct udptun_tunnel_status status;
    if (!object)
        return false;
    const char *place = place_now(c, object, &status);
    const char *used = object_used_by(object->message);
    for (size_t i = 0; (*place || used) && i < c->count; i++) {
        const struct edit *other = &c->edits[i];
        if (other == e || other->applied || !other->wanted)
            continue;
        if (*place && strcmp(release_place_of(other->wanted), place) == 0)
            return true;
        if (used && other->code == UDPTUN_E_CONFLICT && strcmp(other->name, used) == 0)
            return true;
    }
    return false;
}

static void clear_secret(secret_msg **secret)
{
    if (*secret)
        protobuf_c_message_free_unpacked(&(*secret)->base, NULL);
    *secret = NULL;
}

static void clear_text(char **text)
{
    free(*text);
    *text = NULL;
}

/* Without its place, and using nobody: a tunnel keeps its session, an instance has nothing else. */
static void give_up_place(ProtobufCMessage *message)
{
    tunnel_msg *tunnel = object_tunnel(message);
    if (!tunnel) {
        tun2socks_msg *instance = object_tun2socks(message);
        instance->has_enabled = 1;
        instance->enabled = 0;
        clear_secret(&instance->udp);
        return;
    }
    clear_secret(&tunnel->listen);
    clear_text(&tunnel->tcp_proxy); /* it needs a listener */
    clear_text(&tunnel->egress);
}

bool edit_release(struct change *c, struct edit *e)
{
    const struct object *object = edit_ran_before(c, e);
    ProtobufCMessage *stopped = codec_copy(object->message);
    struct udptun_error err;
    if (!stopped)
        return false;
    give_up_place(stopped);
    int rc = control_apply(c->control, stopped, &object->inputs, "", NULL, &err);
    protobuf_c_message_free_unpacked(stopped, NULL);
    e->is_released = e->is_released || rc == 0;
    return rc == 0;
}

bool change_release_waited(struct change *c)
{
    bool any = false;
    for (size_t i = 0; i < c->count; i++) {
        struct edit *e = &c->edits[i];
        if (!e->applied && !e->is_released && is_waited_for(c, e))
            any = edit_release(c, e) || any;
    }
    return any;
}

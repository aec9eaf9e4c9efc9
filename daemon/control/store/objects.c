/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - see objects.h. A sorted array: names are few, and always listed in order. */
#include "daemon/control/store/objects.h"

#include <stdlib.h>
#include <string.h>

#include "proto/control/codec.h"

static void free_message(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

void objects_fini(struct objects *o)
{
    for (size_t i = 0; i < o->count; i++) {
        free(o->items[i].name);
        free_message(o->items[i].message);
        object_inputs_fini(&o->items[i].inputs);
    }
    free(o->items);
    *o = (struct objects){0};
}

/* Where `name` is, or would be. */
static size_t objects_place_of(const struct objects *o, const char *name)
{
    size_t low = 0, high = o->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(o->items[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct object *objects_find(const struct objects *o, const char *name)
{
    size_t at = objects_place_of(o, name);
    return at < o->count && strcmp(o->items[at].name, name) == 0 ? &o->items[at] : NULL;
}

struct object *objects_add(struct objects *o, const char *name)
{
    struct object *found = objects_find(o, name);
    if (found)
        return found;
    struct object *grown = realloc(o->items, (o->count + 1) * sizeof *grown);
    char *copy = grown ? strdup(name) : NULL;
    if (grown)
        o->items = grown;
    if (!copy)
        return NULL;
    size_t at = objects_place_of(o, name);
    memmove(&o->items[at + 1], &o->items[at], (o->count - at) * sizeof *grown);
    o->count++;
    o->items[at] = (struct object){.name = copy};
    return &o->items[at];
}

void objects_set(struct objects *o, struct object *object, ProtobufCMessage *message)
{
    free_message(object->message);
    object->message = message;
    object->last_error[0] = '\0';
    object->retry_delay_us = 0;
    if (message || object->of_file)
        return;
    size_t at = (size_t)(object - o->items);
    free(object->name);
    o->count--;
    memmove(&o->items[at], &o->items[at + 1], (o->count - at) * sizeof *object);
}

tunnel_msg *object_tunnel(ProtobufCMessage *message)
{
    bool is = message && message->descriptor == &udptun__control__tunnel__descriptor;
    return is ? (tunnel_msg *)message : NULL;
}

tun2socks_msg *object_tun2socks(ProtobufCMessage *message)
{
    bool is = message && message->descriptor == &udptun__control__tun2socks__descriptor;
    return is ? (tun2socks_msg *)message : NULL;
}

const char *object_name(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = codec_field(message->descriptor, "name");
    return *(char *const *)((const char *)message + field->offset);
}

bool object_is_enabled(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = codec_field(message->descriptor, "enabled");
    return !codec_has(message, field) ||
           *(const protobuf_c_boolean *)((const char *)message + field->offset);
}

bool object_is_ephemeral(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        message ? codec_field(message->descriptor, "ephemeral") : NULL;
    bool said = field && codec_has(message, field) &&
                *(const protobuf_c_boolean *)((const char *)message + field->offset);
    return said || (object_has_fd(message) && !object_waits_for_fd(message));
}

bool object_keeps(bool of_file, const ProtobufCMessage *message)
{
    return message && !of_file && !object_is_ephemeral(message);
}

bool object_is_kept(const struct object *object)
{
    return object_keeps(object->of_file, object->message);
}

void config_place(config_msg *config, ProtobufCMessage *message)
{
    if (object_tunnel(message))
        config->udp_tunnels[config->n_udp_tunnels++] = (tunnel_msg *)message;
    else
        config->tun2socks[config->n_tun2socks++] = (tun2socks_msg *)message;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - see objects.h. A sorted array: names are few, and always listed in order. */
#include "daemon/control/store/objects.h"

#include <stdlib.h>
#include <string.h>

#include "proto/control/codec.h"
#include "proto/control/json.h"

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
        means_fini(&o->items[i].means);
    }
    free(o->items);
    *o = (struct objects){0};
}

/* Where `name` is, or would be. */
static size_t place_of(const struct objects *o, const char *name)
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
    size_t at = place_of(o, name);
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
    size_t at = place_of(o, name);
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

bool object_is_ephemeral(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field =
        message ? codec_field(message->descriptor, "ephemeral") : NULL;
    bool said = field && codec_has(message, field) &&
                *(const protobuf_c_boolean *)((const char *)message + field->offset);
    return said || object_has_fd(message);
}

static bool keeps(bool of_file, const ProtobufCMessage *message)
{
    return message && !of_file && !object_is_ephemeral(message);
}

bool object_is_kept(const struct object *object)
{
    return keeps(object->of_file, object->message);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(object_name(*(ProtobufCMessage *const *)a),
                  object_name(*(ProtobufCMessage *const *)b));
}

void config_place(config_msg *config, ProtobufCMessage *message)
{
    if (object_tunnel(message))
        config->udp_tunnels[config->n_udp_tunnels++] = (tunnel_msg *)message;
    else
        config->tun2socks[config->n_tun2socks++] = (tun2socks_msg *)message;
}

static bool is_edited(const struct edit *edits, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(edits[i].name, name) == 0)
            return true;
    }
    return false;
}

char *objects_state_text(const struct objects *o, const struct edit *edits, size_t count)
{
    config_msg state = UDPTUN__CONTROL__CONFIG__INIT;
    size_t room = o->count + count + 1;
    char *text = NULL;
    state.udp_tunnels = calloc(room, sizeof *state.udp_tunnels);
    state.tun2socks = calloc(room, sizeof *state.tun2socks);
    if (!state.udp_tunnels || !state.tun2socks)
        goto done;
    for (size_t i = 0; i < o->count; i++) {
        const struct object *object = &o->items[i];
        if (object_is_kept(object) && !is_edited(edits, count, object->name))
            config_place(&state, object->message);
    }
    for (size_t i = 0; i < count; i++) {
        if (keeps(edits[i].of_file, edits[i].wanted))
            config_place(&state, edits[i].wanted);
    }
    qsort(state.udp_tunnels, state.n_udp_tunnels, sizeof *state.udp_tunnels, by_name);
    qsort(state.tun2socks, state.n_tun2socks, sizeof *state.tun2socks, by_name);
    json_t *json = codec_to_json(&state.base);
    text = json ? json_text(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
done:
    free(state.udp_tunnels);
    free(state.tun2socks);
    return text;
}

/* SPDX-License-Identifier: Apache-2.0 */
/* objects.c - see objects.h. A sorted array: names are few, and always listed in order. */
#include "daemon/control/objects.h"

#include <stdlib.h>
#include <string.h>

#include "proto/control/codec.h"

static void free_tunnel(tunnel_msg *tunnel)
{
    if (tunnel)
        protobuf_c_message_free_unpacked(&tunnel->base, NULL);
}

void objects_fini(struct objects *o)
{
    for (size_t i = 0; i < o->count; i++) {
        free(o->items[i].name);
        free_tunnel(o->items[i].tunnel);
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

void objects_set(struct objects *o, struct object *object, tunnel_msg *tunnel)
{
    free_tunnel(object->tunnel);
    object->tunnel = tunnel;
    object->last_error[0] = '\0';
    if (tunnel || object->of_file)
        return;
    size_t at = (size_t)(object - o->items);
    free(object->name);
    o->count--;
    memmove(&o->items[at], &o->items[at + 1], (o->count - at) * sizeof *object);
}

static bool keeps(bool of_file, const tunnel_msg *tunnel)
{
    return tunnel && !of_file && !(tunnel->has_ephemeral && tunnel->ephemeral);
}

bool object_is_kept(const struct object *object)
{
    return keeps(object->of_file, object->tunnel);
}

char *objects_state_text(const struct objects *o, const char *name, tunnel_msg *tunnel)
{
    config_msg state = UDPTUN__CONTROL__CONFIG__INIT;
    tunnel_msg **kept = calloc(o->count + 1, sizeof *kept);
    if (!kept)
        return NULL;
    size_t count = 0;
    bool placed = name == NULL;
    for (size_t i = 0; i < o->count; i++) {
        const struct object *object = &o->items[i];
        int order = placed ? 1 : strcmp(name, object->name);
        if (!placed && order <= 0) {
            if (keeps(order == 0 && object->of_file, tunnel))
                kept[count++] = tunnel;
            placed = true;
        }
        if (order != 0 && keeps(object->of_file, object->tunnel))
            kept[count++] = object->tunnel;
    }
    if (!placed && keeps(false, tunnel))
        kept[count++] = tunnel;
    state.udp_tunnels = kept;
    state.n_udp_tunnels = count;
    json_t *json = codec_to_json(&state.base);
    char *text = json ? json_dumps(json, JSON_INDENT(2)) : NULL;
    json_decref(json);
    free(kept);
    return text;
}

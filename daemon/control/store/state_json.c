/* SPDX-License-Identifier: Apache-2.0 */
/* state_json.c - see state_json.h. */
#include "daemon/control/store/state_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/control/codec.h"
#include "proto/control/envelope.h"
#include "proto/control/json.h"

#define TUNNELS   "udpTunnels"
#define TUN2SOCKS "tun2socks"

static int state_json_no_memory(struct udptun_error *err)
{
    return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
}

int state_init(struct state *s)
{
    *s = (struct state){json_object(), json_object(), json_object(), 0, 0};
    if (s->rest && s->tunnels && s->tun2socks)
        return 0;
    state_fini(s);
    return UDPTUN_E_NOMEM;
}

void state_fini(struct state *s)
{
    json_decref(s->rest);
    json_decref(s->tunnels);
    json_decref(s->tun2socks);
    *s = (struct state){0};
}

/* ---- from text ------------------------------------------------------------------------------- */

static const char *state_json_name_of(const json_t *object)
{
    return json_string_value(json_object_get(object, "name"));
}

/* The items of a list into `to`, by name. An absent list is an empty one. */
static int take_list(const json_t *file, const char *kind, json_t *to, struct udptun_error *err)
{
    const json_t *list = json_object_get(file, kind);
    size_t i;
    json_t *item;
    if (list && !json_is_array(list))
        return error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "%s: is not a list", kind);
    json_array_foreach(list, i, item)
    {
        const char *name = state_json_name_of(item);
        if (!name)
            return error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "%s[%zu]: has no name", kind, i);
        if (json_object_set(to, name, item) < 0)
            return state_json_no_memory(err);
    }
    return 0;
}

/* An integer of at least 0; `absent` where there is none, -1 where it is something else. */
static json_int_t state_json_number_of(const json_t *file, const char *name, json_int_t absent)
{
    const json_t *value = json_object_get(file, name);
    if (!value)
        return absent;
    return json_is_integer(value) && json_integer_value(value) >= 0 ? json_integer_value(value)
                                                                    : -1;
}

static int take_file(struct state *to, json_t *file, struct udptun_error *err)
{
    to->format = state_json_number_of(file, "format", 1);
    to->generation = state_json_number_of(file, "generation", 0);
    if (to->format > STATE_FORMAT)
        return error_set(err, UDPTUN_E_UNSUPPORTED, NULL, "is of format %lld, newer than %d",
                         (long long)to->format, STATE_FORMAT);
    if (!json_is_object(file) || to->format < 1 || to->generation < 0)
        return error_set(err, UDPTUN_E_BAD_REQUEST, NULL, "is not a state");
    int rc = take_list(file, TUNNELS, to->tunnels, err);
    if (rc == 0)
        rc = take_list(file, TUN2SOCKS, to->tun2socks, err);
    if (rc == 0 && json_object_update(to->rest, file) < 0)
        rc = state_json_no_memory(err);
    json_object_del(to->rest, TUNNELS);
    json_object_del(to->rest, TUN2SOCKS);
    return rc;
}

int state_parse(struct state *s, const char *text, size_t size, struct udptun_error *err)
{
    struct udptun_error why = {0};
    struct state read;
    json_t *file = envelope_parse_json(text, size, &why);
    int rc = file ? state_init(&read) : why.code;
    if (file && rc < 0)
        state_json_no_memory(&why);
    if (rc == 0) {
        rc = take_file(&read, file, &why);
        s->format = read.format;
        if (rc == 0) {
            state_fini(s);
            *s = read;
        } else {
            state_fini(&read);
        }
    }
    json_decref(file);
    if (rc < 0 && err)
        *err = why;
    return rc;
}

/* ---- records --------------------------------------------------------------------------------- */

json_t *record_new(void)
{
    return json_object();
}

/* Append to the list of that name, which is made when it is absent; takes over `item`. */
static int state_json_append(json_t *record, const char *list, json_t *item)
{
    json_t *items = json_object_get(record, list);
    if (!items) {
        items = json_array();
        if (!items || json_object_set_new(record, list, items) < 0) {
            json_decref(item);
            return UDPTUN_E_NOMEM;
        }
    }
    return item && json_array_append_new(items, item) == 0 ? 0 : UDPTUN_E_NOMEM;
}

int record_set(json_t *record, const ProtobufCMessage *message)
{
    bool tunnel = message->descriptor == &udptun__control__tunnel__descriptor;
    return state_json_append(record, tunnel ? TUNNELS : TUN2SOCKS, codec_to_json(message));
}

int record_remove(json_t *record, const char *name)
{
    return state_json_append(record, "removed", json_string(name));
}

int record_set_all(json_t *record)
{
    return json_object_set_new(record, "all", json_true()) < 0 ? UDPTUN_E_NOMEM : 0;
}

bool record_is_all(const json_t *record)
{
    return json_is_true(json_object_get(record, "all"));
}

bool record_is_empty(const json_t *record)
{
    return json_object_size(record) == 0;
}

/* What the present object has and this version does not know goes on in the new one. */
static int keep_unknown(const ProtobufCMessageDescriptor *kind, json_t *present, json_t *object)
{
    const char *key;
    json_t *value;
    json_object_foreach(present, key, value)
    {
        if (!codec_field(kind, key) && !json_object_get(object, key) &&
            json_object_set(object, key, value) < 0)
            return UDPTUN_E_NOMEM;
    }
    return 0;
}

static int set_list(const json_t *list, const ProtobufCMessageDescriptor *kind, json_t *same,
                    json_t *other)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        const char *name = state_json_name_of(item);
        if (!name)
            return UDPTUN_E_BAD_REQUEST;
        if (keep_unknown(kind, json_object_get(same, name), item) < 0 ||
            json_object_set(same, name, item) < 0)
            return UDPTUN_E_NOMEM;
        json_object_del(other, name);
    }
    return 0;
}

int state_apply(struct state *s, json_t *record)
{
    size_t i;
    json_t *name;
    if (!json_is_object(record))
        return UDPTUN_E_BAD_REQUEST;
    if (record_is_all(record)) {
        json_object_clear(s->tunnels);
        json_object_clear(s->tun2socks);
    }
    json_array_foreach(json_object_get(record, "removed"), i, name)
    {
        if (!json_is_string(name))
            return UDPTUN_E_BAD_REQUEST;
        json_object_del(s->tunnels, json_string_value(name));
        json_object_del(s->tun2socks, json_string_value(name));
    }
    int rc = set_list(json_object_get(record, TUNNELS), &udptun__control__tunnel__descriptor,
                      s->tunnels, s->tun2socks);
    if (rc == 0)
        rc = set_list(json_object_get(record, TUN2SOCKS), &udptun__control__tun2socks__descriptor,
                      s->tun2socks, s->tunnels);
    return rc;
}

/* ---- to text and to messages ----------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp(state_json_name_of(*(json_t *const *)a), state_json_name_of(*(json_t *const *)b));
}

/* The objects in the order of their names, not theirs to free; NULL when memory is short. */
static json_t **sorted(json_t *objects)
{
    json_t **all = calloc(json_object_size(objects) + 1, sizeof *all);
    size_t count = 0;
    const char *name;
    json_t *object;
    if (!all)
        return NULL;
    json_object_foreach(objects, name, object) all[count++] = object;
    qsort((void *)all, count, sizeof *all, by_name);
    return all;
}

/* A list of all objects, as a member of `file`. */
static int put_list(json_t *file, const char *kind, json_t *objects)
{
    json_t **all = sorted(objects), *list = json_array();
    int rc = all && list ? 0 : UDPTUN_E_NOMEM;
    for (size_t i = 0; rc == 0 && all[i]; i++)
        rc = json_array_append(list, all[i]) < 0 ? UDPTUN_E_NOMEM : 0;
    free((void *)all);
    if (rc == 0 && json_object_set(file, kind, list) < 0)
        rc = UDPTUN_E_NOMEM;
    json_decref(list);
    return rc;
}

char *state_text(const struct state *s, json_int_t generation)
{
    json_t *file = json_pack("{s:i,s:I}", "format", STATE_FORMAT, "generation", generation);
    char *text = NULL;
    if (file && json_object_update_missing(file, s->rest) == 0 &&
        put_list(file, TUNNELS, s->tunnels) == 0 && put_list(file, TUN2SOCKS, s->tun2socks) == 0)
        text = json_text(file, JSON_INDENT(2));
    json_decref(file);
    return text;
}

struct reporter {
    state_report report;
    void *arg;
    const char *kind;
};

static void report_unknown(const struct reporter *r, const ProtobufCMessageDescriptor *kind,
                           json_t *object)
{
    char what[256];
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        (void)value;
        if (codec_field(kind, key))
            continue;
        snprintf(what, sizeof what, "%s '%.64s': '%.64s' is unknown to this version; it is kept",
                 r->kind, state_json_name_of(object), key);
        r->report(r->arg, what);
    }
}

/* The messages of one list into `to`, whose count is `*count`. */
static int decode_list(json_t *objects, const ProtobufCMessageDescriptor *kind,
                       const struct reporter *r, ProtobufCMessage **to, size_t *count)
{
    static const struct codec_options lenient = {.flags = CODEC_SKIP_UNKNOWN};
    json_t **all = sorted(objects);
    int rc = all ? 0 : UDPTUN_E_NOMEM;
    for (size_t i = 0; rc == 0 && all[i]; i++) {
        struct udptun_error why = {0};
        char what[256];
        report_unknown(r, kind, all[i]);
        rc = codec_from_json(kind, all[i], &lenient, &to[*count], &why);
        *count += rc == 0;
        if (rc == UDPTUN_E_NOMEM)
            break;
        if (rc < 0) {
            snprintf(what, sizeof what, "%s '%.64s' cannot be used and stays in the file: %.120s",
                     r->kind, state_json_name_of(all[i]), why.message);
            r->report(r->arg, what);
        }
        rc = 0;
    }
    free((void *)all);
    return rc;
}

int state_objects(const struct state *s, config_msg **out, state_report report, void *arg)
{
    config_msg *config = (void *)codec_new(&udptun__control__config__descriptor);
    int rc = UDPTUN_E_NOMEM;
    *out = NULL;
    if (!config)
        return rc;
    config->udp_tunnels = calloc(json_object_size(s->tunnels) + 1, sizeof *config->udp_tunnels);
    config->tun2socks = calloc(json_object_size(s->tun2socks) + 1, sizeof *config->tun2socks);
    if (config->udp_tunnels && config->tun2socks) {
        const struct reporter tunnels = {report, arg, "tunnel"};
        const struct reporter instances = {report, arg, "tun2socks instance"};
        rc = decode_list(s->tunnels, &udptun__control__tunnel__descriptor, &tunnels,
                         (ProtobufCMessage **)(void *)config->udp_tunnels, &config->n_udp_tunnels);
        if (rc == 0)
            rc = decode_list(s->tun2socks, &udptun__control__tun2socks__descriptor, &instances,
                             (ProtobufCMessage **)(void *)config->tun2socks, &config->n_tun2socks);
    }
    if (rc == 0)
        *out = config;
    else
        protobuf_c_message_free_unpacked(&config->base, NULL);
    return rc;
}

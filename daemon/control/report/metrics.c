/* SPDX-License-Identifier: Apache-2.0 */
/* metrics.c - see metrics.h. The format is OpenMetrics 1.0: the samples of one family stand
 * together, so that every object is visited once for each statistic. */
#include "daemon/control/report/metrics.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udptun/engine.h>

#include "daemon/control/report/statistics.h"
#include "proto/control/codec.h"

/* One kind of object: how its samples are labelled. */
struct family {
    const struct statistic *statistics;
    size_t count;
    const char *label; /* of the object's name */
    const ProtobufCMessage *const *objects;
    size_t object_count;
};

static const void *value_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (const char *)message + field->offset;
}

static const char *text_at(const ProtobufCMessage *message, const char *name)
{
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(message->descriptor, name);
    const char *text = field ? *(char *const *)value_at(message, field) : NULL;
    return text ? text : "";
}

static void put_head(FILE *out, const char *name, const char *type, const char *unit,
                     const char *help)
{
    fprintf(out, "# TYPE %s %s\n", name, type);
    if (*unit)
        fprintf(out, "# UNIT %s %s\n", name, unit);
    fprintf(out, "# HELP %s %s.\n", name, help);
}

static void put_labels(FILE *out, const struct family *f, const ProtobufCMessage *object)
{
    fprintf(out, "{%s=\"%s\"", f->label, text_at(object, "name"));
    const char *role = text_at(object, "role");
    if (*role)
        fprintf(out, ",role=\"%s\"", role);
}

/* A label of one statistic alone; `name` "": it has none. */
struct label {
    const char *name, *value;
};

/* What was not measured has no sample. */
static void put_number(FILE *out, const struct family *f, const struct statistic *s,
                       const ProtobufCMessage *object, struct label label,
                       const ProtobufCFieldDescriptor *field, const ProtobufCMessage *holder)
{
    const void *value = value_at(holder, field);
    bool real = field->type == PROTOBUF_C_TYPE_DOUBLE;
    if (!codec_has(holder, field) || (real && isnan(*(const double *)value)))
        return;
    fprintf(out, "%s%s", s->metric, s->type == STATISTIC_COUNTER ? "_total" : "");
    put_labels(out, f, object);
    if (*label.name)
        fprintf(out, ",%s=\"%s\"", label.name, label.value);
    if (real)
        fprintf(out, "} %.9g\n", *(const double *)value * s->scale);
    else if (field->type == PROTOBUF_C_TYPE_UINT32)
        fprintf(out, "} %" PRIu32 "\n", *(const uint32_t *)value);
    else
        fprintf(out, "} %" PRIu64 "\n", *(const uint64_t *)value);
}

static size_t count_of(const ProtobufCMessage *object, const ProtobufCFieldDescriptor *repeated)
{
    return *(const size_t *)(const void *)((const char *)object + repeated->quantifier_offset);
}

/* "connections.rtt_ms": of each in the order of the status. */
static void put_parts(FILE *out, const struct family *f, const struct statistic *s,
                      const ProtobufCMessage *object, const char *part)
{
    char holder_name[CODEC_NAME_SIZE], number[24];
    snprintf(holder_name, sizeof holder_name, "%.*s", (int)(part - s->field), s->field);
    const ProtobufCFieldDescriptor *holder =
        protobuf_c_message_descriptor_get_field_by_name(object->descriptor, holder_name);
    const ProtobufCMessage *const *parts =
        *(const ProtobufCMessage *const *const *)value_at(object, holder);
    for (size_t i = 0; i < count_of(object, holder); i++) {
        snprintf(number, sizeof number, "%zu", i);
        put_number(out, f, s, object, (struct label){"connection", number},
                   protobuf_c_message_descriptor_get_field_by_name(parts[i]->descriptor, part + 1),
                   parts[i]);
    }
}

static void put_sample(FILE *out, const struct family *f, const struct statistic *s,
                       const ProtobufCMessage *object)
{
    const char *part = strchr(s->field, '.');
    if (part) {
        put_parts(out, f, s, object, part);
        return;
    }
    const ProtobufCFieldDescriptor *field =
        protobuf_c_message_descriptor_get_field_by_name(object->descriptor, s->field);
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        fputs(s->metric, out);
        put_labels(out, f, object);
        fprintf(out, "} %zu\n", count_of(object, field));
        return;
    }
    if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        put_number(out, f, s, object, (struct label){"", ""}, field, object);
        return;
    }
    const ProtobufCMessage *parts = *(const ProtobufCMessage *const *)value_at(object, field);
    for (unsigned i = 0; parts && i < parts->descriptor->n_fields; i++) {
        char cause[CODEC_NAME_SIZE];
        codec_json_name(parts->descriptor->fields[i].name, cause);
        put_number(out, f, s, object, (struct label){"cause", cause}, &parts->descriptor->fields[i],
                   parts);
    }
}

/* One sample for each state there is, 1 for the one that it is in. */
static void put_states(FILE *out, const struct family *f)
{
    static const enum udptun_state states[] = {
#define STATE(symbol, name) UDPTUN_##symbol,
        UDPTUN_STATES(STATE)
#undef STATE
    };
    char name[64];
    snprintf(name, sizeof name, "udptun_%s_state", f->label);
    put_head(out, name, "stateset", "", "The state word of the status");
    for (size_t i = 0; i < f->object_count; i++) {
        const char *now = text_at(f->objects[i], "state");
        for (size_t k = 0; k < sizeof states / sizeof *states; k++) {
            const char *word = udptun_state_name(states[k]);
            fputs(name, out);
            put_labels(out, f, f->objects[i]);
            fprintf(out, ",%s=\"%s\"} %d\n", name, word, strcmp(word, now) == 0);
        }
    }
}

static void put_family(FILE *out, const struct family *f)
{
    put_states(out, f);
    for (size_t i = 0; i < f->count; i++) {
        const struct statistic *s = &f->statistics[i];
        put_head(out, s->metric, s->type == STATISTIC_COUNTER ? "counter" : "gauge", s->unit,
                 s->help);
        for (size_t k = 0; k < f->object_count; k++)
            put_sample(out, f, s, f->objects[k]);
    }
}

char *metrics_text(const status_msg *status)
{
    const struct family families[] = {
        {statistics_of_tunnel, statistics_of_tunnel_count, "tunnel",
         (const ProtobufCMessage *const *)(const void *)status->udp_tunnels, status->n_udp_tunnels},
        {statistics_of_tun2socks, statistics_of_tun2socks_count, "tun2socks",
         (const ProtobufCMessage *const *)(const void *)status->tun2socks, status->n_tun2socks},
    };
    char *text = NULL;
    size_t size = 0;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return NULL;
    put_head(out, "udptund_build", "info", "", "The daemon that runs");
    fprintf(out, "udptund_build_info{version=\"%s\"} 1\n", status->version);
    put_head(out, "udptund_uptime_seconds", "gauge", "seconds", "Since the daemon started");
    fprintf(out, "udptund_uptime_seconds %" PRIu64 "\n", status->uptime);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++)
        put_family(out, &families[i]);
    fputs("# EOF\n", out);
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}

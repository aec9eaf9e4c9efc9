/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.c - see secrets.h. */
#include "daemon/control/store/secrets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/store/object_fields.h"
#include "daemon/control/store/tunnel_message.h"
#include "proto/control/codec.h"
#include "proto/error.h"

/* The member of `message` at `field`, as bytes. */
static const void *value_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return (const char *)message + field->offset;
}

static bool is_secret(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_MESSAGE &&
           field->descriptor == &udptun__control__secret__descriptor;
}

int object_fill_redacted(ProtobufCMessage *message, const ProtobufCMessage *present,
                         const char *path, struct udptun_error *err)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_secret(field) || !codec_has(message, field) || object_text(message, field))
            continue;
        if (!present || !object_text(present, field))
            return tunnel_message_invalid(err, path, field->name,
                                          "redacted, and there is none at present");
        const secret_msg *kept = *(const secret_msg *const *)value_at(present, field);
        ProtobufCMessage *copy = codec_copy(&kept->base);
        if (!copy)
            return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
        ProtobufCMessage **slot = (ProtobufCMessage **)(void *)((char *)message + field->offset);
        protobuf_c_message_free_unpacked(*slot, NULL);
        *slot = copy;
    }
    return 0;
}

/* The user part of a URL ends at the last '@' before the path. NULL: there is none. */
static const char *after_user(const char *url, const char **authority)
{
    const char *scheme = strstr(url, "://");
    if (!scheme)
        return NULL;
    *authority = scheme + 3;
    const char *at = strrchr(*authority, '@');
    return at ? at + 1 : NULL;
}

static int redact_secret(secret_msg *secret, bool is_key)
{
    const char *authority = NULL;
    if (secret->value_case != UDPTUN__CONTROL__SECRET__VALUE_TEXT)
        return 0;
    const char *rest = after_user(secret->text, &authority);
    if (!is_key && !rest)
        return 0;
    Udptun__Control__Redacted *redacted = (void *)codec_new(&udptun__control__redacted__descriptor);
    if (!redacted)
        return UDPTUN_E_NOMEM;
    redacted->has_redacted = redacted->redacted = 1;
    if (rest) {
        size_t scheme_size = (size_t)(authority - secret->text);
        redacted->url = calloc(1, scheme_size + strlen(rest) + 1);
        if (redacted->url) {
            memcpy(redacted->url, secret->text, scheme_size);
            strcpy(redacted->url + scheme_size, rest);
        }
    }
    free(secret->text);
    secret->value_case = UDPTUN__CONTROL__SECRET__VALUE_REDACTED;
    secret->redacted = redacted;
    return 0;
}

int object_redact(ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        if (!is_secret(field) || !codec_has(message, field))
            continue;
        secret_msg *secret = *(secret_msg *const *)value_at(message, field);
        int rc = redact_secret(secret, strcmp(field->name, "key") == 0);
        if (rc < 0)
            return rc;
    }
    return 0;
}

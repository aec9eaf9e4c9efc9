/* SPDX-License-Identifier: Apache-2.0 */
/* secrets.c - see secrets.h. */
#include "daemon/control/store/secrets.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

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

/* The URL without its user part, or NULL: out of memory. */
static char *without_user(const char *url, const char *authority, const char *rest)
{
    size_t scheme_size = (size_t)(authority - url);
    char *text = (char *)calloc(1, scheme_size + strlen(rest) + 1);
    if (text) {
        memcpy(text, url, scheme_size);
        strcpy(text + scheme_size, rest);
    }
    return text;
}

/* The kept secret's user part goes to no other host or port than it is for. */
static int fill_url(const char *edited, const char *kept, const char *path, const char *name,
                    char **text, struct udptun_error *err)
{
    const char *kept_authority = NULL;
    const char *kept_host = after_user(kept, &kept_authority);
    const char *scheme = strstr(edited, "://");
    if (!kept_host || !scheme || strcasecmp(scheme + 3, kept_host) != 0)
        return tunnel_message_invalid(err, path, name,
                                      "the password is redacted, and it is for another host and "
                                      "port: give the whole URL");
    size_t scheme_size = (size_t)(scheme + 3 - edited);
    size_t user_size = (size_t)(kept_host - kept_authority);
    *text = (char *)malloc(scheme_size + user_size + strlen(scheme + 3) + 1);
    if (!*text)
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    memcpy(*text, edited, scheme_size);
    memcpy(*text + scheme_size, kept_authority, user_size);
    strcpy(*text + scheme_size + user_size, scheme + 3);
    return 0;
}

static int fill_secret(secret_msg **slot, const secret_msg *kept, const char *path,
                       const char *name, struct udptun_error *err)
{
    const Udptun__Control__Redacted *given =
        (*slot)->value_case == UDPTUN__CONTROL__SECRET__VALUE_REDACTED ? (*slot)->redacted : NULL;
    char *text = NULL;
    if (given && given->url && *given->url) {
        int rc = fill_url(given->url, kept->text, path, name, &text, err);
        if (rc < 0)
            return rc;
    }
    secret_msg *copy = (secret_msg *)(void *)codec_copy(&kept->base);
    if (!copy) {
        free(text);
        return error_set(err, UDPTUN_E_NOMEM, NULL, "out of memory");
    }
    if (text) {
        free(copy->text);
        copy->text = text;
    }
    protobuf_c_message_free_unpacked(&(*slot)->base, NULL);
    *slot = copy;
    return 0;
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
        int rc = fill_secret((secret_msg **)(void *)((char *)message + field->offset),
                             *(const secret_msg *const *)value_at(present, field), path,
                             field->name, err);
        if (rc < 0)
            return rc;
    }
    return 0;
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
    if (rest)
        redacted->url = without_user(secret->text, authority, rest);
    free(secret->text);
    secret->value_case = UDPTUN__CONTROL__SECRET__VALUE_REDACTED;
    secret->redacted = redacted;
    return 0;
}

/* The messages of `field`: their count, and the first in an array of pointers. */
static size_t messages_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                          ProtobufCMessage *const **first)
{
    if (field->type != PROTOBUF_C_TYPE_MESSAGE)
        return 0;
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        *first = *(ProtobufCMessage *const *const *)value_at(message, field);
        return *(const size_t *)(const void *)((const char *)message + field->quantifier_offset);
    }
    *first = (ProtobufCMessage *const *)value_at(message, field);
    return codec_has(message, field) ? 1 : 0;
}

int object_redact(ProtobufCMessage *message)
{
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        ProtobufCMessage *const *at = NULL;
        size_t count = messages_at(message, field, &at);
        for (size_t k = 0; k < count; k++) {
            int rc = is_secret(field) ? redact_secret((secret_msg *)(void *)at[k],
                                                      strcmp(field->name, "key") == 0)
                                      : object_redact(at[k]);
            if (rc < 0)
                return rc;
        }
    }
    return 0;
}

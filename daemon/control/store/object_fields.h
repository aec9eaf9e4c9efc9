/* SPDX-License-Identifier: Apache-2.0 */
/*
 * object_fields.h - the field tables: each field of an object of control.proto is one row, which
 * says where the engine's struct has it and who may set it.
 *
 * A row without a column does not compile, and a field without a row needs an admin, so that a new
 * field cannot forget the question. A unit test compares the tables with the schema.
 */
#ifndef CONTROL_OBJECT_FIELDS_H
#define CONTROL_OBJECT_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "proto/control/codec.h"
#include "proto/control/messages.h"

enum field_kind {
    FIELD_TEXT,  /* string or Secret -> const char * */
    FIELD_INT,   /* integer -> int */
    FIELD_INT64, /* integer -> int64_t */
    FIELD_BOOL,  /* bool -> bool */
    FIELD_WORD,  /* enum -> its word in JSON, const char * */
    FIELD_APART, /* not by this table: not the engine's, or of a shape of its own */
};

/* Whose rights a field uses. */
enum field_authority {
    AUTHORITY_ANY,    /* nobody's: any operator may set the field */
    AUTHORITY_ADMIN,  /* the daemon's own */
    AUTHORITY_PATH,   /* the daemon's own if the text is unix:PATH */
    AUTHORITY_DEVICE, /* the daemon's own, but for `fd:N`, whose descriptor the operator holds
                         already, and for `pipe`, which is no device of the system */
};

struct object_field {
    const char *name; /* in control.proto */
    enum field_kind kind;
    size_t offset; /* in the engine's struct */
    enum field_authority authority;
};

/* The row of a field; NULL: the table has forgotten it. */
const struct object_field *object_field_row(const ProtobufCMessageDescriptor *object,
                                            const char *name);

/* Carry every field that `message` has over to the engine's `config`, the struct of its kind. */
void object_fields_carry(const ProtobufCMessage *message, void *config);

/* The first field of `message` (NULL is accepted) that uses the daemon's own rights; NULL: none
 * does, and the object belongs to any operator. */
const ProtobufCFieldDescriptor *object_admin_field(const ProtobufCMessage *message);

/* The text of a string or of a Secret that is not redacted; NULL: there is none. */
const char *object_text(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects.h - what is configured: the named objects, as they were given.
 *
 * The engine knows what runs; this knows what is meant to, and to whom a name belongs. A name in
 * the config file stays the file's while the daemon runs, also when its object was removed or
 * replaced at run time; every other name is kept in the state file unless it is ephemeral.
 */
#ifndef CONTROL_OBJECTS_H
#define CONTROL_OBJECTS_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/control/store/object_inputs.h"
#include "proto/control/messages.h"
#include "proto/error.h"

#define OBJECT_NAME_SIZE 65
#define OBJECT_PATH_SIZE 56 /* "parameters.config.udpTunnels[...]" fits */

struct object {
    char *name;
    ProtobufCMessage *message;   /* a tunnel_msg or a tun2socks_msg, as configured; NULL: removed,
                                    the name is the file's all the same */
    struct object_inputs inputs; /* as they were when it was configured */
    bool of_file;                /* the name is in the config file */
    char last_error[256];        /* why the engine does not have it; "" while it does */
    uint64_t retry_at_us;        /* with `last_error`: when it is tried again, by clock_us() */
    uint64_t retry_delay_us;     /* before that; 0: it has not failed */
};

struct objects {
    struct object *items; /* by name */
    size_t count;
};

/* One object that is to be otherwise; a change is a list of these (change.h). */
struct edit {
    char name[OBJECT_NAME_SIZE];
    char path[OBJECT_PATH_SIZE]; /* what goes before the field of an error about it */
    ProtobufCMessage *wanted;    /* the edit's own; NULL: the object is to be removed */
    struct object_inputs inputs; /* of `wanted` */
    bool of_file;                /* the name is the config file's afterwards */
    bool is_removal, is_new;
    bool other_kind;     /* the present object of that name is of the other kind */
    bool differs;        /* from the present object, as text */
    bool needs_identity; /* to be read from the disk before it is applied */
    bool changed;        /* what runs, or what is kept */
    bool applied;        /* the engine runs what is wanted */
    bool has_run;        /* the engine ran what is wanted, if only until it was put back */
    bool is_released;    /* the engine does not run the present object, or not all of it */
    int code;            /* of the latest attempt */
};

void objects_fini(struct objects *o);

struct object *objects_find(const struct objects *o, const char *name);

/* The object of that name, made when absent; NULL when memory is short. Pointers to other
 * objects are void after it. */
struct object *objects_add(struct objects *o, const char *name);

/* Takes over `message` (NULL: none), and frees what was there. An object that has neither a
 * message nor a claim of the file is dropped. */
void objects_set(struct objects *o, struct object *object, ProtobufCMessage *message);

/* The message (NULL is accepted) as what it is; NULL when it is of the other kind. */
tunnel_msg *object_tunnel(ProtobufCMessage *message);
tun2socks_msg *object_tun2socks(ProtobufCMessage *message);

/* Its name; NULL when it has none. */
const char *object_name(const ProtobufCMessage *message);

/* `message` (NULL is accepted) says that it is ephemeral, or lives on a descriptor that was handed
 * over and cannot be read again. */
bool object_is_ephemeral(const ProtobufCMessage *message);

/* It is to run. */
bool object_is_enabled(const ProtobufCMessage *message);

/* `message` (NULL: none) belongs into the state file when its name is the config file's or not. */
bool object_keeps(bool of_file, const ProtobufCMessage *message);

/* Belongs into the state file. */
bool object_is_kept(const struct object *object);

/* Append to the array of a config's objects that `message` belongs into. The arrays have room. */
void config_place(config_msg *config, ProtobufCMessage *message);

#endif

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

#include "proto/control/messages.h"
#include "proto/error.h"

struct object {
    char *name;
    tunnel_msg *tunnel;   /* as configured; NULL: removed, the name is the file's all the same */
    bool of_file;         /* the name is in the config file */
    char last_error[256]; /* why the engine does not have it; "" while it does */
};

struct objects {
    struct object *items; /* by name */
    size_t count;
};

void objects_fini(struct objects *o);

struct object *objects_find(const struct objects *o, const char *name);

/* The object of that name, made when absent; NULL when memory is short. Pointers to other
 * objects are void after it. */
struct object *objects_add(struct objects *o, const char *name);

/* Takes over `tunnel` (NULL: none), and frees what was there. An object that has neither a
 * tunnel nor a claim of the file is dropped. */
void objects_set(struct objects *o, struct object *object, tunnel_msg *tunnel);

/* Belongs into the state file. */
bool object_is_kept(const struct object *object);

/*
 * The text of the state file as it would be with `tunnel` (NULL: removed) under `name`; `name`
 * NULL: as it is. free() it; NULL when memory is short.
 */
char *objects_state_text(const struct objects *o, const char *name, tunnel_msg *tunnel);

#endif

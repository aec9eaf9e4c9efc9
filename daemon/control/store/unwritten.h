/* SPDX-License-Identifier: Apache-2.0 */
/*
 * unwritten.h - what the state directory does not have yet, though it should.
 *
 * With a disk that is full or read-only, or no descriptor left, what stops an object still works:
 * removing it, disabling it. The disk then has the object as it was. Its name is noted here with
 * the reason, which the answer, the log, the status (`health`, `lastError`) and this module's timer
 * have in common: every RETRY_S seconds, and with every other change, the write is tried again.
 * Sessions (identities.h) that could not be written are noted likewise.
 */
#ifndef CONTROL_UNWRITTEN_H
#define CONTROL_UNWRITTEN_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/control/store/objects.h"
#include "daemon/platform/loop.h"
#include "proto/error.h"

struct control;

struct unwritten_name {
    char name[OBJECT_NAME_SIZE];
    bool silent; /* the disk has a name that the config file has taken: no fault, and no reason */
};

struct unwritten {
    struct control *control;
    void (*write)(struct control *control); /* try to write the objects again */
    struct unwritten_name *names;
    size_t count;
    char reason[256]; /* of the latest attempt */
    struct timer retry;
};

/* The control's loop is set. */
void unwritten_init(struct unwritten *u, struct control *control,
                    void (*write)(struct control *control));
void unwritten_fini(struct unwritten *u);

/* Object `name` is on the disk as it was before; `err` tells why. Logged when it is new. */
void unwritten_add(struct unwritten *u, const char *name, const struct udptun_error *err);

/* Object `name` is on the disk and should not be; the next change takes it away. */
void unwritten_add_silent(struct unwritten *u, const char *name);

/* The objects that are noted were written. */
void unwritten_written(struct unwritten *u);

/* A session could not be written or removed; it is tried again, too. */
void unwritten_retry(struct unwritten *u);

/* What is noted about `name`, or NULL; whether an object is noted for a fault. */
struct unwritten_name *unwritten_find(const struct unwritten *u, const char *name);
bool unwritten_any(const struct unwritten *u);

/* Why object `name`, or its session, is not on the disk as it should be; NULL: it is. `name` NULL:
 * any object. */
const char *unwritten_reason(const struct unwritten *u, const char *name);

#endif

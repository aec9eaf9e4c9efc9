/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change.h - making configured objects be otherwise, all of them, durably, or none at all.
 *
 * Changes run one after another. Each goes
 *
 *     planned -> keys read, state prepared on disk -> engine configured -> state committed -> told
 *                          (worker)                                            (worker)
 *
 * so that a disk that is full is found before anything that runs is touched, and an object that
 * fails leaves the state as it was. When a step fails, what the ones before it did to the
 * engine is put back. What only stops objects (removes or disables them) is done also when it
 * cannot be written, and noted (store/unwritten.h). What cannot be put back, the end of a removed
 * object's sessions, comes last.
 */
#ifndef CONTROL_CHANGE_H
#define CONTROL_CHANGE_H

#include "daemon/control/socket/dispatch.h"
#include "daemon/control/store/objects.h"
#include "daemon/control/store/worker.h"
#include "proto/list.h"

struct change;

/* What sets one change apart from another. */
struct change_kind {
    /* Its turn has come: tell by change_edit() what is to be. 0, or a code and `c->err`. */
    int (*plan)(struct change *c);
    /* It is over, `c->err` tells how: answer the call. */
    void (*finished)(struct change *c);
    /* It is of everything that is configured: a name may become an object of the other kind. */
    bool is_of_all;
    /* It is about no object: what could not be written before is to be. */
    bool is_write;
};

struct changes {
    struct list queue; /* the first one is under way, or about to be */
    bool running;      /* the queue is being worked on up the stack */
};

struct change {
    struct list node;
    struct worker_job job;
    struct control *control;
    const struct change_kind *kind;
    struct call *call; /* NULL: nobody asked, a signal came */
    config_msg *file;  /* of a reload: what the config file has; the change's own */
    struct edit *edits;
    size_t count;
    bool dry_run;
    json_t *record; /* what the state on the disk is to learn (store/state_json.h); NULL: nothing */
    bool under_way;
    bool unwritten;           /* it is done although `record` could not be written */
    struct udptun_error disk; /* why not */
    struct udptun_error err;
};

void changes_init(struct changes *c);

/* Queue a change; takes over `call` and `file`, which may be NULL. */
void change_start(struct control *control, const struct change_kind *kind, struct call *call,
                  config_msg *file);

/* In `plan`: object `name` is to be as `wanted`, which is taken over in any case (NULL: removed).
 * Each name once. 0 or a code and `c->err`; UDPTUN_E_PERMISSION when the object is an admin's, now
 * or afterwards, and the caller is not an admin. */
int change_edit(struct change *c, const char *name, ProtobufCMessage *wanted, bool of_file,
                const char *path);

/* Calls whose change has not begun fail; those under way are finished by worker_free(). */
void changes_stop(struct control *control);

/* The kinds. */
extern const struct change_kind change_configure; /* configureUdpTunnel, and the like */
extern const struct change_kind change_remove;
extern const struct change_kind change_apply_config;
extern const struct change_kind change_reload;
extern const struct change_kind change_write; /* of record.c */

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * change_run.c - see change_run.h.
 *
 * Edits of one change may need each other: a port or a device passes from one object to another. So
 * what fails is tried again after the others, in rounds, until a round gets nothing done.
 * Then objects may be waiting for each other (they exchange their ports), or for one that is to be
 * removed: those that another one waits for release what it needs (release.c), and it is tried once
 * more. Putting back goes by the same rounds, in the other direction.
 *
 * A removal says goodbye, and its session cannot be put back. So it waits until nothing can fail
 * any more, the state on the disk included; whether it will be possible is looked at beforehand.
 * An object that takes the name of one of the other kind cannot wait that long: it comes after all
 * the others.
 */
#include "daemon/control/change/change_run.h"

#include <string.h>

#include "daemon/control/change/apply.h"
#include "daemon/control/change/change.h"
#include "daemon/control/change/release.h"
#include "daemon/control/store/state.h"
#include "daemon/control/store/tunnel_message.h"

/* ---- one edit -------------------------------------------------------------------------------- */

/* What the engine runs becomes what is wanted. */
static int apply_edit(struct change *c, struct edit *e, struct udptun_error *err)
{
    struct control *control = c->control;
    int rc = 0;
    if (!e->wanted || e->other_kind)
        rc = control_remove(control, e->name, e->path, err);
    if (rc == 0 && e->other_kind)
        e->is_released = true;
    if (rc == 0 && e->wanted)
        rc = control_apply(control, e->wanted, &e->inputs, e->path, &e->changed, err);
    e->changed = e->changed || e->differs;
    e->applied = rc == 0;
    e->has_run = e->has_run || (rc == 0 && e->wanted);
    e->code = rc;
    return rc;
}

static int put_back(struct change *c, struct edit *e, struct udptun_error *err)
{
    const struct object *before = edit_ran_before(c, e);
    int rc = 0;
    if (!before || e->other_kind)
        rc = control_remove(c->control, e->name, "", err);
    if (rc == 0 && before)
        rc = control_apply(c->control, before->message, &before->inputs, "", NULL, err);
    if (rc == 0)
        e->applied = e->is_released = false;
    return rc;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* Others of the same change may have to go first: those that hold the port, or that are named. */
static bool may_come_later(int code)
{
    return code == UDPTUN_E_PORT_IN_USE || code == UDPTUN_E_NOT_FOUND || code == UDPTUN_E_CONFLICT;
}

/* Those that are left, removals aside, and that take a name of the other kind or (false) do not:
 * how many were carried out, or a code that ends it. `err` becomes that of the first that has to
 * wait. */
static int apply_edits(struct change *c, bool other_kind, struct udptun_error *err)
{
    int done = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct edit *e = &c->edits[i];
        if (e->applied || e->is_removal || e->other_kind != other_kind)
            continue;
        struct udptun_error why = {0};
        int rc = apply_edit(c, e, &why);
        done += rc == 0;
        if (rc < 0 && err->code == 0)
            *err = why;
        if (rc < 0 && !may_come_later(rc)) {
            *err = why;
            return rc;
        }
    }
    return done;
}

/* Whether anything was done that may help the rest. */
static bool apply_round(struct change *c, struct udptun_error *err)
{
    int made = apply_edits(c, false, err);
    if (made < 0)
        return false;
    if (err->code < 0 && (made > 0 || change_release_waited(c)))
        return true;
    if (err->code == UDPTUN_E_PORT_IN_USE) /* nobody of this change has it */
        return false;
    made = apply_edits(c, true, err);
    if (made < 0 || err->code == 0)
        return false;
    return made > 0 || change_release_waited(c);
}

static const struct edit *edit_of(const struct change *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->edits[i].name, name) == 0)
            return &c->edits[i];
    }
    return NULL;
}

/* No object that runs afterwards uses one that is removed. */
static int check_removals(struct change *c)
{
    const struct objects *objects = &c->control->objects;
    for (size_t i = 0; i < objects->count; i++) {
        const struct object *object = &objects->items[i];
        const struct edit *edit = edit_of(c, object->name);
        ProtobufCMessage *user = object->last_error[0] ? NULL : object->message;
        if (edit)
            user = edit->wanted;
        const char *name = user ? object_used_by(user) : NULL;
        const struct edit *used = name ? edit_of(c, name) : NULL;
        if (!used || !used->is_removal || !edit_ran_before(c, used))
            continue;
        error_set(&c->err, UDPTUN_E_CONFLICT, "name", "name: %s '%s' uses '%s'",
                  object_tunnel(user) ? "tunnel" : "tun2socks instance", object->name, name);
        tunnel_message_error_path(&c->err, used->path);
        if (!*used->path) /* nothing that was given names it */
            c->err.field[0] = '\0';
        return c->err.code;
    }
    return 0;
}

int change_run(struct change *c)
{
    if (check_removals(c) < 0)
        return c->err.code;
    do
        c->err = (struct udptun_error){0};
    while (apply_round(c, &c->err));
    if (c->err.code < 0)
        change_put_back(c);
    return c->err.code;
}

/* In rounds: of two that are removed one may use the other. */
void change_end_removed(struct change *c)
{
    struct udptun_error err;
    int done;
    do {
        err = (struct udptun_error){0};
        done = 0;
        for (size_t i = 0; i < c->count; i++) {
            struct edit *e = &c->edits[i];
            struct udptun_error why = {0};
            if (!e->is_removal || e->applied)
                continue;
            if (apply_edit(c, e, &why) == 0)
                done++;
            else
                err = why;
        }
    } while (done > 0 && err.code < 0);
    if (err.code < 0)
        log_write(c->control->log, UDPTUN_LOG_ERROR, "control",
                  "what was removed cannot be ended: %s", err.message);
}

/* How many were put back; those that are left have their reason in `err`, the last one's. */
static int put_back_round(struct change *c, struct udptun_error *err)
{
    int done = 0;
    for (size_t i = c->count; i-- > 0;) {
        struct edit *e = &c->edits[i];
        if (!e->applied && !e->is_released)
            continue;
        struct udptun_error why = {0};
        int rc = put_back(c, e, &why);
        done += rc == 0;
        if (rc < 0)
            *err = why;
    }
    return done;
}

/* What was carried out may stand in the way of what is to be put back: it stops, whatever it is. */
static bool clear(struct change *c)
{
    bool any = false;
    for (size_t i = 0; i < c->count; i++) {
        struct edit *e = &c->edits[i];
        if (e->applied && edit_ran_before(c, e) && edit_release(c, e)) {
            e->applied = false;
            any = true;
        }
    }
    return any;
}

void change_put_back(struct change *c)
{
    struct udptun_error err;
    int done;
    do {
        err = (struct udptun_error){0};
        done = put_back_round(c, &err);
        if (done == 0 && err.code < 0 && clear(c))
            done = 1;
    } while (done > 0 && err.code < 0);
    if (err.code < 0)
        log_write(c->control->log, UDPTUN_LOG_ERROR, "control",
                  "what ran before cannot all be put back: %s", err.message);
}

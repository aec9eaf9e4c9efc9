/* SPDX-License-Identifier: Apache-2.0 */
/* record.c - see record.h. */
#include "daemon/control/change/record.h"

#include <stdio.h>
#include <string.h>

#include "daemon/control/store/state.h"

/* What the disk is to learn of one edit. */
static int record_edit(json_t *record, const struct control *control, const struct edit *e)
{
    const struct object *object = objects_find(&control->objects, e->name);
    bool was_kept = object && object_is_kept(object);
    bool is_noted = unwritten_find(&control->unwritten, e->name) != NULL;
    if (object_keeps(e->of_file, e->wanted))
        return e->differs || !was_kept || is_noted ? record_set(record, e->wanted) : 0;
    return was_kept || is_noted ? record_remove(record, e->name) : 0;
}

static bool is_edited(const struct change *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->edits[i].name, name) == 0)
            return true;
    }
    return false;
}

/* What the disk is to learn of an object that it has as it was before. */
static int record_object(json_t *record, const struct objects *objects, const char *name)
{
    const struct object *object = objects_find(objects, name);
    return object && object_is_kept(object) ? record_set(record, object->message)
                                            : record_remove(record, name);
}

json_t *change_record_all(const struct change *c)
{
    const struct objects *objects = &c->control->objects;
    json_t *record = record_new();
    int rc = record ? record_set_all(record) : UDPTUN_E_NOMEM;
    for (size_t i = 0; rc == 0 && i < objects->count; i++) {
        const struct object *object = &objects->items[i];
        if (object_is_kept(object) && !is_edited(c, object->name))
            rc = record_set(record, object->message);
    }
    for (size_t i = 0; rc == 0 && i < c->count; i++) {
        if (object_keeps(c->edits[i].of_file, c->edits[i].wanted))
            rc = record_set(record, c->edits[i].wanted);
    }
    if (rc == 0)
        return record;
    json_decref(record);
    return NULL;
}

json_t *change_record(const struct change *c)
{
    const struct objects *objects = &c->control->objects;
    const struct unwritten *u = &c->control->unwritten;
    json_t *record = record_new();
    int rc = record ? 0 : UDPTUN_E_NOMEM;
    for (size_t i = 0; rc == 0 && i < c->count; i++)
        rc = record_edit(record, c->control, &c->edits[i]);
    /* Names that the config file has taken wait for a change that writes anyway. */
    bool writes = rc == 0 && (!record_is_empty(record) || unwritten_any(u));
    for (size_t i = 0; writes && rc == 0 && i < u->count; i++) {
        if (!is_edited(c, u->names[i].name))
            rc = record_object(record, objects, u->names[i].name);
    }
    if (rc == 0)
        return record;
    json_decref(record);
    return NULL;
}

static int plan_nothing(struct change *c)
{
    (void)c;
    return 0;
}

static void wrote(struct change *c)
{
    if (c->err.code < 0)
        snprintf(c->control->unwritten.reason, sizeof c->control->unwritten.reason, "%s",
                 c->err.message);
}

const struct change_kind change_write = {plan_nothing, wrote, .is_of_all = false, .is_write = true};

void change_retry(struct control *control)
{
    if (list_empty(&control->changes->queue))
        change_start(control, &change_write, NULL, NULL);
}

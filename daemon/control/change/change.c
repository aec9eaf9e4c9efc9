/* SPDX-License-Identifier: Apache-2.0 */
/* change.c - see change.h. A step that has to wait for the worker returns false; the worker's
 * callback takes the change up again. */
#include "daemon/control/change/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/change/apply.h"
#include "daemon/control/change/authority.h"
#include "daemon/control/change/change_run.h"
#include "daemon/control/change/record.h"
#include "daemon/control/report/watchers.h"
#include "daemon/control/store/identities.h"
#include "daemon/control/store/object_check.h"
#include "daemon/control/store/state.h"
#include "daemon/control/store/tunnel_message.h"
#include "proto/control/codec.h"

static void run_queue(struct control *control);

void changes_init(struct changes *c)
{
    list_init(&c->queue);
    c->running = false;
}

static void free_message(ProtobufCMessage *message)
{
    if (message)
        protobuf_c_message_free_unpacked(message, NULL);
}

static int change_no_memory(struct change *c)
{
    return error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
}

int change_edit(struct change *c, const char *name, ProtobufCMessage *wanted, bool of_file,
                const char *path)
{
    struct edit *grown = realloc(c->edits, (c->count + 1) * sizeof *grown);
    if (!grown) {
        free_message(wanted);
        return change_no_memory(c);
    }
    const struct object *present = objects_find(&c->control->objects, name);
    const ProtobufCMessage *message = present ? present->message : NULL;
    c->edits = grown;
    struct edit *e = &c->edits[c->count++];
    *e = (struct edit){.wanted = wanted, .of_file = of_file};
    e->is_removal = !wanted;
    e->is_new = wanted && !message;
    e->other_kind = message && wanted && message->descriptor != wanted->descriptor;
    e->differs =
        message && wanted ? e->other_kind || !codec_equal(message, wanted) : message != wanted;
    snprintf(e->name, sizeof e->name, "%s", name);
    snprintf(e->path, sizeof e->path, "%s", path);
    if (strlen(name) >= sizeof e->name)
        return tunnel_message_invalid(&c->err, path, "name",
                                      "1 to 64 of A-Za-z0-9._- are expected");
    if (authority_check_edit(c->call, message, e, &c->err) < 0)
        return c->err.code;
    if (e->other_kind && !c->kind->is_of_all) {
        error_set(&c->err, UDPTUN_E_CONFLICT, "name", "name: %s is an object of another kind",
                  name);
        tunnel_message_error_path(&c->err, path);
        return c->err.code;
    }
    if (wanted && !object_is_enabled(wanted))
        object_keep_key(wanted, message, present ? &present->inputs : NULL, &e->inputs);
    if (wanted)
        object_take_fd(wanted, c->call ? c->call->fds.fd : NULL, c->call ? c->call->fds.count : 0,
                       message, present ? &present->inputs : NULL, &e->inputs);
    e->needs_identity = e->differs && control_needs_identity(c->control, wanted);
    /* Those with a key file are checked where the file is read. */
    return !wanted || object_has_key_file(wanted)
               ? 0
               : object_check(wanted, &e->inputs, e->path, &c->err);
}

/* ---- the end --------------------------------------------------------------------------------- */

static void keep_edit(struct change *c, struct edit *e)
{
    struct control *control = c->control;
    struct object *object = objects_find(&control->objects, e->name);
    if (!object)
        return;
    bool kept =
        !c->unwritten && !e->of_file && !object_is_ephemeral(e->wanted) && control->store.folder;
    object->of_file = e->of_file;
    object_inputs_fini(&object->inputs);
    object->inputs = e->inputs;
    e->inputs = (struct object_inputs){0};
    objects_set(&control->objects, object, e->wanted);
    e->wanted = NULL;
    if (c->unwritten)
        unwritten_add(&control->unwritten, e->name, &c->disk);
    if (e->is_removal || e->other_kind)
        identity_forget(&control->identities, e->name);
    if (!e->changed)
        return;
    watchers_config(control, e, kept);
    log_write(control->log, UDPTUN_LOG_INFO, "control", "%s %s", e->name,
              e->is_removal ? "removed" : "configured");
}

static void drop_edit(struct change *c, struct edit *e)
{
    struct control *control = c->control;
    struct object *object = objects_find(&control->objects, e->name);
    if (object && !object->message) /* its place was kept for nothing */
        objects_set(&control->objects, object, NULL);
    if (e->is_new && e->has_run) /* a session may have been founded, and kept */
        identity_forget(&control->identities, e->name);
    free_message(e->wanted);
    e->wanted = NULL;
    object_inputs_fini(&e->inputs);
}

/* Tell the caller, and free the change. */
static void change_finish(struct change *c)
{
    bool kept = c->err.code == 0 && !c->dry_run;
    if (kept)
        change_end_removed(c);
    for (size_t i = 0; i < c->count; i++) {
        if (kept)
            keep_edit(c, &c->edits[i]);
        else
            drop_edit(c, &c->edits[i]);
    }
    if (kept && c->record && !c->unwritten)
        unwritten_written(&c->control->unwritten);
    json_decref(c->record);
    list_remove(&c->node);
    c->kind->finished(c);
    free(c->edits);
    if (c->file)
        protobuf_c_message_free_unpacked(&c->file->base, NULL);
    free(c);
}

/* ---- the disk -------------------------------------------------------------------------------- */

/* Nothing runs afterwards that did not run before: that is done whatever the disk says. */
static bool only_stops(const struct change *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->edits[i].wanted && object_is_enabled(c->edits[i].wanted))
            return false;
    }
    return c->count > 0;
}

/* `c->disk` says why the state cannot be written. True: the change goes on without. */
static bool go_on_unwritten(struct change *c)
{
    c->unwritten = only_stops(c);
    if (!c->unwritten)
        c->err = c->disk;
    return c->unwritten;
}

static void run_commit(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    store_commit(&c->control->store, &c->disk);
}

static void commit_done(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    struct control *control = c->control;
    if (c->disk.code < 0 && !go_on_unwritten(c))
        change_put_back(c);
    change_finish(c);
    run_queue(control);
}

static bool change_submit(struct change *c, void (*run)(struct worker_job *),
                          void (*done)(struct worker_job *))
{
    c->job = (struct worker_job){.run = run, .done = done};
    if (worker_submit(c->control->worker, &c->job) == 0)
        return true;
    error_set(&c->disk, UDPTUN_E_SYSTEM, NULL, "no thread to work with files");
    return false;
}

static void warn_of_exposed_keys(const struct change *c)
{
    for (size_t i = 0; i < c->count; i++) {
        if (c->edits[i].inputs.exposed)
            control_warn_exposed(c->control, c->edits[i].wanted);
    }
}

/* With a state prepared if there is to be one. True when the change is over. */
static bool apply_and_commit(struct change *c)
{
    bool prepared = c->record && !c->unwritten;
    if (c->dry_run)
        return true;
    warn_of_exposed_keys(c);
    if (change_run(c) < 0) {
        if (prepared)
            store_discard(&c->control->store);
        return true;
    }
    if (!prepared || (!change_submit(c, run_commit, commit_done) && go_on_unwritten(c)))
        return true;
    if (c->err.code == 0)
        return false;
    change_put_back(c);
    store_discard(&c->control->store);
    return true;
}

/* The key that the object's file holds. One that is being disabled needs none that is new. */
static int read_key(struct edit *e, struct udptun_error *err)
{
    if (!object_has_key_file(e->wanted) || (e->inputs.has_key && !object_is_enabled(e->wanted)))
        return 0;
    int rc = object_read_key(e->wanted, e->path, &e->inputs, err);
    return rc < 0 ? rc : object_check(e->wanted, &e->inputs, e->path, err);
}

static void run_prepare(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    for (size_t i = 0; i < c->count && c->err.code == 0; i++) {
        struct edit *e = &c->edits[i];
        read_key(e, &c->err);
        if (e->needs_identity)
            object_inputs_read_identity(&e->inputs, &c->control->store, e->name);
    }
    if (c->err.code == 0 && c->record)
        store_prepare(&c->control->store, c->record, &c->disk);
}

static void prepare_done(struct worker_job *job);

static void run_prepare_all(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    store_prepare(&c->control->store, c->record, &c->disk);
}

/* The files are not what we wrote: whatever became of them, they get what is configured. */
static bool write_all_objects(struct change *c)
{
    json_t *all = change_record_all(c);
    if (!all)
        return false;
    log_write(c->control->log, UDPTUN_LOG_WARN, "control", "%s; it is written again",
              c->disk.message);
    json_decref(c->record);
    c->record = all;
    c->disk = (struct udptun_error){0};
    return change_submit(c, run_prepare_all, prepare_done);
}

static void prepare_done(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    struct control *control = c->control;
    if (c->disk.code == UDPTUN_E_CONFLICT && !record_is_all(c->record) && write_all_objects(c))
        return;
    if (c->disk.code < 0)
        go_on_unwritten(c);
    if (c->err.code == 0 && control->stopping) {
        if (c->record)
            store_discard(&control->store);
        error_set(&c->err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
    }
    if (c->err.code == 0 && c->call && call_is_void(c->call)) {
        if (c->record)
            store_discard(&control->store);
        call_void_error(c->call, &c->err);
    }
    if (c->err.code < 0 || apply_and_commit(c)) {
        change_finish(c);
        run_queue(control);
    }
}

/* ---- the queue ------------------------------------------------------------------------------- */

/* Whether the worker has to come first. What is to be written is kept. */
static int change_prepare(struct change *c, bool *wait)
{
    struct control *control = c->control;
    *wait = false;
    for (size_t i = 0; i < c->count; i++) {
        *wait = *wait || object_has_key_file(c->edits[i].wanted) || c->edits[i].needs_identity;
        if (!c->dry_run && !objects_add(&control->objects, c->edits[i].name))
            return change_no_memory(c);
    }
    if (c->dry_run || !control->store.folder)
        return 0;
    c->record = change_record(c);
    if (!c->record)
        return change_no_memory(c);
    if (record_is_empty(c->record)) {
        json_decref(c->record);
        c->record = NULL;
    }
    *wait = *wait || c->record;
    return 0;
}

/* True when the change is over. */
static bool change_begin(struct change *c)
{
    bool wait;
    if (c->call && call_is_void(c->call)) { /* it stood behind others for too long */
        call_void_error(c->call, &c->err);
        return true;
    }
    if (c->kind->plan(c) < 0 || (c->count == 0 && !c->kind->is_write) ||
        change_prepare(c, &wait) < 0)
        return true;
    if (!wait)
        return apply_and_commit(c);
    if (change_submit(c, run_prepare, prepare_done))
        return false;
    return !go_on_unwritten(c) || apply_and_commit(c);
}

static void run_queue(struct control *control)
{
    struct changes *changes = control->changes;
    if (changes->running)
        return;
    changes->running = true;
    while (!list_empty(&changes->queue)) {
        struct change *c = list_entry(changes->queue.next, struct change, node);
        if (c->under_way)
            break;
        c->under_way = true;
        if (!change_begin(c))
            break;
        change_finish(c);
    }
    changes->running = false;
}

void change_start(struct control *control, const struct change_kind *kind, struct call *call,
                  config_msg *file)
{
    struct change *c = calloc(1, sizeof *c);
    if (!c) {
        struct udptun_error err;
        error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
        if (file)
            protobuf_c_message_free_unpacked(&file->base, NULL);
        if (call)
            call_fail(call, &err);
        return;
    }
    c->control = control;
    c->kind = kind;
    c->call = call;
    c->file = file;
    list_append(&control->changes->queue, &c->node);
    if (control->stopping) {
        error_set(&c->err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
        change_finish(c);
        return;
    }
    run_queue(control);
}

void changes_stop(struct control *control)
{
    control->changes->running = true; /* nothing begins any more */
    LIST_FOREACH_SAFE (node, &control->changes->queue) {
        struct change *c = list_entry(node, struct change, node);
        if (c->under_way)
            continue;
        error_set(&c->err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
        change_finish(c);
    }
}

/* SPDX-License-Identifier: Apache-2.0 */
/* change.c - see change.h. A step that has to wait for the worker returns false; the worker's
 * callback takes the change up again. */
#include "daemon/control/change.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/actions.h"
#include "daemon/control/control.h"
#include "daemon/control/tunnel_config.h"
#include "proto/control/codec.h"

static void run_queue(struct control *control);

void changes_init(struct changes *c)
{
    list_init(&c->queue);
    c->running = false;
}

static tunnel_msg *present_of(const struct change *c)
{
    const struct object *object = objects_find(&c->control->objects, c->name);
    return object ? object->tunnel : NULL;
}

static int no_memory(struct change *c)
{
    return error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
}

static void free_tunnel(tunnel_msg *tunnel)
{
    if (tunnel)
        protobuf_c_message_free_unpacked(&tunnel->base, NULL);
}

/* The object that configureUdpTunnel asks for, whole. */
static int work_out_wanted(struct change *c)
{
    const ProtobufCMessage *given = c->call->parameters;
    tunnel_msg *present = present_of(c);
    c->wanted = (tunnel_msg *)codec_copy(given);
    if (!c->wanted)
        return no_memory(c);
    bool merge = c->wanted->has_merge && c->wanted->merge;
    c->wanted->has_merge = c->wanted->has_wait = 0;
    int rc = object_fill_redacted(&c->wanted->base, present ? &present->base : NULL, "parameters",
                                  &c->err);
    if (rc == 0 && merge && present) {
        tunnel_msg *whole = (tunnel_msg *)codec_copy(&present->base);
        if (!whole)
            return no_memory(c);
        codec_merge(&whole->base, &c->wanted->base);
        free_tunnel(c->wanted);
        c->wanted = whole;
    }
    struct tunnel_config checked;
    return rc < 0 ? rc : tunnel_config_from(c->wanted, "parameters", &checked, &c->err);
}

/* Tell the caller, and free the change. */
static void finish(struct change *c)
{
    struct control *control = c->control;
    struct call *call = c->call;
    struct object *object = objects_find(&control->objects, c->name);
    bool configure = c->wanted != NULL;
    int rc = c->err.code;
    if (rc == 0 && object)
        objects_set(&control->objects, object, c->wanted);
    else if (object && !object->tunnel)
        objects_set(&control->objects, object, NULL); /* its place was kept for nothing */
    if (rc == 0 && c->text)
        store_committed(&control->store, c->text);
    else
        free(c->text);
    if (rc < 0)
        free_tunnel(c->wanted);
    if (rc == 0 && c->changed)
        log_write(control->log, UDPTUN_LOG_INFO, "control", "%s %s", c->name,
                  configure ? "configured" : "removed");
    list_remove(&c->node);
    if (rc < 0)
        call_fail(call, &c->err);
    else if (configure)
        action_configured(call, c->name, c->changed);
    else
        action_return_changed(call, c->changed);
    free(c);
}

/* What the engine runs becomes what is wanted. */
static int apply(struct change *c)
{
    const tunnel_msg *present = present_of(c);
    if (!c->wanted) {
        c->changed = true;
        int rc = udptun_remove(c->control->engine, c->name, &c->err);
        return rc == UDPTUN_E_NOT_FOUND ? c->err.code = 0 : rc; /* it had failed to start */
    }
    int rc = control_apply(c->control, c->wanted, "parameters", &c->changed, &c->err);
    bool was_ephemeral = present && present->has_ephemeral && present->ephemeral;
    bool is_ephemeral = c->wanted->has_ephemeral && c->wanted->ephemeral;
    c->changed = c->changed || was_ephemeral != is_ephemeral;
    return rc;
}

/* The state could not be committed: what ran before has to run. */
static void put_back(struct change *c)
{
    const tunnel_msg *present = present_of(c);
    struct udptun_error err = {0};
    int rc = present ? control_apply(c->control, present, "", NULL, &err)
                     : udptun_remove(c->control->engine, c->name, &err);
    if (rc < 0)
        log_write(c->control->log, UDPTUN_LOG_ERROR, "control", "%s: cannot be put back: %s",
                  c->name, err.message);
}

static void run_commit(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    c->rc = store_commit(&c->control->store, &c->err);
}

static void commit_done(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    struct control *control = c->control;
    if (c->rc < 0)
        put_back(c);
    finish(c);
    run_queue(control);
}

static bool submit(struct change *c, void (*run)(struct worker_job *),
                   void (*done)(struct worker_job *))
{
    c->job = (struct worker_job){.run = run, .done = done};
    if (worker_submit(c->control->worker, &c->job) == 0)
        return true;
    error_set(&c->err, UDPTUN_E_SYSTEM, NULL, "no thread to write the state with");
    return false;
}

/* With a state prepared if there is to be one. True when the change is over. */
static bool apply_and_commit(struct change *c)
{
    bool prepared = c->text != NULL;
    if (apply(c) < 0) {
        if (prepared)
            store_discard(&c->control->store);
        return true;
    }
    if (!prepared)
        return true;
    if (submit(c, run_commit, commit_done))
        return false;
    put_back(c);
    store_discard(&c->control->store);
    return true;
}

static void run_prepare(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    c->rc = store_prepare(&c->control->store, c->text, &c->err);
}

static void prepare_done(struct worker_job *job)
{
    struct change *c = list_entry(job, struct change, job);
    struct control *control = c->control;
    if (c->rc == 0 && control->stopping) {
        store_discard(&control->store);
        error_set(&c->err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
    }
    if (c->err.code < 0 || apply_and_commit(c)) {
        finish(c);
        run_queue(control);
    }
}

/* True when the change is over. */
static bool begin(struct change *c)
{
    struct control *control = c->control;
    bool configure = c->call->action->parameters == &udptun__control__tunnel__descriptor;
    if (configure && work_out_wanted(c) < 0)
        return true;
    if (!configure && !present_of(c))
        return true; /* absent: nothing to do */
    if (!objects_add(&control->objects, c->name)) {
        no_memory(c);
        return true;
    }
    c->text = objects_state_text(&control->objects, c->name, c->wanted);
    if (!c->text) {
        no_memory(c);
        return true;
    }
    if (!store_needs(&control->store, c->text)) {
        free(c->text);
        c->text = NULL;
        return apply_and_commit(c);
    }
    return !submit(c, run_prepare, prepare_done);
}

static void run_queue(struct control *control)
{
    struct changes *changes = &control->changes;
    if (changes->running)
        return;
    changes->running = true;
    while (!list_empty(&changes->queue)) {
        struct change *c = list_entry(changes->queue.next, struct change, node);
        if (c->under_way)
            break;
        c->under_way = true;
        if (!begin(c))
            break;
        finish(c);
    }
    changes->running = false;
}

void change_start(struct call *call)
{
    struct control *control = call->control;
    const ProtobufCFieldDescriptor *name = codec_field(call->action->parameters, "name");
    const char *text = *(char *const *)((const char *)call->parameters + name->offset);
    struct udptun_error err = {0};
    struct change *c = calloc(1, sizeof *c);
    if (control->stopping || !c || strlen(text) >= sizeof c->name) {
        if (control->stopping)
            error_set(&err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
        else if (!c)
            error_set(&err, UDPTUN_E_NOMEM, NULL, "out of memory");
        else
            error_set(&err, UDPTUN_E_INVALID, "parameters.name",
                      "parameters.name: 1 to 64 of A-Za-z0-9._- are expected");
        free(c);
        call_fail(call, &err);
        return;
    }
    c->control = control;
    c->call = call;
    strcpy(c->name, text);
    list_append(&control->changes.queue, &c->node);
    run_queue(control);
}

void changes_stop(struct control *control)
{
    control->changes.running = true; /* nothing begins any more */
    LIST_FOREACH_SAFE (node, &control->changes.queue) {
        struct change *c = list_entry(node, struct change, node);
        if (c->under_way)
            continue;
        error_set(&c->err, UDPTUN_E_UNEXPECTED, NULL, "the daemon is stopping");
        finish(c);
    }
}

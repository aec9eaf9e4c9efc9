/* SPDX-License-Identifier: Apache-2.0 */
/* reload.c - reading the config file again: the worker reads and checks it, a change makes it so.
 *
 * Names that the file has become its own, as it has them; names that it had and has no more are
 * removed; every other name is left alone. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/change/change.h"
#include "daemon/control/change/reload.h"
#include "daemon/control/store/config_file.h"
#include "daemon/control/store/state.h"
#include "proto/control/codec.h"

struct reload {
    struct worker_job job;
    struct control *control;
    struct call *call; /* NULL: nobody asked */
    config_msg *file;
    struct udptun_error err;
};

static bool file_names(const config_msg *file, const char *name)
{
    for (size_t i = 0; i < file->n_udp_tunnels; i++) {
        if (strcmp(file->udp_tunnels[i]->name, name) == 0)
            return true;
    }
    for (size_t i = 0; i < file->n_tun2socks; i++) {
        if (strcmp(file->tun2socks[i]->name, name) == 0)
            return true;
    }
    return false;
}

static int reload_plan_object(struct change *c, const ProtobufCMessage *message, const char *kind,
                              size_t i)
{
    char path[OBJECT_PATH_SIZE];
    snprintf(path, sizeof path, "%s[%zu]", kind, i);
    ProtobufCMessage *wanted = codec_copy(message);
    if (!wanted)
        return error_set(&c->err, UDPTUN_E_NOMEM, NULL, "out of memory");
    return change_edit(c, object_name(message), wanted, true, path);
}

static int plan(struct change *c)
{
    const struct objects *objects = &c->control->objects;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < objects->count; i++) {
        const struct object *object = &objects->items[i];
        if (object->of_file && !file_names(c->file, object->name))
            rc = change_edit(c, object->name, NULL, false, "");
    }
    for (size_t i = 0; rc == 0 && i < c->file->n_udp_tunnels; i++)
        rc = reload_plan_object(c, &c->file->udp_tunnels[i]->base, "udpTunnels", i);
    for (size_t i = 0; rc == 0 && i < c->file->n_tun2socks; i++)
        rc = reload_plan_object(c, &c->file->tun2socks[i]->base, "tun2socks", i);
    return rc;
}

static void conclude(struct control *control, struct call *call, const struct udptun_error *err)
{
    if (err->code < 0)
        log_write(control->log, UDPTUN_LOG_ERROR, "control",
                  "config file not taken, what ran runs on: %s", err->message);
    else
        log_write(control->log, UDPTUN_LOG_INFO, "control", "config file taken");
    control->reloading(control->arg, false);
    if (call && err->code < 0)
        call_fail(call, err);
    else if (call)
        call_return(call, NULL);
}

static void finished(struct change *c)
{
    if (c->err.field[0])
        config_file_error(c->control->config_path, &c->err);
    conclude(c->control, c->call, &c->err);
}

const struct change_kind change_reload = {plan, finished, .is_of_all = true};

static void reload_run(struct worker_job *job)
{
    struct reload *r = list_entry(job, struct reload, job);
    config_file_load(r->control->config_path, &r->file, &r->err);
}

static void done(struct worker_job *job)
{
    struct reload *r = list_entry(job, struct reload, job);
    if (r->err.code < 0)
        conclude(r->control, r->call, &r->err);
    else
        change_start(r->control, &change_reload, r->call, r->file);
    free(r);
}

void control_reload(struct control *control, struct call *call)
{
    struct udptun_error err = {0};
    if (!control->config_path) {
        log_write(control->log, UDPTUN_LOG_INFO, "control", "there is no config file to reload");
        if (call)
            call_return(call, NULL);
        return;
    }
    control->reloading(control->arg, true);
    struct reload *r = calloc(1, sizeof *r);
    if (r) {
        *r = (struct reload){
            .job = {.run = reload_run, .done = done}, .control = control, .call = call};
        if (worker_submit(control->worker, &r->job) == 0)
            return;
    }
    free(r);
    error_set(&err, UDPTUN_E_SYSTEM, NULL, "config file: no thread or memory to read it with");
    conclude(control, call, &err);
}

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * carry_out.c - see carry_out.h.
 *
 * Edits of one change may need each other: a port or a device passes from one object to another, or
 * a name that is to be removed is used by an object that is to let go of it. So what cannot be had
 * is tried again after the others, in rounds, until a round gets nothing done. Then two objects may
 * be waiting for each other (they exchange their ports): those whose place another one waits for
 * make way, that is, they stop, and it is tried once more. Putting back goes by the same rounds, in
 * the other direction.
 */
#include "daemon/control/carry_out.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/control/control.h"
#include "daemon/control/tunnel_config.h"
#include "proto/control/codec.h"

/* ---- one edit -------------------------------------------------------------------------------- */

/* The object that ran before, NULL: none did. */
static const struct object *ran_before(const struct change *c, const struct edit *e)
{
    const struct object *object = objects_find(&c->control->objects, e->name);
    return object && object->message && !object->last_error[0] ? object : NULL;
}

/* What the engine runs becomes what is wanted. */
static int carry_out(struct change *c, struct edit *e, struct udptun_error *err)
{
    struct control *control = c->control;
    int rc = 0;
    if (!e->wanted || e->other_kind)
        rc = control_remove(control, e->name, e->path, err);
    if (rc == 0 && e->other_kind)
        e->made_way = true;
    if (rc == 0 && e->wanted)
        rc = control_apply(control, e->wanted, &e->means, e->path, &e->changed, err);
    e->changed = e->changed || e->differs;
    e->applied = rc == 0;
    return rc;
}

static int put_back(struct change *c, struct edit *e, struct udptun_error *err)
{
    const struct object *before = ran_before(c, e);
    int rc = 0;
    if (!before || e->other_kind)
        rc = control_remove(c->control, e->name, "", err);
    if (rc == 0 && before)
        rc = control_apply(c->control, before->message, &before->means, "", NULL, err);
    if (rc == 0)
        e->applied = e->made_way = false;
    return rc;
}

/* ---- making way ------------------------------------------------------------------------------ */

/* What only one object can have: the part of "udp://127.0.0.1:53" or "tun:tun0" behind the last
 * colon. "" when there is none, or none that is known yet. */
static const char *place_in(const char *text)
{
    const char *colon = text ? strrchr(text, ':') : NULL;
    return colon && strcmp(colon, ":0") != 0 ? colon + 1 : "";
}

static const char *place_of(const ProtobufCMessage *message)
{
    const ProtobufCFieldDescriptor *field = codec_field(message->descriptor, "listen");
    if (!field)
        field = codec_field(message->descriptor, "device");
    return place_in(object_text(message, field));
}

/* Whether another edit that could not be carried out waits for what `e` has. An address is not
 * looked at: to make way for nothing costs no more than the change, which fails then, would. */
static bool is_waited_for(const struct change *c, const struct edit *e)
{
    const struct object *object = ran_before(c, e);
    struct udptun_tunnel_status status;
    if (!object || !e->wanted)
        return false;
    const char *place = place_of(object->message);
    if (object_tunnel(object->message) &&
        udptun_status(c->control->engine, e->name, &status) == 0 && status.listen[0])
        place = place_in(status.listen); /* of PORT 0 */
    for (size_t i = 0; *place && i < c->count; i++) {
        const struct edit *other = &c->edits[i];
        if (other != e && !other->applied && other->wanted &&
            strcmp(place_of(other->wanted), place) == 0)
            return true;
    }
    return false;
}

/* Without its place: a tunnel keeps its session, an instance has nothing else. */
static void give_up_place(ProtobufCMessage *message)
{
    tunnel_msg *tunnel = object_tunnel(message);
    if (!tunnel) {
        object_tun2socks(message)->has_enabled = 1;
        object_tun2socks(message)->enabled = 0;
        return;
    }
    if (tunnel->listen)
        protobuf_c_message_free_unpacked(&tunnel->listen->base, NULL);
    tunnel->listen = NULL;
    free(tunnel->tcp_proxy); /* it needs a listener */
    tunnel->tcp_proxy = NULL;
}

/* It stays there, for those that name it, but it has nothing that another could want. */
static bool stop(struct change *c, struct edit *e)
{
    const struct object *object = ran_before(c, e);
    ProtobufCMessage *stopped = codec_copy(object->message);
    struct udptun_error err;
    if (!stopped)
        return false;
    give_up_place(stopped);
    int rc = control_apply(c->control, stopped, &object->means, "", NULL, &err);
    protobuf_c_message_free_unpacked(stopped, NULL);
    e->made_way = e->made_way || rc == 0;
    return rc == 0;
}

/* Whether any did that had not before. */
static bool make_way(struct change *c)
{
    bool any = false;
    for (size_t i = 0; i < c->count; i++) {
        struct edit *e = &c->edits[i];
        if (!e->applied && !e->made_way && is_waited_for(c, e))
            any = stop(c, e) || any;
    }
    return any;
}

/* ---- rounds ---------------------------------------------------------------------------------- */

/* Others of the same change may have to go first: those that hold the port, or that are named. */
static bool may_come_later(int code)
{
    return code == UDPTUN_E_PORT_IN_USE || code == UDPTUN_E_NOT_FOUND || code == UDPTUN_E_CONFLICT;
}

/* Those that are left, removals or the others: how many were carried out, or a code that ends it.
 * `err` becomes that of the first that has to wait. */
static int carry_out_all(struct change *c, bool removals, struct udptun_error *err)
{
    int done = 0;
    for (size_t i = 0; i < c->count; i++) {
        struct edit *e = &c->edits[i];
        if (e->applied || e->is_removal != removals)
            continue;
        struct udptun_error why = {0};
        int rc = carry_out(c, e, &why);
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

/* Removals first: they make room. Whether anything was done that may help the rest. */
static bool carry_out_round(struct change *c, struct udptun_error *err)
{
    int removed = carry_out_all(c, true, err);
    int made = removed < 0 ? removed : carry_out_all(c, false, err);
    if (made < 0 || err->code == 0)
        return false;
    return removed + made > 0 || make_way(c);
}

int change_carry_out(struct change *c)
{
    do
        c->err = (struct udptun_error){0};
    while (carry_out_round(c, &c->err));
    if (c->err.code < 0)
        change_put_back(c);
    return c->err.code;
}

/* How many were put back; those that are left have their reason in `err`, the last one's. */
static int put_back_round(struct change *c, struct udptun_error *err)
{
    int done = 0;
    for (size_t i = c->count; i-- > 0;) {
        struct edit *e = &c->edits[i];
        if (!e->applied && !e->made_way)
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
        if (e->applied && ran_before(c, e) && stop(c, e)) {
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

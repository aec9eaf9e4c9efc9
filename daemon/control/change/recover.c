/* SPDX-License-Identifier: Apache-2.0 */
/* recover.c - see recover.h. */
#include "daemon/control/change/recover.h"

#include <string.h>

#include "daemon/control/change/apply.h"
#include "daemon/control/change/change.h"
#include "daemon/control/change/make_way.h"

#define FIRST_DELAY_S 1.
#define MOST_DELAY_S  30.

static bool is_waiting(const struct object *object)
{
    return object->message && object->last_error[0];
}

static bool ends_with(const char *text, const char *end)
{
    size_t size = strlen(text), end_size = strlen(end);
    return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

bool recovery_is_for(const struct control *control, ProtobufCMessage *message,
                     const struct udptun_error *why)
{
    const char *used = object_used_by(message);
    const struct object *other = used ? objects_find(&control->objects, used) : NULL;
    if (other && is_waiting(other))
        return true;
    switch (why->code) {
    case UDPTUN_E_INVALID: /* of the system, as an address that it does not have */
        return why->sys_errno != 0 && !ends_with(why->field, "keyFile");
    case UDPTUN_E_PERMISSION:
        return !ends_with(why->field, "keyFile");
    case UDPTUN_E_PORT_IN_USE:
    case UDPTUN_E_SYSTEM:
    case UDPTUN_E_CONFLICT:
    case UDPTUN_E_LIMIT:
    case UDPTUN_E_NOMEM:
    case UDPTUN_E_UNREACHABLE:
        return true;
    default:
        return false;
    }
}

static void set_timer(struct recovery *r)
{
    struct control *control = r->control;
    double at_s = 0;
    for (size_t i = 0; i < control->objects.count; i++) {
        const struct object *object = &control->objects.items[i];
        if (is_waiting(object) && (at_s == 0 || object->retry_at_s < at_s))
            at_s = object->retry_at_s;
    }
    ev_timer_stop(control->loop, &r->timer);
    if (at_s == 0 || control->stopping)
        return;
    double delay_s = at_s - ev_now(control->loop);
    ev_timer_set(&r->timer, delay_s > 0 ? delay_s : 0, 0.);
    ev_timer_start(control->loop, &r->timer);
}

static void put_off(const struct control *control, struct object *object)
{
    object->retry_delay_s = object->retry_delay_s == 0 ? FIRST_DELAY_S : object->retry_delay_s * 2;
    if (object->retry_delay_s > MOST_DELAY_S)
        object->retry_delay_s = MOST_DELAY_S;
    object->retry_at_s = ev_now(control->loop) + object->retry_delay_s;
}

static bool try_again(struct control *control, struct object *object)
{
    struct udptun_error why = {0};
    if (control_apply(control, object->message, &object->means, "", NULL, &why) == 0) {
        object->last_error[0] = '\0';
        object->retry_delay_s = 0;
        log_write(control->log, UDPTUN_LOG_INFO, "control", "%s: started", object->name);
        return true;
    }
    if (strcmp(object->last_error, why.message) != 0)
        log_write(control->log, UDPTUN_LOG_WARN, "control", "%s: cannot start: %s", object->name,
                  why.message);
    memcpy(object->last_error, why.message, sizeof object->last_error);
    put_off(control, object);
    return false;
}

/* Those of one kind whose time has come, or all of them. True: one runs now. */
static bool try_kind(struct control *control, bool tunnels, bool all)
{
    bool any = false;
    for (size_t i = 0; i < control->objects.count; i++) {
        struct object *object = &control->objects.items[i];
        if (is_waiting(object) && (object_tunnel(object->message) != NULL) == tunnels &&
            (all || object->retry_at_s <= ev_now(control->loop)))
            any = try_again(control, object) || any;
    }
    return any;
}

static void try_due(struct recovery *r, bool all)
{
    struct control *control = r->control;
    /* A change that is under way has plans of its own for some of them: after it. */
    bool is_busy = !list_empty(&control->changes->queue);
    if (!is_busy) {
        bool any = try_kind(control, true, all);
        try_kind(control, false, all || any); /* instances may wait for a tunnel */
        set_timer(r);
    } else {
        ev_timer_stop(control->loop, &r->timer);
        ev_timer_set(&r->timer, FIRST_DELAY_S, 0.);
        ev_timer_start(control->loop, &r->timer);
    }
}

static void on_timer(struct ev_loop *loop, ev_timer *timer, int events)
{
    (void)loop;
    (void)events;
    try_due(timer->data, false);
}

void recovery_init(struct recovery *r, struct control *control)
{
    r->control = control;
    ev_timer_init(&r->timer, on_timer, 0., 0.);
    r->timer.data = r;
}

void recovery_stop(struct recovery *r)
{
    ev_timer_stop(r->control->loop, &r->timer);
}

void recovery_add(struct recovery *r, struct object *object, const struct udptun_error *why)
{
    log_write(r->control->log, UDPTUN_LOG_ERROR, "control", "%s: cannot start: %s", object->name,
              why->message);
    memcpy(object->last_error, why->message, sizeof object->last_error);
    put_off(r->control, object);
    set_timer(r);
}

void recovery_now(struct recovery *r)
{
    if (!r->control->stopping)
        try_due(r, true);
}

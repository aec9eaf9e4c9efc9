/* SPDX-License-Identifier: Apache-2.0 */
/* recover.c - see recover.h. */
#include "daemon/control/change/recover.h"

#include <string.h>

#include "daemon/control/change/apply.h"
#include "daemon/control/change/change.h"
#include "daemon/control/change/release.h"
#include "daemon/platform/clock.h"

#define FIRST_DELAY_US UINT64_C(1000000)
#define MOST_DELAY_US  UINT64_C(30000000)

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

static void recover_set_timer(struct recovery *r)
{
    const struct control *control = r->control;
    uint64_t at_us = LOOP_NEVER_US, now_us = clock_us();
    for (size_t i = 0; i < control->objects.count; i++) {
        const struct object *object = &control->objects.items[i];
        if (is_waiting(object) && object->retry_at_us < at_us)
            at_us = object->retry_at_us;
    }
    if (at_us == LOOP_NEVER_US || control->stopping)
        timer_stop(&r->timer);
    else
        timer_start(&r->timer, at_us > now_us ? at_us - now_us : 0);
}

static void put_off(struct object *object)
{
    object->retry_delay_us =
        object->retry_delay_us == 0 ? FIRST_DELAY_US : object->retry_delay_us * 2;
    if (object->retry_delay_us > MOST_DELAY_US)
        object->retry_delay_us = MOST_DELAY_US;
    object->retry_at_us = clock_us() + object->retry_delay_us;
}

static bool try_again(struct control *control, struct object *object)
{
    struct udptun_error why = {0};
    if (control_apply(control, object->message, &object->inputs, "", NULL, &why) == 0) {
        object->last_error[0] = '\0';
        object->retry_delay_us = 0;
        log_write(control->log, UDPTUN_LOG_INFO, "control", "%s: started", object->name);
        return true;
    }
    if (strcmp(object->last_error, why.message) != 0)
        log_write(control->log, UDPTUN_LOG_WARN, "control", "%s: cannot start: %s", object->name,
                  why.message);
    memcpy(object->last_error, why.message, sizeof object->last_error);
    put_off(object);
    return false;
}

/* Those of one kind whose time has come, or all of them. True: one runs now. */
static bool try_kind(struct control *control, bool tunnels, bool all)
{
    bool any = false;
    for (size_t i = 0; i < control->objects.count; i++) {
        struct object *object = &control->objects.items[i];
        if (is_waiting(object) && (object_tunnel(object->message) != NULL) == tunnels &&
            (all || object->retry_at_us <= clock_us()))
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
        recover_set_timer(r);
    } else {
        timer_start(&r->timer, FIRST_DELAY_US);
    }
}

static void on_recover_timer(void *arg)
{
    try_due(arg, false);
}

void recovery_init(struct recovery *r, struct control *control)
{
    r->control = control;
    timer_init(&r->timer, control->loop, on_recover_timer, r);
}

void recovery_stop(struct recovery *r)
{
    timer_stop(&r->timer);
}

void recovery_add(struct recovery *r, struct object *object, const struct udptun_error *why)
{
    log_write(r->control->log, UDPTUN_LOG_ERROR, "control", "%s: cannot start: %s", object->name,
              why->message);
    memcpy(object->last_error, why->message, sizeof object->last_error);
    put_off(object);
    recover_set_timer(r);
}

void recovery_now(struct recovery *r)
{
    if (!r->control->stopping)
        try_due(r, true);
}

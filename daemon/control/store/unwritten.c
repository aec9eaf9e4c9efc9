/* SPDX-License-Identifier: Apache-2.0 */
/* unwritten.c - see unwritten.h. */
#include "daemon/control/store/unwritten.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/store/state.h"

#define RETRY_US 1000000

struct unwritten_name *unwritten_find(const struct unwritten *u, const char *name)
{
    for (size_t i = 0; i < u->count; i++) {
        if (strcmp(u->names[i].name, name) == 0)
            return &u->names[i];
    }
    return NULL;
}

bool unwritten_any(const struct unwritten *u)
{
    for (size_t i = 0; i < u->count; i++) {
        if (!u->names[i].silent)
            return true;
    }
    return false;
}

static void on_retry(void *arg)
{
    struct unwritten *u = arg;
    struct control *control = u->control;
    if (unwritten_any(u))
        u->write(control);
    identities_retry(&control->identities);
    if (unwritten_any(u) || identities_reason(&control->identities, NULL))
        unwritten_retry(u);
    else
        timer_stop(&u->retry);
}

void unwritten_init(struct unwritten *u, struct control *control,
                    void (*write)(struct control *control))
{
    *u = (struct unwritten){.control = control, .write = write};
    timer_init(&u->retry, control->loop, on_retry, u);
}

void unwritten_fini(struct unwritten *u)
{
    timer_stop(&u->retry);
    free(u->names);
    u->names = NULL;
    u->count = 0;
}

static struct unwritten_name *unwritten_note(struct unwritten *u, const char *name)
{
    struct unwritten_name *noted = unwritten_find(u, name);
    if (noted)
        return noted;
    struct unwritten_name *grown = realloc(u->names, (u->count + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    u->names = grown;
    noted = &grown[u->count++];
    *noted = (struct unwritten_name){.silent = true};
    snprintf(noted->name, sizeof noted->name, "%s", name);
    return noted;
}

void unwritten_add(struct unwritten *u, const char *name, const struct udptun_error *err)
{
    struct unwritten_name *noted = unwritten_note(u, name);
    snprintf(u->reason, sizeof u->reason, "%s", err->message);
    if (!noted)
        return;
    if (noted->silent)
        log_write(u->control->log, UDPTUN_LOG_ERROR, "control",
                  "%s: done, but not written; a restart would undo it until it is: %s", name,
                  err->message);
    noted->silent = false;
    unwritten_retry(u);
}

void unwritten_add_silent(struct unwritten *u, const char *name)
{
    unwritten_note(u, name);
}

void unwritten_written(struct unwritten *u)
{
    if (unwritten_any(u))
        log_write(u->control->log, UDPTUN_LOG_INFO, "control",
                  "the state is written again; nothing is missing on the disk");
    u->count = 0;
    u->reason[0] = '\0';
}

void unwritten_retry(struct unwritten *u)
{
    if (!timer_is_on(&u->retry) && !u->control->stopping)
        timer_start(&u->retry, RETRY_US);
}

const char *unwritten_reason(const struct unwritten *u, const char *name)
{
    const struct unwritten_name *noted = name ? unwritten_find(u, name) : NULL;
    bool missing = name ? noted && !noted->silent : unwritten_any(u);
    return missing ? u->reason : identities_reason(&u->control->identities, name);
}

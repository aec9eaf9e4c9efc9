/* SPDX-License-Identifier: Apache-2.0 */
/* filter.c - from whom a flow at the server accepts datagrams. */
#include "daemon/engine/settings/filter.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 4 };

struct filter {
    size_t count, capacity;
    size_t next; /* the oldest, once FILTER_MAX are known */
    struct udptun_endpoint peers[];
};

bool filtering_parse(const char *text, enum filtering *filtering)
{
    static const char *const names[] = {"endpoint-independent", "address", "address-port"};
    *filtering = FILTER_NONE;
    for (size_t i = 0; text && i < sizeof names / sizeof *names; i++) {
        if (strcmp(text, names[i]) != 0)
            continue;
        *filtering = (enum filtering)i;
        return true;
    }
    return text == NULL;
}

static bool filter_matches(const struct udptun_endpoint *peer, enum filtering filtering,
                           const struct udptun_endpoint *from)
{
    return filtering == FILTER_ADDRESS ? endpoint_same_ip(peer, from) : endpoint_equal(peer, from);
}

bool filter_passes(const struct filter *filter, enum filtering filtering,
                   const struct udptun_endpoint *from)
{
    if (filtering == FILTER_NONE)
        return true;
    for (size_t i = 0; filter && i < filter->count; i++)
        if (filter_matches(&filter->peers[i], filtering, from))
            return true;
    return false;
}

static bool filter_grow(struct filter **filter)
{
    struct filter *old = *filter;
    size_t capacity = old ? old->capacity * 2 : FIRST_CAPACITY;
    struct filter *grown =
        (struct filter *)realloc(old, sizeof *grown + capacity * sizeof grown->peers[0]);
    if (!grown)
        return false;
    if (!old)
        *grown = (struct filter){0};
    grown->capacity = capacity;
    *filter = grown;
    return true;
}

void filter_note(struct filter **filter, enum filtering filtering, const struct udptun_endpoint *to)
{
    if (filter_passes(*filter, filtering, to))
        return;
    struct filter *f = *filter;
    if (f && f->count == FILTER_MAX) {
        f->peers[f->next] = *to;
        f->next = (f->next + 1) % FILTER_MAX;
        return;
    }
    if ((!f || f->count == f->capacity) && !filter_grow(filter))
        return;
    (*filter)->peers[(*filter)->count++] = *to;
}

void filter_free(struct filter *filter)
{
    free(filter);
}

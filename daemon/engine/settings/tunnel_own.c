/* SPDX-License-Identifier: Apache-2.0 */
/* tunnel_own.c - what a tunnel's configuration points to, as copies of its own. */
#include "daemon/engine/settings/tunnel_settings.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

static void free_list(const char *const *list, size_t count)
{
    for (size_t i = 0; list && i < count; i++)
        free((void *)(uintptr_t)list[i]);
    free((void *)(uintptr_t)list);
}

/* NULL entries stay NULL: check_targets() says what is wrong with them. */
static bool copy_list(const char *const **list, size_t count)
{
    const char *const *from = *list;
    *list = NULL;
    if (count == 0)
        return true;
    const char **to = (const char **)calloc(count, sizeof *to);
    *list = to;
    for (size_t i = 0; to && i < count; i++) {
        to[i] = from[i] ? strdup(from[i]) : NULL;
        if (from[i] && !to[i])
            return false;
    }
    return to != NULL;
}

static bool copy_text(const char **text)
{
    const char *from = *text;
    *text = from ? strdup(from) : NULL;
    return !from || *text;
}

bool tunnel_settings_own(struct udptun_tunnel_config *given)
{
    bool whole = true;
    if (!given->allow_targets)
        given->allow_count = 0;
    if (!given->deny_targets)
        given->deny_count = 0;
#define OWN(member, name) whole = copy_text(&given->member) && whole;
    TUNNEL_SETTINGS_STRINGS(OWN)
#undef OWN
    whole = copy_list(&given->allow_targets, given->allow_count) && whole;
    whole = copy_list(&given->deny_targets, given->deny_count) && whole;
    given->key = NULL;
    return whole;
}

void tunnel_settings_free(struct tunnel_settings *config)
{
    if (!config)
        return;
#define FREE(member, name) free((void *)(uintptr_t)config->given.member);
    TUNNEL_SETTINGS_STRINGS(FREE)
#undef FREE
    free_list(config->given.allow_targets, config->given.allow_count);
    free_list(config->given.deny_targets, config->given.deny_count);
    sodium_memzero(config, sizeof *config);
    free(config);
}

/* SPDX-License-Identifier: Apache-2.0 */
/* posix/netwatch.c - no news of the network on this system; backoff does without. */
#include "daemon/platform/netwatch.h"

#include <stddef.h>

struct netwatch *netwatch_new(struct ev_loop *loop, netwatch_changed *changed, void *arg)
{
    (void)loop;
    (void)changed;
    (void)arg;
    return NULL;
}

void netwatch_free(struct netwatch *watch)
{
    (void)watch;
}

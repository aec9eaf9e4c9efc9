/* SPDX-License-Identifier: Apache-2.0 */
/* resolver_ares.h - c-ares on a libev loop. Private to resolver.c. */
#ifndef ENGINE_RESOLVER_ARES_H
#define ENGINE_RESOLVER_ARES_H

#include <stddef.h>

#include "daemon/platform/sockaddr.h"

struct ev_loop;
struct resolver_ares;

/* `addresses` in the order to try them, port 0; or none and a clause of static storage. */
typedef void resolver_ares_answer(void *arg, const struct endpoint *addresses, size_t count,
                                  double ttl_s, const char *failure);

/* NULL: out of memory, or the system's settings are unusable. `rules` must outlive it. */
struct resolver_ares *resolver_ares_new(struct ev_loop *loop, const struct socket_rules *rules);

/* Every question that is open is answered with a failure first. NULL is accepted. Never from
 * inside an answer. */
void resolver_ares_free(struct resolver_ares *a);

/* `answer` is called exactly once, perhaps before this returns. */
void resolver_ares_ask(struct resolver_ares *a, const char *name, resolver_ares_answer *answer,
                       void *arg);

#endif

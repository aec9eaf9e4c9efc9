/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - asking the system's name servers, without blocking the loop.
 *
 * A channel has sockets of its own, which meet the rules of a tunnel.
 */
#ifndef PLATFORM_NAMES_H
#define PLATFORM_NAMES_H

#include <stddef.h>

#include "daemon/platform/socket.h"

#define NAMES_MAX_ADDRESSES 16

struct loop;
struct names;

/* `addresses` in the order to try them, port 0; or none and a clause of static storage. */
typedef void names_answer(void *arg, const struct udptun_endpoint *addresses, size_t count,
                          uint32_t ttl_s, const char *failure);

/* NULL: out of memory, or the system's settings are unusable. `rules` must outlive it. */
struct names *names_new(struct loop *loop, const struct socket_rules *rules);

/* Every question that is open is answered with a failure first. NULL is accepted. Never from
 * inside an answer. */
void names_free(struct names *a);

/* `answer` is called exactly once, perhaps before this returns. */
void names_ask(struct names *a, const char *name, names_answer *answer, void *arg);

#endif

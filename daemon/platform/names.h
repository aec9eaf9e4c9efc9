/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names.h - asking the system's name servers, without blocking the loop.
 *
 * A channel has sockets of its own, which meet the rules of a tunnel. The hosts file is shared by
 * the channels of an engine.
 */
#ifndef PLATFORM_NAMES_H
#define PLATFORM_NAMES_H

#include <stddef.h>

#include "daemon/platform/socket.h"

#define NAMES_MAX_ADDRESSES 16

struct hosts;
struct loop;
struct names;

/* ---- the hosts file ------------------------------------------------------------------------ */

/* The system's hosts file, which is read now, and again by a lookup that finds it changed. For one
 * thread. NULL: out of memory. */
struct hosts *hosts_new(void);
/* NULL is accepted. */
void hosts_free(struct hosts *hosts);
/* The addresses of `name` in the file's order, without port: at most `max`. Returns how many. A
 * large file that has changed is read in the background and counts some time later. */
size_t hosts_find(struct hosts *hosts, const char *name, struct udptun_endpoint *addresses,
                  size_t max);

/* ---- name servers -------------------------------------------------------------------------- */

struct names_answer {
    const struct udptun_endpoint *addresses; /* in the order to try them, port 0 */
    size_t count;
    uint32_t ttl_s;
    const char *failure; /* a clause of static storage; NULL: there are addresses */
    bool is_absent;      /* a name server says that the name has no address */
    bool is_last;        /* false: the other family is still awaited, and another call follows */
};

typedef void names_answered(void *arg, const struct names_answer *answer);

/* NULL: out of memory, or the system's settings are unusable. `rules` and `hosts` (NULL: none) must
 * outlive it. */
struct names *names_new(struct loop *loop, const struct socket_rules *rules, struct hosts *hosts);

/* Every question that is open is answered with a failure first. NULL is accepted. Never from
 * inside an answer. */
void names_free(struct names *a);

/* The system's list of name servers is another than when `a` was made. */
bool names_are_outdated(const struct names *a);

/*
 * `answered` is called once, or twice when one family's addresses came some time before the other
 * family's answer; perhaps before this returns.
 */
void names_ask(struct names *a, const char *name, names_answered *answered, void *arg);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/* filter.h - from whom a flow at the server accepts datagrams (RFC 4787 section 5). */
#ifndef ENGINE_FILTER_H
#define ENGINE_FILTER_H

#include <stdbool.h>

#include "proto/endpoint.h"

enum filtering {
    FILTER_NONE,         /* endpoint-independent: anyone (full cone) */
    FILTER_ADDRESS,      /* addresses that the flow has sent to */
    FILTER_ADDRESS_PORT, /* addresses and ports that it has sent to */
};

/* "endpoint-independent", "address", "address-port"; NULL is the first. False: none of them. */
bool filtering_parse(const char *text, enum filtering *filtering);

/* Whom a flow has sent to; the oldest of FILTER_MAX is forgotten for a new one. */
struct filter;

enum { FILTER_MAX = 256 };

/* Note that the flow sends to `to`. `*filter` is allocated at the first; without memory the peer's
 * answers are not let in. */
void filter_note(struct filter **filter, enum filtering filtering,
                 const struct udptun_endpoint *to);
bool filter_passes(const struct filter *filter, enum filtering filtering,
                   const struct udptun_endpoint *from);
/* NULL is accepted. */
void filter_free(struct filter *filter);

#endif

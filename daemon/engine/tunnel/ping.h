/* SPDX-License-Identifier: Apache-2.0 */
/* ping.h - round trips that the app asked for. */
#ifndef ENGINE_PING_H
#define ENGINE_PING_H

#include "daemon/engine/tunnel/tunnel.h"

/* ops.pong. */
void ping_answered(struct tunnel *t, uint64_t token, uint64_t rtt_us);

/* The tunnel ends: every ping fails with UDPTUN_E_UNREACHABLE. */
void pings_fail(struct tunnel *t);

#endif

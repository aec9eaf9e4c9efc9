/* SPDX-License-Identifier: Apache-2.0 */
/*
 * relay.h - two TCP streams joined: bytes and ends of each direction go over to the other.
 *
 * Nothing is held while the receiver keeps up; else what one read brought is held and nothing
 * more is read until it is gone, so that back-pressure reaches the sender. Whatever ends a
 * direction before its sender did (a reset, a lost address, relay_stop()) is a reset to the
 * receiver.
 */
#ifndef ENGINE_RELAY_H
#define ENGINE_RELAY_H

#include "daemon/engine/core/core.h"
#include "daemon/platform/socket.h"

struct relay;

/* Join two connected sockets, which become the relay's. `done` is called once, when both
 * directions have ended or one failed, and the relay is gone by then; never from inside this. NULL:
 * out of memory, and both are closed. */
struct relay *relay_start(struct udptun_engine *e, udptun_socket a, udptun_socket b,
                          void (*done)(void *arg), void *arg);

/* End it without a call of `done`. NULL is accepted. */
void relay_stop(struct relay *r);

#endif

/* SPDX-License-Identifier: Apache-2.0 */
/*
 * event.h - what the app is told once nothing of the engine is on the stack any more.
 *
 * States and answers to pings happen deep inside a machine, where an app that reacts by removing
 * the tunnel would saw off the branch. They are kept here and delivered in order at the end of
 * the turn, or of the API call that led to them.
 */
#ifndef ENGINE_EVENT_H
#define ENGINE_EVENT_H

#include "daemon/engine/tunnel.h"

void event_state(struct tunnel *t, enum udptun_state state, const char *reason);
void event_ping(struct udptun_engine *e, void (*done)(void *arg, int code, uint64_t rtt_us),
                void *arg, int code, uint64_t rtt_us);

/* Deliver all of them, those that come up meanwhile included. Nothing when already under way. */
void events_deliver(struct udptun_engine *e);

#endif
